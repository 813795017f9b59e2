//! Counters of the Redis connection, cheap enough for every call.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the latency histogram's buckets, in microseconds; one more bucket holds the rest.
pub const LATENCY_BOUNDS: [u64; 11] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000];

/// The state store at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateStats {
    /// Whether Redis is believed to be there.
    pub up: bool,
    pub operations: u64,
    pub errors: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Operations by duration: not summed up, one more entry than [`LATENCY_BOUNDS`].
    pub latency: [u64; LATENCY_BOUNDS.len() + 1],
    pub latency_sum_micros: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    errors: AtomicU64,
    connects: AtomicU64,
    latency: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Counters {
    pub fn operation(&self, took: Duration, failed: bool) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.latency.get(LATENCY_BOUNDS.partition_point(|&bound| bound < micros)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_micros.fetch_add(micros, Relaxed);
        if failed {
            self.errors.fetch_add(1, Relaxed);
        }
    }

    pub fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
    }

    pub fn snapshot(&self, up: bool) -> StateStats {
        let latency = std::array::from_fn(|i| self.latency.get(i).map_or(0, |n| n.load(Relaxed)));
        StateStats {
            up,
            operations: latency.iter().sum(),
            errors: self.errors.load(Relaxed),
            reconnects: self.connects.load(Relaxed).saturating_sub(1),
            latency,
            latency_sum_micros: self.sum_micros.load(Relaxed),
        }
    }
}
