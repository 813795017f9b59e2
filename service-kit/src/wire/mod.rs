//! How each family of documents says success and failure (contract §0). One file per envelope; the numbers and
//! field names of the documents stand nowhere else.

mod err_code_msg;
mod internal;
mod list;
mod rc_rm;
mod reply;
mod ret_reason;
mod route;
mod status_code_msg;

pub use err_code_msg::ErrCodeMsg;
pub use internal::Internal;
pub use list::{Chunks, ListReply};
pub use rc_rm::RcRm;
pub use reply::{FAILURE_HEADER, Failure, Handled, Nothing, Outcome, Reply, http_status, unknown_path};
pub use ret_reason::RetReason;
pub(crate) use route::Routed;
pub use route::{Call, change_by_get_or_post, get, get_or_post, post, serve_calls, upgraded};
pub use status_code_msg::StatusCodeMsg;

use crate::error::{Code, Error};
use actix_web::http::StatusCode;
use serde::Serialize;
use std::borrow::Cow;

/// One family's way of saying things.
pub trait Envelope: 'static {
    const CONTENT_TYPE: &'static str = "application/json; charset=utf-8";
    const DIALECT: Dialect;
    /// `Cache-Control` of every answer that does not say otherwise.
    const CACHE: Option<&'static str> = None;

    /// Envelope keys first, then the payload's.
    fn success<T: Serialize>(payload: T) -> impl Serialize;

    /// The two envelope keys and nothing else.
    fn failure(error: &Error) -> impl Serialize;

    /// A failure's HTTP status: 200 whenever a service judged the request (contract §0).
    fn status(code: Code) -> StatusCode {
        http_status(code)
    }
}

/// A family as a value, for the gateway: it fails in the dialect of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A, documents 000 and 001.
    RcRm,
    /// B, document 002, and paths of no family.
    ErrCodeMsg,
    /// C, document 003.
    RetReason,
    /// D, document 004.
    StatusCodeMsg,
    /// Between our services; no path of the gateway leads to it.
    Internal,
}

impl Dialect {
    /// The family of a path (contract §0); of paths of no family, B.
    pub fn of_path(path: &str) -> Self {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if path.ends_with(".action") || first.starts_with("tu_") || first.starts_with("ua_") {
            Self::RcRm
        } else if first == "im" || first == "cmd" {
            Self::RetReason
        } else if ["auth", "user", "ws", "media", "bind"].contains(&first) {
            // As routes have it: no version is called so, whatever comes behind.
            Self::ErrCodeMsg
        } else if path.trim_start_matches('/').split('/').nth(1) == Some("Application") {
            Self::StatusCodeMsg
        } else {
            Self::ErrCodeMsg
        }
    }

    /// A failure's body and content type.
    pub fn failure(self, error: &Error) -> (String, &'static str) {
        fn render<W: Envelope>(error: &Error) -> (String, &'static str) {
            (serde_json::to_string(&W::failure(error)).unwrap_or_default(), W::CONTENT_TYPE)
        }
        match self {
            Self::RcRm => render::<RcRm>(error),
            Self::ErrCodeMsg => render::<ErrCodeMsg>(error),
            Self::RetReason => render::<RetReason>(error),
            Self::StatusCodeMsg => render::<StatusCodeMsg>(error),
            Self::Internal => render::<Internal>(error),
        }
    }

    /// What the contract calls the family.
    pub fn letter(self) -> &'static str {
        match self {
            Self::RcRm => "A",
            Self::ErrCodeMsg => "B",
            Self::RetReason => "C",
            Self::StatusCodeMsg => "D",
            Self::Internal => "internal",
        }
    }

    /// The code that the family's envelope has for a reason.
    pub fn number(self, code: Code) -> Cow<'static, str> {
        match self {
            Self::RcRm => "0".into(),
            Self::ErrCodeMsg => err_code_msg::number(code).to_string().into(),
            Self::RetReason => "failed".into(),
            Self::StatusCodeMsg => status_code_msg::number(code).into(),
            Self::Internal => code.name().into(),
        }
    }

    /// Whether even the gateway's own failures go out as HTTP 200: the shipped clients of these families read no
    /// body otherwise (`semantics.md` E.1, A.1).
    pub fn hides_status(self) -> bool {
        matches!(self, Self::RcRm | Self::StatusCodeMsg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_route_of_its_own_is_no_version_of_family_d() {
        for (path, dialect) in [
            ("/2013-12-26/Application/x/IM/getFriends", Dialect::StatusCodeMsg),
            ("/anything/Application", Dialect::StatusCodeMsg),
            ("/auth/Application/x", Dialect::ErrCodeMsg),
            ("/user/Application", Dialect::ErrCodeMsg),
            ("/ws/Application", Dialect::ErrCodeMsg),
            ("/media/Application/x", Dialect::ErrCodeMsg),
            ("/bind/Application", Dialect::ErrCodeMsg),
            ("/im/Application", Dialect::RetReason),
            ("/tu_x/Application", Dialect::RcRm),
        ] {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }

    /// Pins every number: a change here is a change of protocol.
    #[test]
    fn every_code_has_its_number_in_every_dialect() {
        let all: Vec<String> = Code::ALL
            .iter()
            .map(|&code| {
                let e = Error::from(code);
                let body = |d: Dialect| d.failure(&e).0;
                assert_eq!(body(Dialect::RcRm), format!(r#"{{"rc":"0","rm":"{}"}}"#, code.text()));
                assert_eq!(body(Dialect::RetReason), format!(r#"{{"ret":"failed","reason":"{}"}}"#, code.text()));
                let number =
                    |s: &str| s.split(':').nth(1).and_then(|s| s.split(',').next()).unwrap_or_default().to_owned();
                format!(
                    "{} {} {}",
                    code.name(),
                    number(&body(Dialect::ErrCodeMsg)),
                    number(&body(Dialect::StatusCodeMsg)).trim_matches('"')
                )
            })
            .collect();
        assert_eq!(
            all,
            [
                "BadParameter 400 112180",
                "EmptyBody 400 160030",
                "BadBody 400 160031",
                "UnknownPath 404 111100",
                "WrongMethod 405 111100",
                "BodyTooLarge 413 160031",
                "RateLimited 429 111111",
                "Internal 500 160000",
                "Busy 503 160000",
                "Unreachable 503 160000",
                "Overloaded 503 160000",
                "BadUpstream 502 160000",
                "UpstreamDown 503 160000",
                "UpstreamTimeout 504 160000",
                "NotAuthorized 401 111109",
                "AlreadyRegistered 601 112180",
                "NotRegistered 404 112187",
                "TokenExpired 701 111109",
                "TokenInvalid 702 111109",
                "TokenMalformed 703 111109",
                "TokenKicked 706 111109",
                "WrongCredentials 401 111109",
                "UnknownUser 404 112187",
                "NameReserved 403 112180",
                "RegistrationClosed 403 112180",
                "NoCustomerService 404 112180",
                "WrongVersion 400 111110",
                "UnknownApp 404 111181",
                "NoAuthorization 401 111101",
                "AuthorizationNotBase64 401 111102",
                "AuthorizationMalformed 401 111103",
                "AuthorizationWithoutId 401 111104",
                "AuthorizationWithoutTime 401 111105",
                "AuthorizationTimeMalformed 401 111113",
                "AuthorizationExpired 401 111106",
                "AuthorizationOfOtherApp 401 111107",
                "NoSignature 401 111108",
                "WrongSignature 401 111109",
                "OperatorOfOtherApp 403 112181",
                "OtherAppNotAllowed 403 112182",
                "Oneself 400 112183",
                "NoSuchRequest 404 112185",
                "NotAFriend 404 112186",
                "LimitReached 409 112188",
                "ImageRefused 400 112189",
                "AlreadyHandled 409 112195",
                "ProviderAway 503 160000",
                "ProviderRefused 502 160000",
                "UnknownGroup 404 112180",
                "AdminOnly 403 112180",
                "NotGroupOwner 403 112180",
                "GroupFull 409 112180",
                "TooManyGroups 409 112180",
                "AlreadyMember 409 112180",
                "NotMember 409 112180",
                "OwnerCannotQuit 409 112180",
                "UnknownTerminalUser 404 112180",
                "SameKey 409 112180",
                "UnusableCode 404 112180",
            ]
        );
    }

    #[test]
    fn paths_belong_to_families() {
        for (path, dialect) in [
            ("/tu_rc_get_urt_from_hp.action", Dialect::RcRm),
            ("/ua_reg_user_from_hp.action", Dialect::RcRm),
            ("/tu_nothing", Dialect::RcRm),
            ("/auth/user_register", Dialect::ErrCodeMsg),
            ("/", Dialect::ErrCodeMsg),
            ("/ws", Dialect::ErrCodeMsg),
            ("/im/11/group_join/", Dialect::RetReason),
            ("/cmd", Dialect::RetReason),
            ("/cmd/", Dialect::RetReason),
            ("/imx", Dialect::ErrCodeMsg),
            ("/2013-12-26/Application/x/IM/getFriends", Dialect::StatusCodeMsg),
        ] {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }
}
