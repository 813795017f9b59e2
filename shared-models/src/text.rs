//! Strings with their limits in the type, checked once, where they come in.

use crate::scalar::TextVisitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// Why a text is not what its field allows; reads after the field's name ("uid: longer than 64 characters").
pub(crate) fn check(s: &str, min: usize, max: usize) -> Result<(), String> {
    if s.contains('\0') {
        return Err("contains a NUL character".into());
    }
    // Characters are never more than bytes: most texts need no counting.
    let within = s.len() <= max || s.chars().nth(max).is_none();
    if !within {
        return Err(format!("longer than {max} characters"));
    }
    if min > 0 && s.is_empty() {
        return Err("must not be empty".into());
    }
    if min > 1 && s.chars().nth(min - 1).is_none() {
        return Err(format!("shorter than {min} characters"));
    }
    Ok(())
}

/// `MIN` to `MAX` characters (Unicode scalar values) without NUL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<const MAX: usize, const MIN: usize = 0>(String);

impl<const MAX: usize, const MIN: usize> Text<MAX, MIN> {
    pub fn new(s: impl Into<String>) -> Result<Self, String> {
        let s = s.into();
        check(&s, MIN, MAX)?;
        Ok(Self(s))
    }

    pub fn into_inner(self) -> String {
        self.0
    }
}

/// At most `MAX` **bytes** of UTF-8 without NUL (family B limits the icon so).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ByteText<const MAX: usize>(String);

impl<const MAX: usize> ByteText<MAX> {
    pub fn new(s: impl Into<String>) -> Result<Self, String> {
        let s = s.into();
        if s.len() > MAX {
            return Err(format!("longer than {MAX} bytes"));
        }
        check(&s, 0, MAX)?;
        Ok(Self(s))
    }

    pub fn into_inner(self) -> String {
        self.0
    }
}

impl<const MAX: usize, const MIN: usize> Deref for Text<MAX, MIN> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Deref for ByteText<MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de, const MAX: usize, const MIN: usize> Deserialize<'de> for Text<MAX, MIN> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(TextVisitor::new(Self::new))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for ByteText<MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(TextVisitor::new(Self::new))
    }
}

impl<const MAX: usize, const MIN: usize> Serialize for Text<MAX, MIN> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<const MAX: usize> Serialize for ByteText<MAX> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

/// A list of at most `MAX` entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Many<T, const MAX: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Many<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> de::Visitor<'de> for Visitor<T, MAX> {
            type Value = Many<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(MAX));
                while let Some(entry) = seq.next_element()? {
                    if entries.len() == MAX {
                        return Err(de::Error::custom(format_args!("more than {MAX} entries")));
                    }
                    entries.push(entry);
                }
                Ok(Many(entries))
            }
        }
        d.deserialize_seq(Visitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lengths_count_characters() {
        assert!(Text::<3>::new("张三李").is_ok());
        assert_eq!(Text::<3>::new("张三李四").unwrap_err(), "longer than 3 characters");
        assert_eq!(Text::<9, 2>::new("张").unwrap_err(), "shorter than 2 characters");
        assert_eq!(Text::<9, 1>::new("").unwrap_err(), "must not be empty");
    }

    #[test]
    fn byte_limits_count_bytes() {
        assert!(ByteText::<6>::new("张三").is_ok());
        assert_eq!(ByteText::<6>::new("张三a").unwrap_err(), "longer than 6 bytes");
    }

    #[test]
    fn nul_is_refused() {
        assert_eq!(Text::<9>::new("a\0").unwrap_err(), "contains a NUL character");
    }
}
