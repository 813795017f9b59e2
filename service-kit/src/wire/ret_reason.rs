use super::{Dialect, Envelope};
use crate::error::Error;
use serde::Serialize;

/// Family C: `{"ret","reason",…}`.
pub struct RetReason;

#[derive(Serialize)]
struct Body<'a, T: Serialize> {
    ret: &'static str,
    reason: &'a str,
    #[serde(flatten)]
    payload: T,
}

impl Envelope for RetReason {
    const DIALECT: Dialect = Dialect::RetReason;

    fn success<T: Serialize>(payload: T) -> impl Serialize {
        Body { ret: "ok", reason: "", payload }
    }

    fn failure(error: &Error) -> impl Serialize {
        Body { ret: "failed", reason: error.text(), payload: super::reply::Nothing {} }
    }
}
