//! Look-ups by key: what many ask for at once is looked up together.
//!
//! A look-up costs its store little and its journey much: a thread to wake, a write, a wait and a read, and a worker to
//! wake again. So while [`AT_ONCE`] look-ups of a worker are under way, whatever else it is asked for gathers and goes
//! together when one of them is back. Whoever is alone never waits, and nobody is answered from a look-up that began
//! before he asked.

use crate::error::{Code, Error, Result};
use futures_util::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Look-ups of one worker under way before others gather.
const AT_ONCE: usize = 2;
/// Keys in one look-up; the next one takes the rest.
const TOGETHER: usize = 500;
/// Callers of a worker who may wait; one more is refused as busy.
const WAITING: usize = 1024;
/// Workers that do not meet: an answer that stays on its thread wakes nobody.
const DESKS: usize = 8;

/// Where to look.
pub trait Source: Send + Sync + 'static {
    type Key: Clone + Eq + Hash + Send + 'static;
    type Value: Clone + Send + 'static;

    /// What there is of the keys, each of which is given once. Must come to an end by itself.
    fn fetch(&self, keys: Vec<Self::Key>) -> BoxFuture<'_, Result<HashMap<Self::Key, Self::Value>>>;
}

/// Look-ups in one source. Cheap to clone.
pub struct Gather<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    desks: [Mutex<Desk<S>>; DESKS],
}

/// Where the callers of some workers wait.
struct Desk<S: Source> {
    waiting: Vec<Caller<S>>,
    /// Rounds that end only when they find nobody waiting.
    rounds: usize,
}

struct Caller<S: Source> {
    key: S::Key,
    answer: oneshot::Sender<Result<Option<S::Value>>>,
}

impl<S: Source> Clone for Gather<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Source> Gather<S> {
    pub fn new(source: S) -> Self {
        let desks = std::array::from_fn(|_| Mutex::new(Desk { waiting: Vec::new(), rounds: 0 }));
        Self(Arc::new(Inner { source, desks }))
    }

    pub fn source(&self) -> &S {
        &self.0.source
    }

    /// What there is now; `None` where there is nothing. Fails as the source does, or as busy where too many wait; waits
    /// for two look-ups at most.
    pub async fn get(&self, key: S::Key) -> Result<Option<S::Value>> {
        let (answer, answered) = oneshot::channel();
        let number = desk_of_this_thread();
        let begins = {
            let mut desk = self.0.desk(number);
            if desk.waiting.len() >= WAITING {
                return Err(Error::from(Code::Busy).because("too many wait for a look-up"));
            }
            desk.waiting.push(Caller { key, answer });
            let begins = desk.rounds < AT_ONCE;
            desk.rounds += usize::from(begins);
            begins
        };
        if begins {
            // A task of its own: whoever asked first may leave. On an actix worker it stays on this thread.
            tokio::spawn(Round { inner: Arc::clone(&self.0), number, is_over: false }.run());
        }
        answered.await.unwrap_or_else(|_| Err(Error::from(Code::Busy).because("the look-up was abandoned")))
    }
}

impl<S: Source> Inner<S> {
    fn desk(&self, number: usize) -> MutexGuard<'_, Desk<S>> {
        self.desks[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks up until nobody waits.
struct Round<S: Source> {
    inner: Arc<Inner<S>>,
    number: usize,
    is_over: bool,
}

impl<S: Source> Round<S> {
    async fn run(mut self) {
        while let Some(callers) = self.next() {
            let keys: HashSet<S::Key> = callers.iter().map(|caller| caller.key.clone()).collect();
            let found = self.inner.source.fetch(keys.into_iter().collect()).await;
            for Caller { key, answer } in callers {
                // Whoever has left needs none.
                let _ = answer.send(match &found {
                    Ok(found) => Ok(found.get(&key).cloned()),
                    Err(e) => Err(Error::from(e.code()).because(e.chain())),
                });
            }
        }
    }

    /// The next to be looked up together. At the end the round is counted out under the same lock, so that whoever
    /// comes then begins another.
    fn next(&mut self) -> Option<Vec<Caller<S>>> {
        let mut desk = self.inner.desk(self.number);
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

impl<S: Source> Drop for Round<S> {
    fn drop(&mut self) {
        // Not by its own end: the runtime stops, or the source panicked.
        if !self.is_over {
            self.inner.desk(self.number).rounds -= 1;
        }
    }
}

fn desk_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed) % DESKS }
    NUMBER.with(|number| *number)
}
