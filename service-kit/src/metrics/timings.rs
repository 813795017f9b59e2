//! How long things took, counted cheaply enough for every call.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds; one more bucket holds the rest.
pub const BOUNDS: [u64; 11] = [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000];

const BUCKETS: usize = BOUNDS.len() + 1;

#[derive(Default)]
pub struct Timings {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

/// What was counted so far; not summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    pub buckets: [u64; BUCKETS],
    pub sum_micros: u64,
}

impl Timings {
    pub fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(BOUNDS.partition_point(|&bound| bound < micros)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    pub fn so_far(&self) -> Times {
        let buckets = std::array::from_fn(|n| self.buckets.get(n).map_or(0, |count| count.load(Relaxed)));
        Times { buckets, sum_micros: self.sum_micros.load(Relaxed) }
    }
}
