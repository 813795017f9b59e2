//! Fields as the shipped clients of document 004 send them (`semantics.md` A.3, A.5).

use crate::domain::{Place, Times, read_local};
use chrono::NaiveDateTime;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use shared_models::schema::form;
use shared_models::{Stamp, Text};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// `appId#account` or the account alone.
pub type Useracc = Text<129, 1>;

/// An entry of a list that is a JSON object with the fields of `T`: an array of their values is none, though serde
/// would take it for one.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        d.deserialize_map(Visitor(PhantomData))
    }
}

/// A flag that is "0" where it is absent or empty: both demos leave out flags that the document calls required.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bit(pub bool);

impl<'de> Deserialize<'de> for Bit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match &*Text::<64>::deserialize(d)? {
            "" | "0" => Ok(Self(false)),
            "1" => Ok(Self(true)),
            _ => Err(de::Error::custom("must be 0 or 1")),
        }
    }
}

/// A flag that must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequiredBit(pub bool);

impl<'de> Deserialize<'de> for RequiredBit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match &*Text::<64>::deserialize(d)? {
            "0" => Ok(Self(false)),
            "1" => Ok(Self(true)),
            _ => Err(de::Error::custom("must be 0 or 1")),
        }
    }
}

/// Entries of a page: 1–100, more is 100, anything else 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(pub i64);

const DEFAULT_SIZE: i64 = 20;
const MAX_SIZE: i64 = 100;

impl Default for PageSize {
    fn default() -> Self {
        Self(DEFAULT_SIZE)
    }
}

impl<'de> Deserialize<'de> for PageSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = scalar(Value::deserialize(d)?);
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        Ok(Self(match text.parse() {
            Ok(0) => DEFAULT_SIZE,
            Ok(n) if is_number => MAX_SIZE.min(n),
            // More digits than a number of ours has.
            Err(_) if is_number => MAX_SIZE,
            _ => DEFAULT_SIZE,
        }))
    }
}

/// "2" is descending, anything else ascending (the document's own example is "0", which it does not define).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Order {
    pub descending: bool,
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self { descending: scalar(Value::deserialize(d)?) == "2" })
    }
}

fn scalar(value: Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A time in `utc_offset`; empty is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocalTime(Option<NaiveDateTime>);

impl LocalTime {
    pub fn stamp(self, times: Times) -> Option<Stamp> {
        self.0.map(|local| times.stamp(local))
    }

    /// A page that begins here.
    pub fn place(self, times: Times, size: Option<PageSize>) -> Place {
        Place { cursor: self.stamp(times), size: size.map(|s| s.0) }
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Text::<64>::deserialize(d)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let local = read_local(&text);
        local.map(|local| Self(Some(local))).ok_or_else(|| de::Error::custom("must be yyyy-MM-dd HH:mm:ss[.SSS]"))
    }
}

/// How they appear in the API document.
macro_rules! schema {
    ($name:literal, $type:ty, $pattern:literal, $what:literal) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                form($pattern, $what)
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    };
}

schema!("Bit", Bit, "^[01]?$", "0 or 1; absent or empty is 0");
schema!("RequiredBit", RequiredBit, "^[01]$", "0 or 1");
schema!("PageSize", PageSize, "", "1 to 100; more is 100, anything else 20");
schema!("Order", Order, "", "2: descending, anything else: ascending");
schema!(
    "LocalTime",
    LocalTime,
    "^([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{3})?)?$",
    "yyyy-MM-dd HH:mm:ss[.SSS] in `utc_offset`; empty is absent"
);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn sizes_are_clamped_and_never_refused() {
        for (given, size) in [
            (json!("50"), 50),
            (json!(50), 50),
            (json!(" 7 "), 7),
            (json!("100"), 100),
            (json!("101"), 100),
            (json!("99999999999999999999999"), 100),
            (json!("0"), 20),
            (json!("-5"), 20),
            (json!("+5"), 20),
            (json!("x"), 20),
            (json!(""), 20),
            (json!(1.5), 20),
            (json!([1]), 20),
        ] {
            assert_eq!(from_value::<PageSize>(given.clone()).unwrap(), PageSize(size), "{given}");
        }
    }

    #[test]
    fn flags_are_zero_or_one() {
        for (given, flag) in
            [(json!(""), false), (json!("0"), false), (json!(0), false), (json!("1"), true), (json!(1), true)]
        {
            assert_eq!(from_value::<Bit>(given).unwrap(), Bit(flag));
        }
        for bad in [json!("2"), json!("true"), json!(true), json!(2), json!([]), json!("01")] {
            assert!(from_value::<Bit>(bad.clone()).is_err(), "{bad}");
        }
        assert!(from_value::<RequiredBit>(json!("")).is_err());
    }

    #[test]
    fn only_two_is_descending() {
        for (given, descending) in [(json!("2"), true), (json!(2), true), (json!("0"), false), (json!("x"), false)] {
            assert_eq!(from_value::<Order>(given).unwrap().descending, descending);
        }
    }
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::testkit::fuzz::target;

    #[derive(Debug, Deserialize)]
    struct All {
        size: Option<PageSize>,
        order: Option<Order>,
        flag: Option<Bit>,
        required: Option<RequiredBit>,
        timestamp: Option<LocalTime>,
        useracc: Option<Useracc>,
        pairs: Option<Vec<Object<Pair>>>,
    }

    #[derive(Debug, Deserialize)]
    struct Pair {
        a: Bit,
    }

    #[test]
    fn fields() {
        let times = Times(chrono::FixedOffset::east_opt(8 * 3600).unwrap());
        target(env!("CARGO_MANIFEST_DIR"), "fields", |input| {
            let Ok(Value::Object(given)) = serde_json::from_slice(input) else { return };
            // Size and order are never refused.
            let one = |name: &str| given.get(name).filter(|value| !value.is_null()).cloned();
            let size = one("size").map(|value| serde_json::from_value::<PageSize>(value).unwrap().0);
            assert!(size.is_none_or(|size| (1..=MAX_SIZE).contains(&size)));
            if let Some(order) = one("order") {
                let two = order == "2" || order == 2 || order.as_str().is_some_and(|o| o.trim() == "2");
                assert_eq!(serde_json::from_value::<Order>(order).unwrap().descending, two);
            }
            let Ok(all) = service_kit::params::typed::<All>(given.clone()) else { return };
            assert_eq!((all.size.map(|size| size.0), all.order.is_some()), (size, one("order").is_some()));
            let is_one = |value: Option<Value>| value.is_some_and(|value| value == "1" || value == 1);
            assert_eq!(all.flag.unwrap_or_default().0, is_one(one("flag")));
            assert_eq!(all.required.is_some_and(|bit| bit.0), is_one(one("required")));
            let time = all.timestamp.unwrap_or_default().stamp(times).map(|stamp| times.millis(stamp));
            let said = one("timestamp").and_then(|value| Some(value.as_str()?.to_owned())).filter(|t| !t.is_empty());
            assert_eq!(time.is_some(), said.is_some());
            assert!(said.is_none_or(|said| time.is_some_and(|time| time.starts_with(&said))));
            assert!(all.useracc.is_none_or(|u| (1..=129).contains(&u.chars().count())));
            for (n, Object(pair)) in all.pairs.unwrap_or_default().iter().enumerate() {
                let given = &given["pairs"][n];
                assert!(given.is_object() && pair.a.0 == is_one(Some(given["a"].clone())));
            }
        });
    }
}
