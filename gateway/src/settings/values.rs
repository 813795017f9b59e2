//! Types of single values.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "must be host:port";
        let (host, port) = s.rsplit_once(':').ok_or(FORM)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        match port.parse() {
            Ok(port) if port != 0 && !host.is_empty() && host.bytes().all(plain) => {
                Ok(Self { host: host.to_owned(), port })
            }
            _ => Err(FORM),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An origin as browsers send it, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let host = s.strip_prefix("https://").or_else(|| s.strip_prefix("http://"));
        let plain = |b: u8| b.is_ascii_graphic() && !b"/?#@\"<>\\".contains(&b);
        if s == "*" || host.is_some_and(|h| !h.is_empty() && h.bytes().all(plain)) {
            Ok(Self(s.to_owned()))
        } else {
            Err("must be http(s)://host[:port], or *")
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! serialize_as_text {
    ($($type:ty),*) => {
        $(impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        })*
    };
}
serialize_as_text!(HostPort, Origin);

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::testkit::fuzz::{target, texts};

    #[test]
    fn addresses() {
        target(env!("CARGO_MANIFEST_DIR"), "addresses", |input| {
            let Some([text]) = texts(input) else { return };
            if let Ok(place) = text.parse::<HostPort>() {
                assert_eq!(place.to_string().parse::<HostPort>().unwrap(), place);
                assert!(place.port != 0 && !place.host.is_empty() && !place.host.contains(['/', '@', ' ']));
            }
            if let Ok(origin) = text.parse::<Origin>() {
                assert_eq!(origin.as_str(), text);
                let host = text.split_once("://").map_or("*", |(_, host)| host);
                assert!(text == "*" || !host.contains(['/', '?', '#', '@']), "{text}");
            }
        });
    }
}
