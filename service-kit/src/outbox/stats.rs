//! What the outbox tells of itself.

use super::{Outbox, store};
use crate::metrics::Reading;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How often the tables are counted.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Counters {
    pub delivered: AtomicU64,
    pub failed: AtomicU64,
    waiting: AtomicU64,
    dead: AtomicU64,
    /// Milliseconds.
    age: AtomicU64,
}

impl Counters {
    pub fn readings(&self) -> Vec<Reading> {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        vec![
            Reading::gauge("length", "Intents that wait to be delivered", read(&self.waiting)),
            Reading::gauge("age_seconds", "How long the oldest of them waits", read(&self.age) / 1000),
            Reading::gauge("dead", "Dead letters: see `kith outbox list`", read(&self.dead)),
            Reading::counter("delivered", "Intents delivered by this process", read(&self.delivered)),
            Reading::counter("failures", "Deliveries that failed", read(&self.failed)),
        ]
    }
}

impl Outbox {
    pub(super) async fn count(self, mut ending: watch::Receiver<bool>) {
        loop {
            // A database that is away leaves the last numbers; its own metrics tell.
            if let Ok(counted) = self.0.db.read(|conn| Ok(store::count(conn)?)).await {
                let age = counted.oldest.map_or(0, |since| self.0.clock.now().0 - since);
                let set = |n: &AtomicU64, to: i64| n.store(u64::try_from(to).unwrap_or_default(), Ordering::Relaxed);
                set(&self.0.counters.waiting, counted.waiting);
                set(&self.0.counters.dead, counted.dead);
                set(&self.0.counters.age, age);
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = ending.wait_for(|ending| *ending) => return,
            }
        }
    }
}
