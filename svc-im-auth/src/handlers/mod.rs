//! From HTTP to the domain and back; each handler extracts, makes one domain call, and replies.

pub mod auth;
pub mod cmd;
pub mod im;
pub mod internal;
pub mod media;
pub mod socket;
pub mod user;

use service_kit::wire::{self, ErrCodeMsg, Internal, RetReason};

/// Outcome of a call of family B.
type HandledB<T = wire::Nothing> = wire::Handled<ErrCodeMsg, T>;
/// Outcome of a call of family C.
type HandledC<T = wire::Nothing> = wire::Handled<RetReason, T>;
/// Outcome of an internal call.
type HandledInternal<T> = wire::Handled<Internal, T>;
/// A file, or a failure in the words of family B.
type HandledMedia = Result<actix_web::HttpResponse, wire::Failure<ErrCodeMsg>>;
