//! From HTTP to the domain and back; each handler extracts, makes one domain call, and replies.

pub mod groups;
pub mod internal;
pub mod lists;
pub mod members;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use service_kit::Code;
use service_kit::wire::{self, Failure, Internal, RetReason};
use shared_models::GroupId;
use std::future::{Ready, ready};

/// Outcome of a call of family C.
type HandledC<T = wire::Nothing> = wire::Handled<RetReason, T>;
/// Outcome of an internal call.
type HandledInternal<T = wire::Nothing> = wire::Handled<Internal, T>;

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
