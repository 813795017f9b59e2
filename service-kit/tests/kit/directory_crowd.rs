//! The profile directory when many ask for different profiles at once: look-ups are few, and none holds up others.

use crate::directory::{Upstream, key, name, profile};
use futures_util::future::{BoxFuture, join_all};
use service_kit::directory::{Directory, ProfileSource};
use service_kit::state::State;
use service_kit::{Code, Result};
use shared_models::Profile;
use shared_models::internal::{AccountKey, MAX_PROFILES};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const READERS: usize = 200;

fn uid(n: usize) -> String {
    format!("u{n}")
}

fn crowd(names: usize) -> (Upstream, Directory) {
    let uids: Vec<String> = (0..names).map(uid).collect();
    let upstream = Upstream::new(&uids.iter().map(|uid| (uid.as_str(), uid.as_str())).collect::<Vec<_>>());
    let directory = Directory::new(State::memory(), upstream.clone());
    (upstream, directory)
}

/// Each of `READERS` reads a profile of his own.
fn readers(directory: &Directory) -> Vec<tokio::task::JoinHandle<Option<String>>> {
    let read = |n: usize| {
        let directory = directory.clone();
        tokio::spawn(async move { name(&directory, &uid(n)).await })
    };
    (0..READERS).map(read).collect()
}

#[tokio::test]
async fn what_many_miss_at_once_is_looked_up_together() {
    let (upstream, directory) = crowd(READERS);
    upstream.hold();
    let readers = readers(&directory);
    upstream.until_calls(2).await;
    upstream.answer();
    for (n, reader) in readers.into_iter().enumerate() {
        assert_eq!(reader.await.unwrap(), Some(uid(n)));
    }
    let calls = upstream.calls();
    assert!(calls.len() <= 10, "{} calls", calls.len());
    assert_eq!(calls.concat().len(), READERS, "each once");
}

#[tokio::test]
async fn each_call_is_for_as_many_as_may_be_asked_for() {
    const LISTS: usize = 40;
    let (upstream, directory) = crowd(LISTS * 100);
    upstream.hold();
    let lists = (0..LISTS).map(|n| {
        let (directory, keys) = (directory.clone(), (n * 100..(n + 1) * 100).map(|n| key(&uid(n))).collect::<Vec<_>>());
        tokio::spawn(async move { directory.get_many(&keys).await.unwrap() })
    });
    let lists: Vec<_> = lists.collect();
    upstream.until_calls(2).await;
    upstream.answer();
    for (n, list) in join_all(lists).await.into_iter().enumerate() {
        let names: Vec<_> = list.unwrap().into_iter().map(|p| p.unwrap().name.clone()).collect();
        assert_eq!(names, (n * 100..(n + 1) * 100).map(uid).collect::<Vec<_>>());
    }
    assert!(upstream.calls().iter().all(|call| call.len() <= MAX_PROFILES));
    assert!(upstream.calls().len() <= 20, "{} calls", upstream.calls().len());
}

#[tokio::test]
async fn whoever_leaves_while_it_gathers_or_flies_leaves_the_others_their_answer() {
    for flies in [false, true] {
        let (upstream, directory) = crowd(READERS);
        upstream.hold();
        let readers = readers(&directory);
        if flies {
            upstream.until_calls(2).await;
            sleep(Duration::from_millis(20)).await;
        } else {
            tokio::task::yield_now().await;
        }
        // The third made the look-up for all that gathered, or would have.
        for reader in readers.iter().skip(2).step_by(3) {
            reader.abort();
        }
        upstream.answer();
        for (n, reader) in readers.into_iter().enumerate().filter(|(n, _)| n % 3 != 2) {
            assert_eq!(reader.await.unwrap(), Some(uid(n)));
        }
    }
}

#[tokio::test]
async fn whoever_wants_what_has_a_copy_neither_waits_for_the_others_nor_fails_with_them() {
    let (upstream, directory) = crowd(READERS);
    let (state, other) = (State::memory(), upstream.clone());
    assert_eq!(name(&Directory::new(state.clone(), other), "u0").await, Some(uid(0)), "and leaves a copy");
    drop(directory);
    let directory = Directory::new(state, upstream.clone());
    upstream.hold();
    upstream.reachable(false);
    let get = |uids: &[usize]| {
        let (directory, keys) = (directory.clone(), uids.iter().map(|n| key(&uid(*n))).collect::<Vec<_>>());
        tokio::spawn(async move { directory.get_many(&keys).await })
    };
    // Two are under way, the others gather.
    let failing: Vec<_> = [&[8][..], &[9], &[1], &[0, 2]].map(get).into();
    let found = get(&[0]).await.unwrap().unwrap();
    assert_eq!(found[0].as_ref().unwrap().name, uid(0));
    assert!(failing.iter().all(|reader| !reader.is_finished()), "nothing else is answered yet");
    upstream.answer();
    for reader in failing {
        assert_eq!(reader.await.unwrap().unwrap_err().code(), Code::Unreachable);
    }
}

#[tokio::test]
async fn a_failure_is_everybodys_and_asked_about_once() {
    let (upstream, directory) = crowd(READERS);
    upstream.reachable(false);
    upstream.hold();
    let ask = |n: usize| {
        let directory = directory.clone();
        tokio::spawn(async move { directory.get(&key(&uid(n))).await })
    };
    let readers: Vec<_> = (0..READERS).map(ask).collect();
    upstream.until_calls(2).await;
    upstream.answer();
    for found in join_all(readers).await {
        assert_eq!(found.unwrap().unwrap_err().code(), Code::Unreachable);
    }
    assert!(upstream.calls().len() <= 10, "{} calls", upstream.calls().len());
    upstream.reachable(true);
    assert_eq!(name(&directory, &uid(0)).await, Some(uid(0)));
}

/// The first calls are never answered.
#[derive(Clone)]
struct Stuck(Arc<AtomicUsize>);

impl ProfileSource for Stuck {
    fn fetch(&self, keys: Vec<AccountKey>) -> BoxFuture<'_, Result<Vec<Profile>>> {
        let nth = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if nth < 6 {
                std::future::pending::<()>().await;
            }
            Ok(keys.iter().map(|key| profile(key, key.uid.as_str(), 1)).collect())
        })
    }
}

#[tokio::test]
async fn look_ups_that_are_stuck_hold_up_no_others() {
    let asked = Arc::<AtomicUsize>::default();
    let directory = Directory::new(State::memory(), Stuck(Arc::clone(&asked)));
    let mut stuck = Vec::new();
    for n in 0..6 {
        let directory = directory.clone();
        stuck.push(tokio::spawn(async move { directory.get(&key(&format!("stuck{n}"))).await }));
        while asked.load(Ordering::SeqCst) <= n {
            sleep(Duration::from_millis(1)).await;
        }
    }
    for n in 0..5 {
        let start = Instant::now();
        assert_eq!(name(&directory, &uid(n)).await, Some(uid(n)));
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }
    for stuck in stuck {
        stuck.abort();
    }
}
