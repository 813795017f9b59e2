//! What RongCloud's answers mean.

use crate::error::{Code, Error};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// No answer of the calls we make is longer.
pub(super) const MAX_BODY: usize = 64 << 10;

/// Why a call failed, and so what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// RongCloud understood and will say the same again: 4xx, its own code with it.
    Refused { code: i64, text: String },
    /// Too many calls; later it will do.
    RateLimited,
    /// Not reached, no answer in time, or a fault of its own.
    Unavailable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, text } => write!(f, "refused with {code}: {text}"),
            Self::RateLimited => f.write_str("too many calls"),
            Self::Unavailable(why) => write!(f, "not available: {why}"),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        let code = match trouble {
            Trouble::Refused { .. } => Code::ProviderRefused,
            Trouble::RateLimited | Trouble::Unavailable(_) => Code::ProviderAway,
        };
        Self::from(code).because(trouble)
    }
}

pub(super) trait Answer: DeserializeOwned {}

impl<T: DeserializeOwned> Answer for T {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    code: i64,
    #[serde(default)]
    error_message: String,
}

/// Reads an answer. One that is no JSON is judged by its HTTP status; a "200" that cannot be read was cut short.
pub(super) fn read<A: Answer>(status: u16, body: &[u8]) -> Result<A, Trouble> {
    let verdict = serde_json::from_slice::<Verdict>(body).ok();
    let code = verdict.as_ref().map_or(i64::from(status), |v| v.code);
    match (status, code) {
        (200, 200) if verdict.is_some() => {
            serde_json::from_slice(body).map_err(|e| Trouble::Unavailable(format!("an unreadable answer: {e}")))
        }
        (200, _) if verdict.is_none() => Err(Trouble::Unavailable("an answer that was cut short".into())),
        // 1008: its own code for too many calls.
        (429, _) | (_, 429 | 1008) => Err(Trouble::RateLimited),
        // 1000 internal error, 1050 time-out; 408 as proxies have it. A redirect leads to no server API. A status that
        // does not exist is like 500 (RFC 9110, 15).
        (408 | 300..=399 | 500.., _) | (_, 1000 | 1050 | 500 | 504) => {
            Err(Trouble::Unavailable(format!("status {status}, code {code}")))
        }
        _ => {
            // For our log and the outbox's list; bounded, and no control characters.
            let text = verdict.map(|v| v.error_message).unwrap_or_default();
            let text = text.chars().filter(|c| !c.is_control()).take(200).collect();
            Err(Trouble::Refused { code, text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_success_refusal_rate_limit_or_outage() {
        let kind = |status, body: &str| match read::<serde_json::Value>(status, body.as_bytes()) {
            Ok(_) => "ok",
            Err(Trouble::Refused { .. }) => "refused",
            Err(Trouble::RateLimited) => "rate",
            Err(Trouble::Unavailable(_)) => "away",
        };
        for (status, body, expected) in [
            (200, r#"{"code":200}"#, "ok"),
            (200, r#"{"code":20"#, "away"),
            (200, "", "away"),
            (200, r#"{"code":1015,"errorMessage":"x"}"#, "refused"),
            (400, r#"{"code":1002,"errorMessage":"x"}"#, "refused"),
            (401, r#"{"code":1004,"errorMessage":"signature"}"#, "refused"),
            (401, "nope", "refused"),
            (403, r#"{"code":2007}"#, "refused"),
            (430, r#"{"code":1009}"#, "refused"),
            (429, r#"{"code":1008}"#, "rate"),
            (200, r#"{"code":1008}"#, "rate"),
            (429, "slow down", "rate"),
            (500, r#"{"code":1000}"#, "away"),
            (503, "<html>", "away"),
            (504, r#"{"code":1050}"#, "away"),
            (502, r#"{"code":200}"#, "away"),
            (302, "", "away"),
            (600, r#"{"code":1002}"#, "away"),
        ] {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    use super::*;
    use crate::testkit::fuzz::{parts, target};
    use serde_json::Value;

    #[test]
    fn rongcloud() {
        target(env!("CARGO_MANIFEST_DIR"), "rongcloud", |input| {
            let [status, body] = parts(input);
            let status = std::str::from_utf8(status).ok().and_then(|s| s.parse().ok());
            let Some(status) = status.filter(|status| (200..=999).contains(status)) else { return };
            let value = serde_json::from_slice::<Value>(body).ok();
            let code = value.as_ref().and_then(|v| v.get("code").or_else(|| v.get(0))?.as_i64());
            match read::<Value>(status, body) {
                Ok(_) => assert_eq!((status, code), (200, Some(200))),
                Err(Trouble::Refused { text, .. }) => {
                    assert!(text.chars().count() <= 200 && !text.contains(char::is_control), "{text:?}");
                    assert!(status < 500, "a fault of RongCloud's own is no word of it");
                }
                Err(Trouble::RateLimited | Trouble::Unavailable(_)) => {}
            }
        });
    }
}
