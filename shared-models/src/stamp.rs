use serde::{Deserialize, Serialize};

/// A moment, or a place on an owner's clock: milliseconds since 1970-01-01T00:00:00Z. 0 is "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub i64);
