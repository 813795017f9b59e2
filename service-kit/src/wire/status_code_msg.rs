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
pub(super) fn number(code: Code) -> &'static str {
    match code {
        Code::EmptyBody => "160030",
        Code::BadBody => "160031",
        Code::WrongVersion => "111110",
        Code::UnknownApp => "111181",
        Code::NoAuthorization => "111101",
        Code::AuthorizationNotBase64 => "111102",
        Code::AuthorizationMalformed => "111103",
        Code::AuthorizationWithoutId => "111104",
        Code::AuthorizationWithoutTime => "111105",
        Code::AuthorizationTimeMalformed => "111113",
        Code::AuthorizationExpired => "111106",
        Code::AuthorizationOfOtherApp => "111107",
        Code::NoSignature => "111108",
        Code::OperatorOfOtherApp => "112181",
        Code::OtherAppNotAllowed => "112182",
        Code::Oneself => "112183",
        Code::NoSuchRequest => "112185",
        Code::NotAFriend => "112186",
        Code::NotRegistered | Code::UnknownUser => "112187",
        Code::LimitReached => "112188",
        Code::ImageRefused => "112189",
        // The shipped iOS client takes this one for a success of friendAgree (`semantics.md` A.2).
        Code::AlreadyHandled => "112195",
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
