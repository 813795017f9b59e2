//! From HTTP to the domain and back; each handler extracts, makes one domain call, and replies.

pub mod courses;
mod fields;
pub mod info;
pub mod legacy;
pub mod page;
pub mod replace;
pub mod rongcloud;

use service_kit::wire::{self, RcRm};

/// Outcome of a call of family A.
type Handled<T = wire::Nothing> = wire::Handled<RcRm, T>;
