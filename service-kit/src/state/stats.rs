//! Counters of the Redis connection, cheap enough for every call.

use crate::metrics::{Times, Timings};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The state store at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateStats {
    /// Whether Redis is believed to be there.
    pub up: bool,
    pub operations: u64,
    pub errors: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Time that operations took.
    pub latency: Times,
}

#[derive(Default)]
pub(super) struct Counters {
    errors: AtomicU64,
    connects: AtomicU64,
    latency: Timings,
}

impl Counters {
    pub fn operation(&self, took: Duration, failed: bool) {
        self.latency.took(took);
        if failed {
            self.errors.fetch_add(1, Relaxed);
        }
    }

    pub fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
    }

    pub fn snapshot(&self, up: bool) -> StateStats {
        let latency = self.latency.so_far();
        StateStats {
            up,
            operations: latency.buckets.iter().sum(),
            errors: self.errors.load(Relaxed),
            reconnects: self.connects.load(Relaxed).saturating_sub(1),
            latency,
        }
    }
}
