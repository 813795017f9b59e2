//! Look-ups by key: what many ask for at once is looked up together.
//!
//! A look-up costs its store little and its journey much: a thread to wake, a write, a wait and a read, and a worker to
//! wake again. So while [`AT_ONCE`] look-ups of a thread are under way, whatever else it is asked for gathers and goes
//! together when one of them is back. Whoever is alone never waits, and nobody is answered from a look-up that began
//! before he asked.

use crate::error::{Code, Error, Result};
use futures_util::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Look-ups from one desk under way before others gather.
const AT_ONCE: usize = 2;
/// Callers who may wait at one desk, and so the keys of one look-up; one more is refused as busy.
const WAITING: usize = 500;
/// So many threads have a desk of their own: an answer that stays on its thread wakes nobody. More of them share.
const DESKS: usize = 64;

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

/// Where the callers of a thread wait.
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
    /// for a look-up that is under way, and for its own.
    pub async fn get(&self, key: S::Key) -> Result<Option<S::Value>> {
        if let Ok(answer) = self.ask(key.clone())?.await {
            return answer;
        }
        // The round was another thread's, whose runtime has stopped: the next one is this thread's.
        let abandoned = |_| Err(Error::from(Code::Busy).because("the look-up was abandoned"));
        self.ask(key)?.await.unwrap_or_else(abandoned)
    }

    fn ask(&self, key: S::Key) -> Result<oneshot::Receiver<Result<Option<S::Value>>>> {
        let (answer, answered) = oneshot::channel();
        let number = desk_of_this_thread();
        let begins = {
            let mut desk = self.0.desk(number);
            if desk.waiting.len() >= WAITING {
                desk.forget_who_has_left();
            }
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
        Ok(answered)
    }
}

impl<S: Source> Inner<S> {
    fn desk(&self, number: usize) -> MutexGuard<'_, Desk<S>> {
        self.desks[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Source> Desk<S> {
    fn forget_who_has_left(&mut self) {
        self.waiting.retain(|caller| !caller.answer.is_closed());
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
                    Err(e) => Err(e.for_another()),
                });
            }
        }
    }

    /// The next to be looked up together. At the end the round is counted out under the same lock, so that whoever
    /// comes then begins another.
    fn next(&mut self) -> Option<Vec<Caller<S>>> {
        let mut desk = self.inner.desk(self.number);
        desk.forget_who_has_left();
        if desk.waiting.is_empty() {
            desk.rounds -= 1;
            self.is_over = true;
            return None;
        }
        Some(std::mem::take(&mut desk.waiting))
    }
}

impl<S: Source> Drop for Round<S> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Its runtime stops, or the source panicked. Those who wait for nobody now are told by their channels' end.
        let mut desk = self.inner.desk(self.number);
        desk.rounds -= 1;
        if desk.rounds == 0 {
            desk.waiting.clear();
        }
    }
}

fn desk_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed) % DESKS }
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;
    use tokio::runtime::Builder;
    use tokio::time::{sleep, timeout};

    /// Ten times each number but 13; nothing at all while it hangs.
    #[derive(Default)]
    struct Numbers {
        hangs: AtomicBool,
        fails: AtomicBool,
        fetched: AtomicUsize,
    }

    impl Source for Arc<Numbers> {
        type Key = u64;
        type Value = u64;

        fn fetch(&self, keys: Vec<u64>) -> BoxFuture<'_, Result<HashMap<u64, u64>>> {
            Box::pin(async move {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                if self.hangs.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                if self.fails.load(Ordering::Relaxed) {
                    return Err(Error::new(Code::BadParameter, "what is wrong").because("and why"));
                }
                sleep(Duration::from_millis(20)).await;
                Ok(keys.into_iter().filter(|key| *key != 13).map(|key| (key, 10 * key)).collect())
            })
        }
    }

    fn asking(gather: &Gather<Arc<Numbers>>, key: u64) -> tokio::task::JoinHandle<Result<Option<u64>>> {
        let gather = gather.clone();
        tokio::spawn(async move { gather.get(key).await })
    }

    #[test]
    fn whoever_waits_for_a_runtime_that_stopped_asks_again_on_his_own() {
        let numbers = Arc::new(Numbers::default());
        let gather = Gather::new(numbers.clone());
        numbers.hangs.store(true, Ordering::Relaxed);
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let (stopping, staying) = (runtime(), runtime());
        // All on this thread, and so at one desk: two rounds hang in a runtime that stops, and a caller of another
        // runtime waits for them.
        stopping.block_on(async {
            for key in 0..2 {
                drop(asking(&gather, key));
                sleep(Duration::from_millis(10)).await;
            }
        });
        let waiting = {
            let _staying = staying.enter();
            asking(&gather, 5)
        };
        staying.block_on(async { sleep(Duration::from_millis(10)).await });
        numbers.hangs.store(false, Ordering::Relaxed);
        drop(stopping);
        let soon = Duration::from_secs(5);
        let answer = staying.block_on(async { timeout(soon, waiting).await.unwrap() });
        assert_eq!(answer.unwrap().unwrap(), Some(50));
        let next = staying.block_on(async { timeout(soon, gather.get(6)).await.unwrap() });
        assert_eq!(next.unwrap(), Some(60));
    }

    #[tokio::test]
    async fn two_are_under_way_and_the_rest_goes_together() {
        let numbers = Arc::new(Numbers::default());
        let gather = Gather::new(numbers.clone());
        let mut asked = Vec::new();
        for key in 0..40 {
            asked.push(asking(&gather, key));
            tokio::task::yield_now().await;
        }
        for (key, answer) in (0..).zip(asked) {
            assert_eq!(answer.await.unwrap().unwrap(), (key != 13).then_some(10 * key));
        }
        assert_eq!(numbers.fetched.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn each_is_told_why_it_failed() {
        let numbers = Arc::new(Numbers::default());
        let gather = Gather::new(numbers.clone());
        numbers.fails.store(true, Ordering::Relaxed);
        let asked: Vec<_> = (0..5).map(|key| asking(&gather, key)).collect();
        for answer in asked {
            let error = answer.await.unwrap().unwrap_err();
            assert_eq!(error.chain(), "BadParameter: what is wrong: and why");
        }
    }

    #[tokio::test]
    async fn whoever_has_left_leaves_his_place() {
        let numbers = Arc::new(Numbers::default());
        let gather = Gather::new(numbers.clone());
        numbers.hangs.store(true, Ordering::Relaxed);
        for key in 0..2 {
            drop(asking(&gather, key));
            sleep(Duration::from_millis(5)).await;
        }
        let crowd: Vec<_> = (0..WAITING as u64).map(|key| asking(&gather, key)).collect();
        sleep(Duration::from_millis(20)).await;
        assert_eq!(gather.get(1).await.unwrap_err().code(), Code::Busy);
        crowd.iter().for_each(|caller| caller.abort());
        sleep(Duration::from_millis(20)).await;
        // Waits, because both look-ups hang.
        assert!(timeout(Duration::from_millis(50), gather.get(1)).await.is_err());
    }
}
