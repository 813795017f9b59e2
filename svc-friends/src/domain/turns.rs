//! Changes of one user's lists, and imports, one after the other within this process.
//!
//! Hundreds who add one popular user would otherwise all wait inside the database, each on a thread and a connection
//! that others need, for one row's lock. They wait here instead; the locks are still what makes it right, also
//! between processes.

use super::who::Person;
use service_kit::{Code, Error, Result};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// Users who share a place wait for each other; with so many places they hardly ever do.
const PLACES: usize = 4096;
/// Longer than the database's door lets wait: who waits here costs nobody a thread, and a crowd around one user, or
/// of imports, is served in its order. Shorter than the gateway waits for an answer.
const WAIT: Duration = Duration::from_secs(11);

pub struct Turns {
    places: Vec<Mutex<()>>,
    hasher: RandomState,
    imports: Mutex<()>,
}

impl Turns {
    /// `needed`: not where the database has one writer, who takes what waits in one commit.
    pub fn new(needed: bool) -> Self {
        let places = if needed { PLACES } else { 0 };
        let places = (0..places).map(|_| Mutex::new(())).collect();
        Self { places, hasher: RandomState::new(), imports: Mutex::new(()) }
    }

    /// Waits for an import's turn: one at a time, whatever the database. Two that name the same users would wait for
    /// each other inside it, and a few dozen would take every thread from those who only read, or one writer from
    /// all others for seconds. It takes no places: of two thousand users it would hold those of half the world, while
    /// it waits for the rest.
    pub async fn take_import(&self) -> Result<MutexGuard<'_, ()>> {
        in_time(self.imports.lock()).await
    }

    /// Waits for the turn of all `people`, in one order for everybody.
    pub async fn take(&self, people: [&Person; 2]) -> Result<Vec<MutexGuard<'_, ()>>> {
        if self.places.is_empty() {
            return Ok(Vec::new());
        }
        let place = |person| usize::try_from(self.hasher.hash_one(person) % PLACES as u64).unwrap_or_default();
        let places: BTreeSet<usize> = people.into_iter().map(place).collect();
        let all = async {
            let mut held = Vec::with_capacity(places.len());
            for place in &places {
                held.push(self.places[*place].lock().await);
            }
            held
        };
        in_time(all).await
    }
}

async fn in_time<T>(turn: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(WAIT, turn).await.map_err(|e| Error::from(Code::Busy).because(e))
}
