//! The state store: what servers share and may lose (design §4). Redis, or `memory:`, its twin for the one process
//! of `kith`, with the same semantics, expiry and notices included.
//!
//! Knows no key of any service: each names its own. Whatever happens to Redis, an operation answers within about a
//! second, and within milliseconds once Redis is known to be away.

mod channels;
mod keeper;
mod link;
mod memory;
mod redis;
mod stats;

pub use channels::{Notice, Subscription};
pub(crate) use link::{Again, Link, Live, Status};
pub use stats::StateStats;

use crate::error::{Code, Error, Result};
use crate::gather::Source;
use crate::settings::StateSettings;
use futures_util::future::BoxFuture;
use memory::MemoryStore;
use redis::RedisStore;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events kept of one key; [`State::count`] goes no further.
pub const MAX_EVENTS: usize = 1000;

/// What became of a [`State::swap`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swapped {
    Done,
    /// Nothing was changed: this stood there.
    Found(Option<String>),
}

/// On what terms copies are put.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Over what is there, unless that is of a later revision; otherwise only where there is nothing.
    pub over: bool,
    pub within: Duration,
    pub life: Duration,
}

/// What a value begins with that has a revision; a number follows. One that begins otherwise is of revision 0.
pub const REVISION: &str = r#"{"revision":"#;

fn too_late() -> Error {
    Error::from(Code::Unreachable).because("the copies came too late")
}

/// The state store. Cheap to clone, usable from every runtime of the process; the connection ends with the last clone.
#[derive(Clone)]
pub struct State(Store);

#[derive(Clone)]
enum Store {
    Redis(Arc<RedisStore>),
    Memory(Arc<MemoryStore>),
}

/// One body for both stores.
macro_rules! on_store {
    ($state:expr, $store:ident => $call:expr) => {
        match &$state.0 {
            Store::Redis($store) => $call.await,
            Store::Memory($store) => Ok($call),
        }
    };
}

impl State {
    /// A bad URL is an error; a Redis that is away is not: the store connects by itself when it is there. Waits for
    /// the first attempt, at most a second.
    pub async fn open(settings: &StateSettings) -> Result<Self, String> {
        match settings.url.expose() {
            "memory:" => Ok(Self::memory()),
            url => RedisStore::open(url, &settings.prefix).await.map(|s| Self(Store::Redis(Arc::new(s)))),
        }
    }

    /// A new, empty store in this process.
    pub fn memory() -> Self {
        Self(Store::Memory(Arc::default()))
    }

    pub fn is_memory(&self) -> bool {
        matches!(self.0, Store::Memory(_))
    }

    pub async fn get(&self, key: &str) -> Result<Option<String>> {
        on_store!(self, s => s.get(key))
    }

    /// In the order of `keys`, in one round trip.
    pub async fn get_many<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Option<String>>> {
        on_store!(self, s => s.get_many(keys))
    }

    pub async fn set(&self, key: &str, value: &str, ttl: Duration) -> Result<()> {
        on_store!(self, s => s.set(key, value, ttl))
    }

    /// Sets only what is not there; false where something was.
    pub async fn set_new(&self, key: &str, value: &str, ttl: Duration) -> Result<bool> {
        on_store!(self, s => s.set_new(key, value, ttl))
    }

    /// Puts copies of what was true at `as_of`, all in one step, and only as long as that is not longer ago than
    /// `terms.within`: a command that lay in a frozen server comes too late. They end `terms.life` after `as_of`.
    pub async fn put_copies<K: AsRef<str>, V: AsRef<str>>(
        &self,
        copies: &[(K, V)],
        as_of: Instant,
        terms: Terms,
    ) -> Result<()> {
        match &self.0 {
            Store::Redis(s) => s.put_copies(copies, as_of, terms).await,
            Store::Memory(s) => s.put_copies(copies, as_of, terms),
        }
    }

    pub async fn delete(&self, key: &str) -> Result<()> {
        on_store!(self, s => s.delete(key))
    }

    /// Sets `new` if `expected` (`None`: nothing) stands there, in one step: of several callers that expect the same,
    /// one is told `Done`. An error leaves open whether it was done.
    pub async fn swap(&self, key: &str, expected: Option<&str>, new: &str, ttl: Duration) -> Result<Swapped> {
        on_store!(self, s => s.swap(key, expected, new, ttl))
    }

    /// Adds one event to each key. A key's newest [`MAX_EVENTS`] are kept, for `window`, which should be the same in
    /// every call for a key.
    pub async fn record<K: AsRef<str>>(&self, keys: &[K], window: Duration) -> Result<()> {
        on_store!(self, s => s.record(keys, window))
    }

    /// How many events each key had within the last `window`, to the moment (no fixed intervals).
    pub async fn count<K: AsRef<str>>(&self, keys: &[K], window: Duration) -> Result<Vec<u64>> {
        on_store!(self, s => s.count(keys, window))
    }

    /// Tells all present subscribers. Who repeats himself may be heard twice, so notices must bear that; what nobody
    /// hears is lost.
    pub async fn publish(&self, channel: &str, message: &str) -> Result<()> {
        on_store!(self, s => s.publish(channel, message))
    }

    /// Hears what is published from now on. While Redis is away the subscription waits for it, and then says
    /// [`Notice::Gap`].
    pub async fn subscribe(&self, channel: &str) -> Subscription {
        match &self.0 {
            Store::Redis(s) => s.subscribe(channel).await,
            Store::Memory(s) => s.subscribe(channel),
        }
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<()> {
        match &self.0 {
            Store::Redis(s) => s.ping().await,
            Store::Memory(_) => Ok(()),
        }
    }

    pub fn stats(&self) -> StateStats {
        match &self.0 {
            Store::Redis(s) => s.stats(),
            Store::Memory(_) => StateStats { up: true, ..StateStats::default() },
        }
    }

    /// The connection and the key prefix, for what runs scripts of its own; `None` in memory.
    pub(crate) fn link(&self) -> Option<(Link, &str)> {
        match &self.0 {
            Store::Redis(s) => Some((s.link(), s.prefix())),
            Store::Memory(_) => None,
        }
    }
}

impl Source for State {
    type Key = String;
    type Value = String;

    fn fetch(&self, keys: Vec<String>) -> BoxFuture<'_, Result<HashMap<String, String>>> {
        Box::pin(async move {
            let found = self.get_many(&keys).await?;
            Ok(keys.into_iter().zip(found).filter_map(|(key, value)| Some((key, value?))).collect())
        })
    }
}

/// For Redis, which takes no expiry of zero.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX / 2).clamp(1, u64::MAX / 2)
}
