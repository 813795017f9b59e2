//! Changes of the same thing, one after the other within this process.
//!
//! Hundreds who join one group, or add one popular user, would otherwise all wait inside the database, each on a
//! thread and a connection that others need, for one row's lock. They wait here instead; the locks are still what
//! makes it right, also between processes.

use crate::error::{Code, Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// Longer than the database's door lets wait: who waits here costs nobody a thread, and a crowd around one thing is
/// served in its order. Shorter than the gateway waits for an answer.
const WAIT: Duration = Duration::from_secs(11);

/// Turns for things that are named by a `K`. Whoever needs several takes them at once, in the order of their names, so
/// that nobody waits in a circle.
pub struct Turns<K> {
    is_needed: bool,
    /// Those that somebody has or waits for.
    lines: Mutex<HashMap<K, Line>>,
}

/// Who waits for one thing.
#[derive(Default)]
struct Line {
    /// With the one whose turn it is.
    length: usize,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Turns that are taken, until this is dropped.
#[must_use]
pub struct Taken<'a, K: Hash + Eq> {
    // In this order: who stands next goes on before the line is looked at.
    _turns: Vec<OwnedMutexGuard<()>>,
    _places: Vec<Place<'a, K>>,
}

/// A place in a line, until it is dropped.
struct Place<'a, K: Hash + Eq> {
    turns: &'a Turns<K>,
    key: K,
}

impl<K: Hash + Eq + Ord + Clone> Turns<K> {
    /// `is_needed`: not where the database has one writer, who takes what waits in one commit.
    pub fn new(is_needed: bool) -> Self {
        Self { is_needed, lines: Mutex::default() }
    }

    /// Waits for the turn of all these things; "busy" after a while.
    pub async fn take(&self, keys: impl IntoIterator<Item = K>) -> Result<Taken<'_, K>> {
        let mut taken = Taken { _turns: Vec::new(), _places: Vec::new() };
        if !self.is_needed {
            return Ok(taken);
        }
        let keys: BTreeSet<K> = keys.into_iter().collect();
        let all = async {
            for key in keys {
                let turn = self.stand_in_line(&key);
                taken._places.push(Place { turns: self, key });
                taken._turns.push(turn.lock_owned().await);
            }
        };
        tokio::time::timeout(WAIT, all).await.map_err(|e| Error::from(Code::Busy).because(e))?;
        Ok(taken)
    }

    /// The turn of all these things if nobody has one or waits for one.
    pub fn take_if_free(&self, keys: impl IntoIterator<Item = K>) -> Option<Taken<'_, K>> {
        let mut taken = Taken { _turns: Vec::new(), _places: Vec::new() };
        if !self.is_needed {
            return Some(taken);
        }
        for key in keys.into_iter().collect::<BTreeSet<K>>() {
            let turn = self.stand_in_line(&key);
            taken._places.push(Place { turns: self, key });
            // It goes to whoever waits, and is not free in between.
            taken._turns.push(turn.try_lock_owned().ok()?);
        }
        Some(taken)
    }

    fn stand_in_line(&self, key: &K) -> Arc<tokio::sync::Mutex<()>> {
        let mut lines = self.lines();
        let line = lines.entry(key.clone()).or_default();
        line.length += 1;
        line.turn.clone()
    }
}

impl<K> Turns<K> {
    fn lines(&self) -> MutexGuard<'_, HashMap<K, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if let Some(line) = lines.get_mut(&self.key) {
            line.length -= 1;
            if line.length == 0 {
                lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_at_a_time_has_a_turn_and_others_do_not_wait_for_it() {
        let turns = Turns::new(true);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let held = turns.take(["other"]).await.unwrap();
        join_all((0..50).map(|_| async {
            let _turn = turns.take(["one"]).await.unwrap();
            most.fetch_max(inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            inside.fetch_sub(1, Ordering::Relaxed);
        }))
        .await;
        assert_eq!(most.load(Ordering::Relaxed), 1);
        assert_eq!(turns.lines().keys().copied().collect::<Vec<_>>(), ["other"]);
        drop(held);
        assert!(turns.lines().is_empty());
    }

    #[tokio::test]
    async fn what_is_free_is_taken_at_once_and_what_is_not_is_left() {
        let turns = Turns::new(true);
        let both = turns.take_if_free([1, 2]).unwrap();
        for keys in [vec![1], vec![2], vec![0, 1], vec![2, 3]] {
            assert!(turns.take_if_free(keys.clone()).is_none(), "{keys:?}");
        }
        let waits = turns.take([2]);
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(both);
        // Whoever waits is next.
        assert!(turns.take_if_free([2]).is_none());
        drop(turns.take_if_free([1]).unwrap());
        drop(waits.await.unwrap());
        drop(turns.take_if_free([2]).unwrap());
        assert!(turns.lines().is_empty());
    }

    #[tokio::test]
    async fn those_who_take_the_same_two_in_either_order_never_wait_in_a_circle() {
        let turns = Turns::new(true);
        let pairs = [[1, 2], [2, 1]].into_iter().cycle().take(200);
        let all = join_all(pairs.map(async |pair| {
            let _both = turns.take(pair).await.unwrap();
            tokio::task::yield_now().await;
        }));
        tokio::time::timeout(Duration::from_secs(5), all).await.unwrap();
        // The same one twice is one.
        drop(tokio::time::timeout(Duration::from_secs(5), turns.take([3, 3])).await.unwrap().unwrap());
        assert!(turns.lines().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_behind() {
        let turns = Turns::new(true);
        let held = turns.take([1]).await.unwrap();
        for keys in [vec![1], vec![0, 1], vec![1, 2]] {
            assert!(tokio::time::timeout(Duration::from_millis(5), turns.take(keys)).await.is_err());
        }
        assert_eq!(turns.lines().keys().copied().collect::<Vec<_>>(), [1]);
        drop(held);
        assert!(turns.lines().is_empty());
        drop(turns.take([0, 1, 2]).await.unwrap());
    }

    #[tokio::test]
    async fn where_none_are_needed_nobody_waits() {
        let turns = Turns::new(false);
        let _held = turns.take([1]).await.unwrap();
        drop(tokio::time::timeout(Duration::from_secs(1), turns.take([1])).await.unwrap().unwrap());
        drop(turns.take_if_free([1]).unwrap());
    }
}
