//! From HTTP to the domain and back; each handler extracts, makes one domain call, and replies.

pub mod avatars;
mod fields;
pub mod lists;
pub mod people;
pub mod relations;
mod signed;

use service_kit::wire::{self, StatusCodeMsg};

/// Outcome of a call of family D.
type Handled<T = wire::Nothing> = wire::Handled<StatusCodeMsg, T>;
