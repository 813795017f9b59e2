//! From HTTP to the domain and back; each handler extracts, makes one domain call, and replies.

pub mod groups;
pub mod internal;
pub mod lists;
pub mod members;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::Deserialize;
use service_kit::auth::Credential;
use service_kit::wire::{self, Failure, Internal, RetReason};
use service_kit::{Code, Secret};
use shared_models::{GroupId, Text, Uid};
use std::future::{Ready, ready};
use utoipa::ToSchema;

/// Outcome of a call of family C.
type HandledC<T = wire::Nothing> = wire::Handled<RetReason, T>;
/// Outcome of an internal call.
type HandledInternal<T = wire::Nothing> = wire::Handled<Internal, T>;

/// What every call with credentials sends.
#[derive(Deserialize, ToSchema)]
#[schema(as = GroupsSignedRequest)]
pub struct SignedRequest {
    username: Uid,
    password: Option<Text<128>>,
    /// A token issued here, instead of the password; counts where both are given.
    token: Option<Text<4096>>,
}

impl SignedRequest {
    fn credential(self) -> Credential {
        credential(self.username, self.password, self.token)
    }
}

fn credential(username: Uid, password: Option<Text<128>>, token: Option<Text<4096>>) -> Credential {
    Credential { username, password: password.as_deref().map(Secret::new), token: token.as_deref().map(Secret::new) }
}

/// The group that the path names. What is no positive number is no group; nothing else is looked at then.
pub struct InPath(GroupId);

impl FromRequest for InPath {
    type Error = Failure<RetReason>;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = req.match_info().query("group_id");
        let digits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let id = id.parse().ok().filter(|id| digits && *id > 0);
        ready(id.map(|id| Self(GroupId(id))).ok_or_else(|| Code::UnknownGroup.into()))
    }
}
