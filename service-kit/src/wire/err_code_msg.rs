use super::{Dialect, Envelope};
use crate::error::{Code, Error};
use serde::Serialize;

/// Family B: `{"errCode","errMsg",…}`; `data` only on success.
pub struct ErrCodeMsg;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a, T: Serialize> {
    err_code: u16,
    err_msg: &'a str,
    #[serde(flatten)]
    payload: T,
}

impl Envelope for ErrCodeMsg {
    const DIALECT: Dialect = Dialect::ErrCodeMsg;

    fn success<T: Serialize>(payload: T) -> impl Serialize {
        Body { err_code: 0, err_msg: "", payload }
    }

    fn failure(error: &Error) -> impl Serialize {
        Body { err_code: number(error.code()), err_msg: error.text(), payload: super::reply::Nothing {} }
    }
}

/// The later numbers are OpenIM's own (`semantics.md` C); everything else says its HTTP status (contract §0).
pub(super) fn number(code: Code) -> u16 {
    match code {
        Code::AlreadyRegistered => 601,
        Code::TokenExpired => 701,
        Code::TokenInvalid => 702,
        Code::TokenMalformed => 703,
        Code::TokenKicked => 706,
        other => other.kind().status(),
    }
}
