use crate::scalar::Int;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a client runs (document 002): number in requests, name in answers and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Platform {
    Ios = 1,
    Android = 2,
    Windows = 3,
    Osx = 4,
    Web = 5,
    /// 小程序: the document's list of names forgets it; OpenIM calls it MiniWeb (`semantics.md` C).
    MiniWeb = 6,
    Linux = 7,
}

impl Platform {
    pub const ALL: [Self; 7] =
        [Self::Ios, Self::Android, Self::Windows, Self::Osx, Self::Web, Self::MiniWeb, Self::Linux];

    pub fn from_number(n: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|p| i64::from(p.number()) == n)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// 1–7.
    pub fn number(self) -> u8 {
        match self {
            Self::Ios => 1,
            Self::Android => 2,
            Self::Windows => 3,
            Self::Osx => 4,
            Self::Web => 5,
            Self::MiniWeb => 6,
            Self::Linux => 7,
        }
    }

    /// The name on the wire; upper and lower case as shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ios => "IOS",
            Self::Android => "Android",
            Self::Windows => "Windows",
            Self::Osx => "OSX",
            Self::Web => "Web",
            Self::MiniWeb => "MiniWeb",
            Self::Linux => "Linux",
        }
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Int(n) = Int::deserialize(d)?;
        Self::from_number(n).ok_or_else(|| serde::de::Error::custom("must be 1 to 7"))
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(self.number())
    }
}
