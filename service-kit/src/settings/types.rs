//! Types of settings that come as text from the environment.

use crate::secret::Secret;
use chrono::FixedOffset;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// A list: in a file an array, in the environment separated by commas (spaces around and empty parts are dropped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T> Deserialize<'de> for List<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T> de::Visitor<'de> for Visitor<T>
        where
            T: FromStr,
            T::Err: fmt::Display,
        {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or a string of parts separated by commas")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<List<T>, E> {
                v.split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(|part| part.parse().map_err(|e| E::custom(format!("{part}: {e}"))))
                    .collect::<Result<_, E>>()
                    .map(List)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element::<String>()? {
                    parts.push(part.parse().map_err(|e| de::Error::custom(format!("{part}: {e}")))?);
                }
                Ok(List(parts))
            }
        }
        d.deserialize_any(Visitor(PhantomData))
    }
}

/// A span of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl From<Seconds> for Duration {
    fn from(s: Seconds) -> Self {
        Self::from_secs(s.0)
    }
}

/// A URL whose password is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    fn masked(&self) -> String {
        // scheme://user:password@host, and parameters such as ?password=…
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return if self.0.contains(['@', '=']) { "***".to_owned() } else { self.0.clone() };
        };
        // A `?` within the password: which part is what cannot be told.
        if rest.split_once('?').is_some_and(|(_, query)| query.contains('@')) {
            return format!("{scheme}://***");
        }
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(r, _)| (r, "?***"));
        match rest.rsplit_once('@') {
            None => format!("{scheme}://{rest}{query}"),
            Some((login, host)) => {
                let user = login.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}:***@{host}{query}")
            }
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.masked())
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self)
    }
}

/// An address, or a network of them such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let one = || s.parse::<IpAddr>().ok().map(IpNet::from);
        s.parse().ok().or_else(one).map(Self).ok_or("must be an address or a network such as 10.0.0.0/8")
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

/// `+08:00`: how timestamps are written on the wire, at most 14 hours from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtcOffset(FixedOffset);

impl UtcOffset {
    pub fn fixed(self) -> FixedOffset {
        self.0
    }
}

impl Default for UtcOffset {
    fn default() -> Self {
        // A constant within the type's range: east_opt cannot fail.
        Self(FixedOffset::east_opt(8 * 3600).unwrap_or_else(|| unreachable!()))
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for UtcOffset {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let form = || "must be like +08:00, at most 14 hours from UTC".to_owned();
        let (sign, rest) = match s.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(form()),
        };
        let (hours, minutes) = rest.split_once(':').ok_or_else(form)?;
        // `parse` alone would take a sign.
        let is_number = |s: &str| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
        let digits = |s: &str| if is_number(s) { s.parse::<i32>().ok() } else { None };
        let (hours, minutes) = digits(hours).zip(digits(minutes)).ok_or_else(form)?;
        let seconds = sign * (hours * 3600 + minutes * 60);
        if minutes > 59 || seconds.abs() > 14 * 3600 {
            return Err(form());
        }
        FixedOffset::east_opt(seconds).map(Self).ok_or_else(form)
    }
}

impl Serialize for UtcOffset {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcOffset {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// How they appear in the reference of the settings.
macro_rules! schema {
    ($name:literal, $type:ty, $kind:ident, $format:literal) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let format = SchemaFormat::Custom($format.to_owned());
                let object = ObjectBuilder::new().schema_type(SchemaType::new(Type::$kind)).format(Some(format));
                RefOr::T(Schema::from(object))
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    };
}

schema!("Seconds", Seconds, Integer, "seconds");
schema!("SecretUrl", SecretUrl, String, "URL, a secret");
schema!("Secret", Secret, String, "text, a secret");
schema!("UtcOffset", UtcOffset, String, "±hh:mm");

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        for (url, shown) in [
            ("memory:", "memory:"),
            ("postgres://kith:s3cret@db/kith?sslmode=require", "postgres://kith:***@db/kith?***"),
            ("redis://:s3c@ret@h:1/0", "redis://:***@h:1/0"),
            ("redis://h:1", "redis://h:1"),
            ("postgres://u:s3?cret@db/kith", "postgres://***"),
            ("postgres://u:s@3?cret@db/kith", "postgres://***"),
            ("postgres//u:s3cret@db/kith", "***"),
            ("host=db password=s3cret", "***"),
        ] {
            assert_eq!(format!("{:?}", SecretUrl::new(url)), shown);
        }
    }

    #[test]
    fn a_network_is_written_as_one_or_as_an_address() {
        let within =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(within("10.0.0.0/8", "10.9.9.9") && !within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("10.0.0.1", "10.0.0.1") && !within("10.0.0.1", "10.0.0.2"));
        assert!(within("2001:db8::/32", "2001:db8::1") && within("2001:db8::1", "2001:db8::1"));
        for bad in ["", "everyone", "10.0.0", "10.0.0.0/33", "10.0.0.1/", "im.example"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn offsets_are_signed_hours_and_minutes() {
        assert_eq!("+08:00".parse::<UtcOffset>().unwrap(), UtcOffset::default());
        assert_eq!("-03:30".parse::<UtcOffset>().unwrap().to_string(), "-03:30");
        for bad in
            ["", "8", "+8:00", "+08", "+08:60", "+15:00", "08:00", "+0a:00", "++8:00", "+08:+5", "+08:00:00", "é8:00"]
        {
            assert!(bad.parse::<UtcOffset>().is_err(), "{bad}");
        }
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testkit::fuzz::{target, texts};

    fn written<T: FromStr + fmt::Display + PartialEq + fmt::Debug>(text: &str) -> Option<String>
    where
        T::Err: fmt::Debug,
    {
        let read: T = text.parse().ok()?;
        let written = read.to_string();
        assert_eq!(written.parse::<T>().unwrap(), read);
        Some(written)
    }

    #[test]
    fn settings() {
        target(env!("CARGO_MANIFEST_DIR"), "settings", |input| {
            let Some([text, user, password]) = texts(input) else { return };
            if let Some(offset) = written::<UtcOffset>(text) {
                assert_eq!(offset, if text == "-00:00" { "+00:00" } else { text }, "one form only");
            }
            if let Ok(network) = text.parse::<Network>() {
                assert_eq!(network.0.to_string().parse::<Network>().unwrap(), network);
                assert!(network.contains(network.0.addr()));
            }
            let list = serde_json::from_value::<List<String>>(text.into()).unwrap();
            assert!(list.0.iter().all(|part| !part.is_empty() && part.trim() == part && !part.contains(',')));
            let again = serde_json::from_value::<List<String>>(serde_json::to_value(&list).unwrap()).unwrap();
            assert_eq!(again, list);
            if let Some(numbers) = serde_json::from_value::<List<u16>>(text.into()).ok().filter(|l| !l.0.is_empty()) {
                let joined = numbers.0.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
                assert_eq!(serde_json::from_value::<List<u16>>(joined.into()).unwrap(), numbers);
            }

            // Whatever is in a password: of its pieces none is shown. (Digits only: they are in nothing else.)
            let plain = user.bytes().all(|b| b.is_ascii_lowercase());
            if plain && password.bytes().any(|b| b.is_ascii_digit()) {
                let shown = SecretUrl::new(format!("redis://{user}:{password}@host/db")).to_string();
                assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
            }
        });
    }
}
