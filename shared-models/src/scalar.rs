//! Scalars as the legacy clients send them: numbers as strings and strings as numbers (contract §0).

use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// Visits a string, or an integer as the string of its digits.
///
/// Other numbers are refused: a JSON number past 64 bits is only an approximation of the id that was meant.
pub(crate) struct TextVisitor<F> {
    pub read: F,
    /// Completes "must be …".
    pub expected: &'static str,
}

impl<F> TextVisitor<F> {
    pub fn new(read: F) -> Self {
        Self { read, expected: "a string" }
    }
}

impl<'de, T, F> de::Visitor<'de> for TextVisitor<F>
where
    F: FnOnce(String) -> Result<T, String>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<T, E> {
        (self.read)(v.to_owned()).map_err(E::custom)
    }

    fn visit_string<E: de::Error>(self, v: String) -> Result<T, E> {
        (self.read)(v).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<T, E> {
        (self.read)(v.to_string()).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<T, E> {
        (self.read)(v.to_string()).map_err(E::custom)
    }
}

/// An integer, or a string of its digits. Range checks are the reader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int(pub i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(TextVisitor {
            read: |s: String| s.trim().parse().ok().map(Int).ok_or_else(|| "must be an integer".to_owned()),
            expected: "an integer",
        })
    }
}

/// A boolean: `true`, `false`, 1, 0 or a string of one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Flag, E> {
                Ok(Flag(v))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Flag, E> {
                match v {
                    0 => Ok(Flag(false)),
                    1 => Ok(Flag(true)),
                    _ => Err(E::custom("must be true or false")),
                }
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Flag, E> {
                self.visit_u64(u64::try_from(v).unwrap_or(u64::MAX))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Flag, E> {
                match v.trim() {
                    "1" | "true" => Ok(Flag(true)),
                    "0" | "false" => Ok(Flag(false)),
                    _ => Err(E::custom("must be true or false")),
                }
            }
        }
        d.deserialize_any(Visitor)
    }
}

/// For every optional field that is no text: an empty string, as forms and app servers send it, is absent.
pub fn empty_is_absent<'de, T, D>(d: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Visitor<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a number")
        }
        fn visit_str<E: de::Error>(self, v: &str) -> Result<Option<T>, E> {
            if v.trim().is_empty() {
                return Ok(None);
            }
            T::deserialize(de::value::StrDeserializer::new(v)).map(Some)
        }
        fn visit_i64<E: de::Error>(self, v: i64) -> Result<Option<T>, E> {
            T::deserialize(de::value::I64Deserializer::new(v)).map(Some)
        }
        fn visit_u64<E: de::Error>(self, v: u64) -> Result<Option<T>, E> {
            T::deserialize(de::value::U64Deserializer::new(v)).map(Some)
        }
        fn visit_bool<E: de::Error>(self, v: bool) -> Result<Option<T>, E> {
            T::deserialize(de::value::BoolDeserializer::new(v)).map(Some)
        }
    }
    d.deserialize_any(Visitor(std::marker::PhantomData))
}
