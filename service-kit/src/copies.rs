//! Copies in the state store of what a database owns (design §4): overwritten on change before the answer, ended
//! after 5 s at most by themselves, filled in only where there is none.
//!
//! Where a copy could not be overwritten this process knows that there may be an old one, and believes none until
//! the old one must have ended; so the process that made a change never sees it undone. Changes of one thing come here
//! in any order: a copy that tells its revision ([`REVISION`]) is not overwritten by one of an earlier.

use crate::error::{Code, Result};
use crate::gather::Gather;
use crate::random::shortened;
use crate::state::{State, Terms};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use crate::state::REVISION;

/// A copy's life: none is ever staler than this, whatever happens to the store.
pub const COPY_TTL: Duration = Duration::from_secs(5);

/// What was read longer ago than this may be older than a change whose overwritten copy is about to end; and a change
/// that was made longer ago may not be the last.
const WITHIN: Duration = Duration::from_secs(1);

/// Where a look-up stands behind another in a store that has just frozen, whoever asked goes on without.
const PATIENCE: Duration = Duration::from_secs(1);

/// Copies in one step of the store, which does nothing else meanwhile.
const AT_ONCE: usize = 500;

/// Cheap to clone; all clones know of the same failures.
#[derive(Clone)]
pub struct Copies(Arc<Inner>);

struct Inner {
    state: State,
    /// Those that are asked for one by one.
    singly: Gather<State>,
    doubted_until: Mutex<Option<Instant>>,
}

impl Copies {
    pub fn new(state: State) -> Self {
        Self(Arc::new(Inner { singly: Gather::new(state.clone()), state, doubted_until: Mutex::new(None) }))
    }

    /// The copies that may be believed; a store that is away has none.
    pub async fn get_many<K: AsRef<str>>(&self, keys: &[K]) -> Vec<Option<String>> {
        self.believed(self.0.state.get_many(keys)).await.unwrap_or_else(|| vec![None; keys.len()])
    }

    pub async fn get(&self, key: &str) -> Option<String> {
        // Nothing is gained by gathering where nothing travels.
        if self.0.state.is_memory() {
            return self.believed(self.0.state.get(key)).await.flatten();
        }
        let found = async {
            let found = tokio::time::timeout(PATIENCE, self.0.singly.get(key.to_owned())).await;
            found.unwrap_or_else(|_| Err(Code::Unreachable.into()))
        };
        self.believed(found).await.flatten()
    }

    async fn believed<T>(&self, found: impl Future<Output = Result<T>>) -> Option<T> {
        let found = if self.are_doubted() { None } else { found.await.ok() };
        // Looked at again: an overwriting may have failed while the store was asked.
        found.filter(|_| !self.are_doubted())
    }

    /// Copies of what was read from the database, by a read that began at `as_of`; a copy that is there is newer. They
    /// end together, but not with those of other reads.
    pub async fn fill<K: AsRef<str>, V: AsRef<str>>(&self, entries: &[(K, V)], as_of: Instant) {
        let terms = Terms { over: false, within: WITHIN, life: shortened(COPY_TTL) };
        for entries in entries.chunks(AT_ONCE) {
            // Without them everything is right, only slower.
            if as_of.elapsed() > WITHIN || self.0.state.put_copies(entries, as_of, terms).await.is_err() {
                return;
            }
        }
    }

    /// After a change, before its answer.
    pub async fn overwrite<K: AsRef<str>, V: AsRef<str>>(&self, entries: &[(K, V)]) {
        // The whole time: a read from before the change must be too late to fill in when this copy ends.
        let terms = Terms { over: true, within: WITHIN, life: COPY_TTL };
        for entries in entries.chunks(AT_ONCE) {
            if let Err(e) = self.0.state.put_copies(entries, Instant::now(), terms).await {
                log::warn!("copies could not be overwritten; others may see old ones for up to 5 s: {}", e.chain());
                let until = Instant::now() + COPY_TTL;
                *self.0.doubted_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                return;
            }
        }
    }

    fn are_doubted(&self) -> bool {
        let until = *self.0.doubted_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
