//! Rows by key: what many callers ask for at once is read together.
//!
//! A row by key costs its statement little and its journey much: a thread to wake, a write, a wait and a read, and a
//! worker to wake again. So while [`AT_ONCE`] reads of a worker are under way, whatever else it is asked for gathers and
//! goes together when one of them is back. Whoever is alone never waits, and nobody is answered from a read that began
//! before he asked.

use super::{Db, DbConn};
use crate::error::{Error, Result};
use diesel::QueryResult;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Reads of one worker under way before others gather.
const AT_ONCE: usize = 2;
/// Keys in one read; the next one takes the rest.
const TOGETHER: usize = 500;
/// Callers of a worker who may wait; one more is refused as busy.
const WAITING: usize = 1024;
/// Workers that do not meet: an answer that stays on its thread wakes nobody.
const DESKS: usize = 8;

/// The row of a key.
pub type One<K, V> = fn(&mut DbConn, &K) -> QueryResult<Option<V>>;
/// Those of the keys, each given once, that have a row; in one statement.
pub type Many<K, V> = fn(&mut DbConn, &[K]) -> QueryResult<Vec<(K, V)>>;

/// One sort of row, read by key. Cheap to clone.
pub struct Gathered<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    db: Db,
    one: One<K, V>,
    many: Many<K, V>,
    desks: [Mutex<Desk<K, V>>; DESKS],
}

/// Where the callers of some workers wait.
struct Desk<K, V> {
    waiting: Vec<Caller<K, V>>,
    /// Rounds that end only when they find nobody waiting.
    rounds: usize,
}

struct Caller<K, V> {
    key: K,
    answer: oneshot::Sender<Result<Option<V>>>,
}

impl<K, V> Clone for Gathered<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Gathered<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// How one row is read, and how many are on PostgreSQL. In SQLite a statement makes no journey, and one that stays
    /// prepared costs less than one with as many variables as there are keys.
    pub fn new(db: Db, one: One<K, V>, many: Many<K, V>) -> Self {
        let desks = std::array::from_fn(|_| Mutex::new(Desk { waiting: Vec::new(), rounds: 0 }));
        Self(Arc::new(Inner { db, one, many, desks }))
    }

    /// The row as it is now; `None` where there is none. Fails as [`Db::read`] does, and as late at most.
    pub async fn get(&self, key: K) -> Result<Option<V>> {
        let (answer, answered) = oneshot::channel();
        let number = desk_of_this_thread();
        let begins = {
            let mut desk = self.0.desk(number);
            if desk.waiting.len() >= WAITING {
                return Err(self.0.db.is_full());
            }
            desk.waiting.push(Caller { key, answer });
            let begins = desk.rounds < AT_ONCE;
            desk.rounds += usize::from(begins);
            begins
        };
        if begins {
            // A task of its own: whoever asked first may leave. On an actix worker it stays on this thread.
            tokio::spawn(Round { rows: Arc::clone(&self.0), number, is_over: false }.run());
        }
        self.0.db.answer(answered).await
    }
}

impl<K, V> Inner<K, V> {
    fn desk(&self, number: usize) -> MutexGuard<'_, Desk<K, V>> {
        self.desks[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until nobody waits.
struct Round<K, V> {
    rows: Arc<Inner<K, V>>,
    number: usize,
    is_over: bool,
}

impl<K, V> Round<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    async fn run(mut self) {
        while let Some(callers) = self.next() {
            let keys: HashSet<K> = callers.iter().map(|caller| caller.key.clone()).collect();
            let (keys, one, many) = (Vec::from_iter(keys), self.rows.one, self.rows.many);
            let found = self.rows.db.read(move |conn| Ok(rows(conn, &keys, one, many)?)).await;
            for Caller { key, answer } in callers {
                // Whoever has left needs none.
                let _ = answer.send(match &found {
                    Ok(found) => Ok(found.get(&key).cloned()),
                    Err(e) => Err(Error::from(e.code()).because(e.chain())),
                });
            }
        }
    }

    /// The next to be read together. At the end the round is counted out under the same lock, so that whoever comes
    /// then begins another.
    fn next(&mut self) -> Option<Vec<Caller<K, V>>> {
        let mut desk = self.rows.desk(self.number);
        desk.waiting.retain(|caller| !caller.answer.is_closed());
        if desk.waiting.is_empty() {
            desk.rounds -= 1;
            self.is_over = true;
            return None;
        }
        let count = desk.waiting.len().min(TOGETHER);
        Some(desk.waiting.drain(..count).collect())
    }
}

impl<K, V> Drop for Round<K, V> {
    fn drop(&mut self) {
        // Not by its own end: the runtime stops.
        if !self.is_over {
            self.rows.desk(self.number).rounds -= 1;
        }
    }
}

fn rows<K, V>(conn: &mut DbConn, keys: &[K], one: One<K, V>, many: Many<K, V>) -> QueryResult<HashMap<K, V>>
where
    K: Clone + Eq + Hash,
{
    if keys.len() > 1 && matches!(conn, DbConn::Pg(_)) {
        return Ok(many(conn, keys)?.into_iter().collect());
    }
    let each = keys.iter().map(|key| Ok(one(conn, key)?.map(|row| (key.clone(), row))));
    each.filter_map(Result::transpose).collect()
}

fn desk_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed) % DESKS }
    NUMBER.with(|number| *number)
}
