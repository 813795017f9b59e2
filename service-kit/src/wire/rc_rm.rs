use super::{Dialect, Envelope};
use crate::error::Error;
use serde::Serialize;

/// Family A: `{"rc","rm",…}`, all values strings; the shipped iOS app crashes on a number (`semantics.md` E.1).
pub struct RcRm;

#[derive(Serialize)]
struct Body<'a, T: Serialize> {
    rc: &'static str,
    rm: &'a str,
    #[serde(flatten)]
    payload: T,
}

impl Envelope for RcRm {
    const CONTENT_TYPE: &'static str = "application/json;charset=utf-8";
    const DIALECT: Dialect = Dialect::RcRm;
    /// Its writes are GETs (contract §0).
    const CACHE: Option<&'static str> = Some("no-store");

    fn success<T: Serialize>(payload: T) -> impl Serialize {
        Body { rc: "1", rm: "", payload }
    }

    fn failure(error: &Error) -> impl Serialize {
        Body { rc: "0", rm: error.text(), payload: super::reply::Nothing {} }
    }
}
