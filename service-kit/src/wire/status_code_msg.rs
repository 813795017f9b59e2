use super::{Dialect, Envelope};
use crate::error::{Code, Error, Kind};
use serde::Serialize;

/// Family D: `{"statusCode","statusMsg",…}`, all values strings.
pub struct StatusCodeMsg;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a, T: Serialize> {
    status_code: &'static str,
    status_msg: &'a str,
    #[serde(flatten)]
    payload: T,
}

impl Envelope for StatusCodeMsg {
    const DIALECT: Dialect = Dialect::StatusCodeMsg;

    fn success<T: Serialize>(payload: T) -> impl Serialize {
        Body { status_code: "000000", status_msg: "success", payload }
    }

    fn failure(error: &Error) -> impl Serialize {
        Body { status_code: number(error.code()), status_msg: error.text(), payload: super::reply::Nothing {} }
    }
}

/// Numbers of the published list (`semantics.md` A.2) and contract §4; never zero, which clients take for success.
fn number(code: Code) -> &'static str {
    match code {
        Code::EmptyBody => "160030",
        Code::BadBody => "160031",
        Code::NotRegistered | Code::UnknownUser => "112187",
        other => match other.kind() {
            Kind::Invalid | Kind::Conflict | Kind::Forbidden => "112180",
            Kind::Unauthorized => "111109",
            Kind::NotFound if other == Code::UnknownPath => "111100",
            Kind::NotFound => "112180",
            Kind::MethodNotAllowed => "111100",
            Kind::TooLarge => "160031",
            Kind::TooMany => "111111",
            Kind::Internal | Kind::BadGateway | Kind::Unavailable | Kind::Timeout => "160000",
        },
    }
}
