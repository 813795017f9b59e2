use crate::scalar::Int;
use crate::{AppId, Stamp, Uid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 0 unknown, 1 male, 2 female (document 002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gender {
    #[default]
    Unknown,
    Male,
    Female,
}

impl Gender {
    pub fn number(self) -> i32 {
        match self {
            Self::Unknown => 0,
            Self::Male => 1,
            Self::Female => 2,
        }
    }

    pub fn from_number(n: i64) -> Option<Self> {
        match n {
            0 => Some(Self::Unknown),
            1 => Some(Self::Male),
            2 => Some(Self::Female),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Gender {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Int(n) = Int::deserialize(d)?;
        Self::from_number(n).ok_or_else(|| serde::de::Error::custom("must be 0, 1 or 2"))
    }
}

impl Serialize for Gender {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i32(self.number())
    }
}

/// What others see of an account, and the version of its credentials. Held by the profile directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Grows with every change, so that the later of two is told from the earlier; 0: unknown. The first field: a copy
    /// begins with it (`service_kit::state::REVISION`).
    #[serde(default)]
    pub revision: i64,
    pub app_id: AppId,
    pub uid: Uid,
    pub name: String,
    /// As stored: a foreign URL verbatim, of our own media only the file's name.
    pub icon: String,
    pub icon_changed_at: Stamp,
    /// The account's own flag; the setting `im_auth.admins` is already counted in.
    pub is_admin: bool,
    /// Grows with every password change; a remembered credential counts only under the version it was verified at.
    pub credential_version: i64,
}
