//! Values with a form of their own, checked where they come in.

use chrono::{FixedOffset, NaiveDateTime, TimeZone, Utc};
use serde::{Deserialize, Deserializer, de};
use shared_models::{Stamp, Text};

const FORM: &str = "%Y-%m-%d %H:%M:%S";

/// `yyyy-MM-dd HH:mm:ss`, a real date and time of day. Kept as written, compared as written: the form sorts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(String);

impl Moment {
    pub fn new(text: &str) -> Result<Self, String> {
        // chrono takes single digits, which it does not write again, and a 61st second and years of five digits, which
        // it does.
        match NaiveDateTime::parse_from_str(text, FORM) {
            Ok(_) if text.len() != 19 => Err("must be a date and time as yyyy-MM-dd HH:mm:ss".into()),
            Ok(parsed) if parsed.format(FORM).to_string() == text && !text.ends_with(":60") => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("must be a date and time as yyyy-MM-dd HH:mm:ss".into()),
        }
    }

    pub fn of(stamp: Stamp, offset: FixedOffset) -> Self {
        let utc = Utc.timestamp_millis_opt(stamp.0).single().unwrap_or_default();
        Self(utc.with_timezone(&offset).format(FORM).to_string())
    }

    pub fn into_inner(self) -> String {
        self.0
    }
}

/// At least 0, with at most two decimals; in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(pub i64);

impl Amount {
    pub fn new(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').map_or((text, "0"), |(w, p)| (w, p));
        let digits = |s: &str, max: usize| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        let hundredths = if digits(whole, 15) && digits(part, 2) {
            let part = if part.len() == 1 { format!("{part}0") } else { part.to_owned() };
            format!("{whole}{part}").parse().ok()
        } else {
            None
        };
        hundredths.map(Self).ok_or_else(|| "must be a number of at least 0 with at most 2 decimals".into())
    }
}

/// Id of a course: 32 hex digits, kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LnMd5(String);

impl LnMd5 {
    pub fn new(text: &str) -> Result<Self, String> {
        let is_md5 = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_md5.then(|| Self(text.to_ascii_lowercase())).ok_or_else(|| "must be 32 hex digits".into())
    }

    pub fn into_inner(self) -> String {
        self.0
    }
}

macro_rules! read_from_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = Text::<64>::deserialize(d)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    )*};
}

read_from_text!(Moment, Amount, LnMd5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_exact_and_real() {
        for good in ["2016-04-01 01:01:01", "2024-02-29 23:59:59", "0001-01-01 00:00:00"] {
            assert_eq!(Moment::new(good).map(Moment::into_inner).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "2016-4-1 1:1:1",
            "2016-04-01",
            "2016-04-01T01:01:01",
            "2016-04-01 01:01:01.000",
            " 2016-04-01 01:01:01",
            "2016-04-01 01:01:01 ",
            "2016-04-01  01:01:01",
            "2015-02-29 00:00:00",
            "2016-04-31 00:00:00",
            "2016-04-01 24:00:00",
            "2016-04-01 00:00:60",
            "+2016-04-01 00:00:00",
            "-001-04-01 00:00:00",
            "+12016-04-01 00:00:00",
            "２016-04-01 00:00:00",
        ] {
            assert!(Moment::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_have_at_most_two_decimals() {
        for (text, hundredths) in [("0", 0), ("12", 1200), ("12.5", 1250), ("12.05", 1205), ("007", 700)] {
            assert_eq!(Amount::new(text), Ok(Amount(hundredths)), "{text}");
        }
        for bad in ["", "-1", "+1", "1.", ".5", "1.234", "1,5", "1e3", "NaN", "1 ", "1.2.3", &"9".repeat(16)] {
            assert!(Amount::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn courses_are_md5_of_any_case() {
        assert_eq!(LnMd5::new(&"aB".repeat(16)).map(LnMd5::into_inner), Ok("ab".repeat(16)));
        assert!(LnMd5::new(&"g".repeat(32)).is_err() && LnMd5::new(&"a".repeat(31)).is_err());
    }

    #[test]
    fn now_is_written_in_the_offset() {
        let offset = FixedOffset::east_opt(8 * 3600);
        assert_eq!(offset.map(|o| Moment::of(Stamp(0), o).into_inner()).as_deref(), Some("1970-01-01 08:00:00"));
    }
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::testkit::fuzz::{target, texts};

    fn parsed(moment: &Moment) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(&moment.0, FORM).unwrap()
    }

    #[test]
    fn values() {
        target(env!("CARGO_MANIFEST_DIR"), "values", |input| {
            let Some([text, other]) = texts(input) else { return };
            if let Ok(moment) = Moment::new(text) {
                let digits = |b: u8| b.is_ascii_digit() || b"-: ".contains(&b);
                assert!(moment.0 == text && text.len() == 19 && text.bytes().all(digits), "{text}");
                assert_eq!(parsed(&moment).format(FORM).to_string(), text);
                if let Ok(other) = Moment::new(other) {
                    assert_eq!(moment.cmp(&other), parsed(&moment).cmp(&parsed(&other)), "the form sorts");
                }
            }
            if let Ok(Amount(hundredths)) = Amount::new(text) {
                assert!((0..100_000_000_000_000_000).contains(&hundredths));
                let written = format!("{}.{:02}", hundredths / 100, hundredths % 100);
                assert_eq!(Amount::new(&written), Ok(Amount(hundredths)));
                let float: f64 = text.parse().unwrap();
                assert!((float * 100.0 - hundredths as f64).abs() <= 1.0 + float * 1e-12, "{text}");
            }
            if let Ok(LnMd5(lower)) = LnMd5::new(text) {
                assert!(text.eq_ignore_ascii_case(&lower) && lower.len() == 32);
                assert_eq!(LnMd5::new(&lower), Ok(LnMd5(lower.clone())));
                assert_eq!(u128::from_str_radix(&lower, 16).map(|n| format!("{n:032x}")), Ok(lower));
            }
        });
    }
}
