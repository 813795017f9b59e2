//! Identifiers, each a type of its own so that one cannot be taken for another.

use crate::scalar::TextVisitor;
use crate::text::check;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(s: impl Into<String>) -> Result<Self, String> {
                let s = s.into();
                let check: fn(&str) -> Result<(), String> = $parse;
                check(&s)?;
                Ok(Self(s))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn into_inner(self) -> String {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_any(TextVisitor::new(Self::new))
            }
        }
    };
}

text_id!(
    /// A tenant: `[A-Za-z0-9_-]{1,64}`.
    AppId,
    |s| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !s.is_empty() && s.len() <= 64 && s.bytes().all(plain) {
            Ok(())
        } else {
            Err("must be 1 to 64 characters of A-Z a-z 0-9 _ -".into())
        }
    }
);

text_id!(
    /// A user within an app, 1–64 characters: `uid` of document 002, `username` of 003, the account after the
    /// `#` of 004's `useracc`.
    Uid,
    |s| check(s, 1, 64)
);

text_id!(
    /// Key of a terminal user (documents 000 and 001), 1–128 characters. It is that protocol's only credential,
    /// therefore a secret: never logged, never shown to others.
    TuserKey,
    |s| check(s, 1, 128)
);

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppId({})", self.0)
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({:?})", self.0)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TuserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TuserKey(***)")
    }
}

impl TuserKey {
    /// The IM user id of this key. Deployed clients compute it themselves (`semantics.md` E.1).
    pub fn im_uid(&self) -> Uid {
        use md5::Digest;
        Uid(md5::Md5::digest(self.0.as_bytes()).iter().map(|b| format!("{b:02x}")).collect())
    }
}

/// A group, a positive integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub i64);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn im_uid_is_the_lower_case_md5_of_the_key() {
        assert_eq!(TuserKey::new("abc").unwrap().im_uid().as_str(), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn app_ids_are_plain() {
        for bad in ["", "a#b", "a b", "张", &"a".repeat(65)] {
            assert!(AppId::new(bad).is_err(), "{bad}");
        }
        assert!(AppId::new("20150314000000110000000000000010").is_ok());
    }

    #[test]
    fn a_tuser_key_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", TuserKey::new("opensesame").unwrap()), "TuserKey(***)");
    }
}
