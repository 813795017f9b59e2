//! The store within one process. Everything expires as in Redis, and memory stays bounded by what is still valid.

use super::channels::{Channels, Subscription};
use super::{MAX_EVENTS, REVISION, Swapped, Terms, too_late};
use crate::error::Result;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A power of two; keeps the workers out of each other's way.
const SHARDS: usize = 16;
/// A shard is swept when it has doubled since the last time, but not below this.
const SWEEP_FROM: usize = 1024;
/// And at the latest after this, on the next write.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct MemoryStore {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    channels: Arc<Channels>,
}

struct Shard {
    values: HashMap<String, Value>,
    events: HashMap<String, Events>,
    swept: Instant,
    sweep_at: usize,
}

struct Value {
    text: String,
    expires: Option<Instant>,
}

/// Moments, oldest first.
struct Events {
    moments: VecDeque<Instant>,
    window: Duration,
}

impl Default for Shard {
    fn default() -> Self {
        Self { values: HashMap::new(), events: HashMap::new(), swept: Instant::now(), sweep_at: SWEEP_FROM }
    }
}

impl Shard {
    fn get(&self, key: &str, now: Instant) -> Option<&str> {
        self.values.get(key).filter(|v| v.expires.is_none_or(|e| e > now)).map(|v| v.text.as_str())
    }

    fn set(&mut self, key: &str, text: &str, ttl: Duration, now: Instant) {
        self.sweep(now);
        // Beyond the clock's end is for ever.
        self.values.insert(key.to_owned(), Value { text: text.to_owned(), expires: now.checked_add(ttl) });
    }

    fn sweep(&mut self, now: Instant) {
        if self.values.len() + self.events.len() < self.sweep_at && now.duration_since(self.swept) < SWEEP_EVERY {
            return;
        }
        self.values.retain(|_, v| v.expires.is_none_or(|e| e > now));
        self.events.retain(|_, e| e.count(e.window, now) > 0);
        self.swept = now;
        self.sweep_at = SWEEP_FROM.max(2 * (self.values.len() + self.events.len()));
    }
}

impl Events {
    fn count(&self, window: Duration, now: Instant) -> usize {
        let old = self.moments.partition_point(|&m| now.duration_since(m) >= window);
        self.moments.len() - old
    }
}

fn revision(copy: &str) -> u64 {
    let number = copy.strip_prefix(REVISION).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    number.and_then(|n| n.parse().ok()).unwrap_or_default()
}

impl MemoryStore {
    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(key) as usize & (SHARDS - 1);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, key: &str) -> Option<String> {
        self.shard(key).get(key, Instant::now()).map(str::to_owned)
    }

    pub fn get_many<K: AsRef<str>>(&self, keys: &[K]) -> Vec<Option<String>> {
        keys.iter().map(|k| self.get(k.as_ref())).collect()
    }

    pub fn set(&self, key: &str, value: &str, ttl: Duration) {
        self.shard(key).set(key, value, ttl, Instant::now());
    }

    pub fn set_new(&self, key: &str, value: &str, ttl: Duration) -> bool {
        self.swap(key, None, value, ttl) == Swapped::Done
    }

    pub fn put_copies<K: AsRef<str>, V: AsRef<str>>(
        &self,
        copies: &[(K, V)],
        as_of: Instant,
        terms: Terms,
    ) -> Result<()> {
        for (key, copy) in copies {
            let (key, copy, now) = (key.as_ref(), copy.as_ref(), Instant::now());
            let age = now.duration_since(as_of);
            if age > terms.within {
                return Err(too_late());
            }
            let mut shard = self.shard(key);
            let found = shard.get(key, now);
            let may = found.is_none_or(|found| terms.over && revision(found) <= revision(copy));
            if may {
                shard.set(key, copy, terms.life.saturating_sub(age), now);
            }
        }
        Ok(())
    }

    pub fn delete(&self, key: &str) {
        self.shard(key).values.remove(key);
    }

    pub fn swap(&self, key: &str, expected: Option<&str>, new: &str, ttl: Duration) -> Swapped {
        let now = Instant::now();
        let mut shard = self.shard(key);
        let found = shard.get(key, now);
        if found != expected {
            return Swapped::Found(found.map(str::to_owned));
        }
        shard.set(key, new, ttl, now);
        Swapped::Done
    }

    pub fn record<K: AsRef<str>>(&self, keys: &[K], window: Duration) {
        let now = Instant::now();
        for key in keys {
            let mut shard = self.shard(key.as_ref());
            shard.sweep(now);
            let events = shard
                .events
                .entry(key.as_ref().to_owned())
                .or_insert_with(|| Events { moments: VecDeque::new(), window });
            events.window = window;
            let keep = events.count(window, now).min(MAX_EVENTS - 1);
            let old = events.moments.len() - keep;
            events.moments.drain(..old);
            events.moments.push_back(now);
        }
    }

    pub fn count<K: AsRef<str>>(&self, keys: &[K], window: Duration) -> Vec<u64> {
        let now = Instant::now();
        let count = |key: &str| self.shard(key).events.get(key).map_or(0, |e| e.count(window, now) as u64);
        keys.iter().map(|k| count(k.as_ref())).collect()
    }

    pub fn publish(&self, channel: &str, message: &str) {
        self.channels.deliver(channel, message.to_owned());
    }

    pub fn subscribe(&self, channel: &str) -> Subscription {
        self.channels.subscribe(channel)
    }
}
