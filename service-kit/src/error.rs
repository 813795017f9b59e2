//! One table of reasons, said in four ways (`wire/`).
//!
//! A new reason is one row here and, where a document has a number of its own for it, one arm in `wire/`.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// What sort of failure a reason is. The number is the HTTP status that the same failure would have elsewhere;
/// our dialects mostly answer 200 (contract §0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A parameter is missing or wrong.
    Invalid,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    TooLarge,
    TooMany,
    Internal,
    BadGateway,
    /// Busy or a part that is needed is away: the same call may succeed later.
    Unavailable,
    Timeout,
}

impl Kind {
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::TooMany => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// A failure of ours rather than of the request.
    pub fn is_fault(self) -> bool {
        self.status() >= 500
    }
}

macro_rules! codes {
    ($($name:ident, $kind:ident, $text:literal;)*) => {
        /// Why a call failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($name,)* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// What the client is told where the error has no detail of its own.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Name in the internal API and in metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    // any call
    BadParameter, Invalid, "invalid parameter";
    EmptyBody, Invalid, "the request has no body";
    BadBody, Invalid, "the request's body cannot be read";
    UnknownPath, NotFound, "no such call";
    WrongMethod, MethodNotAllowed, "this call does not take that method";
    BodyTooLarge, TooLarge, "the request's body is too large";
    RateLimited, TooMany, "too many requests: try again later";
    Internal, Internal, "internal error";
    Busy, Unavailable, "busy: try again";
    Unreachable, Unavailable, "a part of the service is not reachable: try again";
    Overloaded, Unavailable, "too many connections: try again";

    // the gateway's own
    BadUpstream, BadGateway, "the service did not answer properly: try again";
    UpstreamDown, Unavailable, "the service is not reachable: try again";
    UpstreamTimeout, Timeout, "the service did not answer in time";

    // identity (§2, §3)
    NotAuthorized, Unauthorized, "not authorized";
    AlreadyRegistered, Conflict, "already registered";
    NotRegistered, NotFound, "user not registered";
    TokenExpired, Unauthorized, "token expired";
    TokenInvalid, Unauthorized, "token invalid";
    TokenMalformed, Unauthorized, "token malformed";
    TokenKicked, Unauthorized, "token kicked";
    WrongCredentials, Unauthorized, "wrong username or password, or too many attempts: try again in 15 minutes";
    UnknownUser, NotFound, "no such user";
    NameReserved, Forbidden, "this username cannot be registered";
    RegistrationClosed, Forbidden, "self-registration is closed";
    NoCustomerService, NotFound, "no customer service account is configured";

    // family D's signature (§4)
    WrongVersion, Invalid, "SoftVersion is none of the known ones";
    UnknownApp, NotFound, "no such app";
    NoAuthorization, Unauthorized, "Authorization is missing";
    AuthorizationNotBase64, Unauthorized, "Authorization is not Base64";
    AuthorizationMalformed, Unauthorized, "Authorization is not id:timestamp";
    AuthorizationWithoutId, Unauthorized, "Authorization has no id";
    AuthorizationWithoutTime, Unauthorized, "Authorization has no timestamp";
    AuthorizationTimeMalformed, Unauthorized, "Authorization: the timestamp is not yyyyMMddHHmmss";
    AuthorizationExpired, Unauthorized, "Authorization: the timestamp is more than 24 hours away";
    AuthorizationOfOtherApp, Unauthorized, "Authorization: the id is not that of the path";
    NoSignature, Unauthorized, "sig is missing";
    WrongSignature, Unauthorized, "sig is wrong";

    // friends (§4)
    OperatorOfOtherApp, Forbidden, "useracc: not of this app";
    OtherAppNotAllowed, Forbidden, "users of that app are not allowed here";
    Oneself, Invalid, "the other user is oneself";
    NoSuchRequest, NotFound, "no such pending request";
    NotAFriend, NotFound, "not a friend";
    LimitReached, Conflict, "too many";
    ImageRefused, Invalid, "not an image of type jpg, png, gif or bmp of at most 5 MiB";
    AlreadyHandled, Conflict, "already handled";
    ProviderAway, Unavailable, "the IM provider is not reachable: try again";
    ProviderRefused, BadGateway, "the IM provider refused the request";

    // groups (§3)
    UnknownGroup, NotFound, "no such group";
    AdminOnly, Forbidden, "only an administrator may do this";
    NotGroupOwner, Forbidden, "only the group's owner or an administrator may dismiss it";
    GroupFull, Conflict, "the group is full";
    TooManyGroups, Conflict, "this user is in as many groups as one may be in";
    // svc-groups' own: whoever joins again is a member, and told no reason
    AlreadyMember, Conflict, "a member of the group already";
    NotMember, Conflict, "not a member of the group";
    OwnerCannotQuit, Conflict, "the owner cannot quit the group, only dismiss it";

    // terminal users (§1)
    UnknownTerminalUser, NotFound, "no such terminal user";
    SameKey, Conflict, "the new key is the one to be replaced";
    UnusableCode, NotFound, "the code is unknown, used or expired";
}

/// Why a call failed: a reason, what the client may know of this case, and what only the log may know.
pub struct Error {
    code: Code,
    detail: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// `detail` goes to the client instead of the reason's text: English, field and rule, never internals.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: Some(detail.into()), source: None }
    }

    /// A bad parameter, by name: "uid: longer than 64 characters".
    pub fn parameter(field: &str, rule: impl fmt::Display) -> Self {
        Self::new(Code::BadParameter, format!("{field}: {rule}"))
    }

    /// A fault of ours; `source` is logged and never shown.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::from(Code::Internal).because(source)
    }

    /// Adds what only the log may know.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same for another caller who waited for the same; what only the log may know is text from here on.
    #[must_use]
    pub fn for_another(&self) -> Self {
        let causes = self.causes();
        let source = (!causes.is_empty()).then(|| causes.into());
        Self { code: self.code, detail: self.detail.clone(), source }
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn kind(&self) -> Kind {
        self.code.kind()
    }

    /// What the client is told.
    pub fn text(&self) -> &str {
        self.detail.as_deref().unwrap_or_else(|| self.code.text())
    }

    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The source's own type, where the caller knows what to look for.
    pub fn source_as<T: StdError + 'static>(&self) -> Option<&T> {
        self.source.as_deref().and_then(|s| s.downcast_ref())
    }

    /// Text and causes on one line, for the log.
    pub fn chain(&self) -> String {
        let (name, text, causes) = (self.code.name(), self.text(), self.causes());
        if causes.is_empty() { format!("{name}: {text}") } else { format!("{name}: {text}: {causes}") }
    }

    fn causes(&self) -> String {
        let mut causes = Vec::new();
        let mut cause = self.source.as_deref().map(|s| s as &dyn StdError);
        while let Some(c) = cause {
            causes.push(c.to_string());
            cause = c.source();
        }
        causes.join(": ")
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self { code, detail: None, source: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_codes() {
        for &code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
    }

    #[test]
    fn causes_are_for_the_log_only() {
        let e = Error::internal(std::io::Error::other("disk on fire"));
        assert_eq!(e.to_string(), "internal error");
        assert_eq!(e.chain(), "Internal: internal error: disk on fire");
    }
}
