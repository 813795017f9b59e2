//! Stamps on the wire: local time of `utc_offset`.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};
use shared_models::Stamp;

/// Writes and reads times in one offset. The offset of a database never changes, or clients' cursors would mean
/// something else (design §5.1).
#[derive(Debug, Clone, Copy)]
pub struct Times(pub FixedOffset);

impl Times {
    /// `yyyy-MM-dd HH:mm:ss.SSS`
    pub fn millis(self, stamp: Stamp) -> String {
        self.written(stamp, "%Y-%m-%d %H:%M:%S%.3f")
    }

    /// `yyyy-MM-dd HH:mm:ss`
    pub fn seconds(self, stamp: Stamp) -> String {
        self.written(stamp, "%Y-%m-%d %H:%M:%S")
    }

    /// `yyyyMMddHHmmss`
    pub fn compact(self, stamp: Stamp) -> String {
        self.written(stamp, "%Y%m%d%H%M%S")
    }

    fn written(self, stamp: Stamp, form: &str) -> String {
        let utc = DateTime::from_timestamp_millis(stamp.0).unwrap_or_default();
        utc.with_timezone(&self.0).format(form).to_string()
    }

    pub fn stamp(self, local: NaiveDateTime) -> Stamp {
        Stamp(local.and_utc().timestamp_millis() - i64::from(self.0.local_minus_utc()) * 1000)
    }
}

/// `yyyy-MM-dd HH:mm:ss` with or without `.SSS`; nothing else, and only real dates.
pub fn read_local(text: &str) -> Option<NaiveDateTime> {
    let (whole, millis) = match text.split_once('.') {
        Some((whole, millis)) if millis.len() == 3 => (whole, number(millis)?),
        Some(_) => return None,
        None => (text, 0),
    };
    let b = whole.as_bytes();
    let is_form =
        b.len() == 19 && [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')].iter().all(|&(at, c)| b[at] == c);
    if !is_form || !whole.is_ascii() {
        return None;
    }
    let part = |from: usize, to: usize| whole.get(from..to).and_then(number);
    let date = NaiveDate::from_ymd_opt(i32::try_from(part(0, 4)?).ok()?, part(5, 7)?, part(8, 10)?)?;
    date.and_hms_milli_opt(part(11, 13)?, part(14, 16)?, part(17, 19)?, millis)
}

/// `yyyyMMddHHmmss`, a real date.
pub fn read_compact(text: &str) -> Option<NaiveDateTime> {
    if text.len() != 14 || !text.is_ascii() {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).and_then(number);
    let date = NaiveDate::from_ymd_opt(i32::try_from(part(0, 4)?).ok()?, part(4, 6)?, part(6, 8)?)?;
    date.and_hms_opt(part(8, 10)?, part(10, 12)?, part(12, 14)?)
}

/// Digits only: `parse` would take a sign.
fn number(digits: &str) -> Option<u32> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn times() -> Times {
        Times(FixedOffset::east_opt(8 * 3600).unwrap())
    }

    #[test]
    fn the_epoch_is_written_in_the_offset() {
        assert_eq!(times().millis(Stamp(0)), "1970-01-01 08:00:00.000");
        assert_eq!(times().seconds(Stamp(1)), "1970-01-01 08:00:00");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for stamp in [0, 1, 999, 1_499_832_732_123, -1, 253_402_300_799_999 - 8 * 3_600_000] {
            let text = times().millis(Stamp(stamp));
            assert_eq!(times().stamp(read_local(&text).unwrap()), Stamp(stamp), "{text}");
        }
        let local = read_local("2017-07-08 12:12:12").unwrap();
        assert_eq!(times().millis(times().stamp(local)), "2017-07-08 12:12:12.000");
    }

    #[test]
    fn other_forms_and_dates_that_are_none_are_refused() {
        for bad in [
            "2017-02-29 00:00:00",
            "2017-07-08 24:00:00",
            "2017-07-08 12:60:00",
            "2017-07-08 12:12:60",
            "2017-07-08T12:12:12",
            "2017-07-08 12:12:12.1",
            "2017-07-08 12:12:12.1234",
            "2017-07-08 12:12:12.+12",
            "2017-7-8 12:12:12",
            "+017-07-08 12:12:12",
            " 2017-07-08 12:12:12",
            "二〇一七-07-08 12:12",
            "1499832732123",
        ] {
            assert_eq!(read_local(bad), None, "{bad}");
        }
        for bad in ["20170229000000", "2017070812121", "201707081212123", "2017070812126 ", "20170708121260"] {
            assert_eq!(read_compact(bad), None, "{bad}");
        }
    }
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::testkit::fuzz::{target, texts};

    #[test]
    fn times() {
        let offsets = [-14 * 3600, -12_600, 0, 8 * 3600, 14 * 3600].map(|s| Times(FixedOffset::east_opt(s).unwrap()));
        target(env!("CARGO_MANIFEST_DIR"), "times", |input| {
            let Some([text]) = texts(input) else { return };
            for times in offsets {
                if let Some(local) = read_local(text) {
                    let stamp = times.stamp(local);
                    let whole = if text.len() == 19 { format!("{text}.000") } else { text.to_owned() };
                    assert_eq!((times.millis(stamp), times.seconds(stamp)), (whole, text[..19].to_owned()));
                }
                if let Some(local) = read_compact(text) {
                    let stamp = times.stamp(local);
                    assert_eq!(times.compact(stamp), text);
                    assert_eq!(read_local(&times.millis(stamp)), Some(local), "one moment in both forms");
                }
                // Any number that a database may hold is written somehow.
                if let Ok(number) = text.parse() {
                    assert!(times.millis(Stamp(number)).len() >= 23);
                }
            }
        });
    }
}
