//! What the door counts.

use crate::metrics::{Times, Timings};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Counters {
    running: AtomicUsize,
    pub done: AtomicU64,
    pub refused: AtomicU64,
    pub expired: AtomicU64,
    pub timeouts: AtomicU64,
    pub grouped: AtomicU64,
    pub retries: AtomicU64,
    pub lost: AtomicU64,
    /// How long jobs waited for a thread.
    pub waits: Timings,
    busy_micros: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64) {
        Self::add_many(counter, 1);
    }

    pub fn add_many(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Counts a thread as running until the guard is dropped.
    pub fn running(self: &std::sync::Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running { counters: self.clone(), since: Instant::now() }
    }
}

pub(super) struct Running {
    counters: std::sync::Arc<Counters>,
    since: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.counters.running.fetch_sub(1, Ordering::Relaxed);
        let busy = u64::try_from(self.since.elapsed().as_micros()).unwrap_or_default();
        self.counters.busy_micros.fetch_add(busy, Ordering::Relaxed);
    }
}

/// The door's state at one moment; the sums count from its opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// `postgres` or `sqlite`.
    pub backend: &'static str,
    /// Database threads.
    pub threads: usize,
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Threads at work.
    pub running: usize,
    /// Jobs run and answered, well or badly.
    pub done: u64,
    /// Jobs refused because the queue was full.
    pub refused: u64,
    /// Jobs not run because they waited too long or their caller had gone.
    pub expired: u64,
    /// Callers who gave up waiting.
    pub timeouts: u64,
    /// SQLite: jobs that shared a commit with others.
    pub grouped: u64,
    /// Jobs run again.
    pub retries: u64,
    /// Connections found dead.
    pub lost: u64,
    /// How long jobs waited for a thread.
    pub waits: Times,
    /// What the threads were at work, together.
    pub busy: Duration,
}

impl Counters {
    pub fn snapshot(&self, backend: &'static str, threads: usize, queued: usize) -> Stats {
        let sum = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Stats {
            backend,
            threads,
            queued,
            running: self.running.load(Ordering::Relaxed),
            done: sum(&self.done),
            refused: sum(&self.refused),
            expired: sum(&self.expired),
            timeouts: sum(&self.timeouts),
            grouped: sum(&self.grouped),
            retries: sum(&self.retries),
            lost: sum(&self.lost),
            waits: self.waits.so_far(),
            busy: Duration::from_micros(sum(&self.busy_micros)),
        }
    }
}
