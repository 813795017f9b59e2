//! The profile directory (design §4): how often it asks, and how old what it says may be.

use futures_util::future::{BoxFuture, join_all};
use service_kit::directory::{Directory, ProfileSource};
use service_kit::state::State;
use service_kit::testkit::redis::{self, RedisServer};
use service_kit::{Code, Result};
use shared_models::internal::{AccountKey, MAX_PROFILES};
use shared_models::{AppId, Profile, Stamp, Uid};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Contract §0: others see a change within this time, and within the second while Redis fails.
const OTHERS: Duration = Duration::from_secs(3);
const OTHERS_WITHOUT_REDIS: Duration = Duration::from_secs(7);
/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than a test has calls.
const PERMITS: usize = 10_000;
/// A copy of this process's own is older than it may be.
const STALE: Duration = Duration::from_millis(2_100);

/// svc-im-auth, as far as a directory knows it. Clones are the same.
#[derive(Clone)]
pub(crate) struct Upstream(Arc<Inner>);

struct Inner {
    /// With their revisions.
    names: Mutex<HashMap<AccountKey, (String, i64)>>,
    /// The keys of each call.
    calls: Mutex<Vec<Vec<AccountKey>>>,
    /// One permit an answer; as many as it takes, unless a test holds them.
    gate: Semaphore,
    reachable: Mutex<bool>,
}

impl Upstream {
    pub(crate) fn new(names: &[(&str, &str)]) -> Self {
        let names = names.iter().map(|(uid, name)| (key(uid), ((*name).to_owned(), 1))).collect();
        Self(Arc::new(Inner {
            names: Mutex::new(names),
            calls: Mutex::default(),
            gate: Semaphore::new(PERMITS),
            reachable: Mutex::new(true),
        }))
    }

    /// No answer leaves until [`Self::answer`].
    pub(crate) fn hold(&self) {
        self.0.gate.forget_permits(PERMITS);
    }

    pub(crate) fn answer(&self) {
        self.0.gate.add_permits(PERMITS);
    }

    pub(crate) fn reachable(&self, reachable: bool) {
        *self.0.reachable.lock().unwrap() = reachable;
    }

    fn rename(&self, uid: &str, name: &str) -> Profile {
        let mut names = self.0.names.lock().unwrap();
        let revision = names.get(&key(uid)).map_or(1, |(_, revision)| revision + 1);
        names.insert(key(uid), (name.to_owned(), revision));
        profile(&key(uid), name, revision)
    }

    pub(crate) fn calls(&self) -> Vec<Vec<AccountKey>> {
        self.0.calls.lock().unwrap().clone()
    }

    pub(crate) async fn until_calls(&self, count: usize) {
        let calls = async {
            while self.calls().len() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, calls).await.expect("it is asked");
    }
}

impl ProfileSource for Upstream {
    fn fetch(&self, keys: Vec<AccountKey>) -> BoxFuture<'_, Result<Vec<Profile>>> {
        Box::pin(async move {
            assert!(keys.len() <= MAX_PROFILES, "{}", keys.len());
            self.0.calls.lock().unwrap().push(keys.clone());
            // Read before the answer is held back: what was true when it was asked.
            let names = self.0.names.lock().unwrap().clone();
            let reachable = *self.0.reachable.lock().unwrap();
            drop(self.0.gate.acquire().await.unwrap());
            if !reachable {
                return Err(Code::Unreachable.into());
            }
            Ok(keys
                .iter()
                .filter_map(|key| names.get(key).map(|(name, revision)| profile(key, name, *revision)))
                .collect())
        })
    }
}

pub(crate) fn key(uid: &str) -> AccountKey {
    AccountKey { app_id: AppId::new("kith").unwrap(), uid: Uid::new(uid).unwrap() }
}

pub(crate) fn profile(key: &AccountKey, name: &str, revision: i64) -> Profile {
    Profile {
        revision,
        app_id: key.app_id.clone(),
        uid: key.uid.clone(),
        name: name.to_owned(),
        icon: String::new(),
        icon_changed_at: Stamp(0),
        is_admin: false,
        credential_version: 0,
    }
}

fn in_memory(upstream: &Upstream) -> Directory {
    Directory::new(State::memory(), upstream.clone())
}

async fn on_redis(server: &RedisServer, prefix: &str, upstream: &Upstream) -> Directory {
    let mut settings = redis::settings(&server.url());
    settings.prefix = prefix.to_owned();
    Directory::new(State::open(&settings).await.unwrap(), upstream.clone())
}

pub(crate) async fn name(directory: &Directory, uid: &str) -> Option<String> {
    let found = tokio::time::timeout(PATIENCE, directory.get(&key(uid))).await.expect("an answer");
    found.unwrap().map(|profile| profile.name.clone())
}

/// Asks until the name is the new one; any other but the old one is wrong, and so is an error.
async fn until_renamed(directory: &Directory, uid: &str, from: &str, to: &str, since: Instant, within: Duration) {
    loop {
        let seen = name(directory, uid).await;
        if seen.as_deref() == Some(to) {
            assert!(since.elapsed() <= within, "seen only after {:?}", since.elapsed());
            return;
        }
        assert_eq!(seen.as_deref(), Some(from));
        assert!(since.elapsed() < within, "{uid} is still {from} after {:?}", since.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn many_readers_of_one_profile_are_one_call() {
    let upstream = Upstream::new(&[("a", "Anna"), ("b", "Bert"), ("c", "Carl")]);
    let directory = in_memory(&upstream);
    upstream.hold();
    let readers = (0..100).map(|n| {
        let directory = directory.clone();
        // Lists that overlap: each asks only for what nobody has asked for.
        let keys = if n % 2 == 0 { vec![key("a"), key("b")] } else { vec![key("b"), key("c"), key("b")] };
        tokio::spawn(async move { directory.get_many(&keys).await.unwrap() })
    });
    let readers: Vec<_> = readers.collect();
    upstream.until_calls(2).await;
    sleep(Duration::from_millis(50)).await;
    upstream.answer();
    for (n, found) in join_all(readers).await.into_iter().enumerate() {
        let names: Vec<_> = found.unwrap().into_iter().map(|p| p.unwrap().name.clone()).collect();
        assert_eq!(names, if n % 2 == 0 { vec!["Anna", "Bert"] } else { vec!["Bert", "Carl", "Bert"] });
    }
    let mut asked = upstream.calls().concat();
    asked.sort();
    assert_eq!(asked, [key("a"), key("b"), key("c")], "each once");
}

#[tokio::test]
async fn a_reader_who_leaves_leaves_the_others_their_answer() {
    let upstream = Upstream::new(&[("a", "Anna")]);
    let directory = in_memory(&upstream);
    upstream.hold();
    let first = tokio::spawn({
        let directory = directory.clone();
        async move { directory.get(&key("a")).await }
    });
    upstream.until_calls(1).await;
    let second = tokio::spawn({
        let directory = directory.clone();
        async move { name(&directory, "a").await }
    });
    sleep(Duration::from_millis(50)).await;
    assert_eq!(upstream.calls().len(), 1);
    first.abort();
    upstream.until_calls(2).await;
    upstream.answer();
    assert_eq!(second.await.unwrap().as_deref(), Some("Anna"));
}

#[tokio::test]
async fn long_lists_are_asked_for_in_parts_and_answered_in_their_order() {
    let upstream = Upstream::new(&[("u0", "first"), ("u1500", "middle"), ("u2200", "last")]);
    let directory = in_memory(&upstream);
    let keys: Vec<_> = (0..2201).rev().map(|n| key(&format!("u{n}"))).collect();
    for found in [directory.pass_many(&keys).await.unwrap(), directory.get_many(&keys).await.unwrap()] {
        assert_eq!(found.len(), keys.len());
        let known = found.iter().enumerate().filter_map(|(n, p)| p.as_ref().map(|p| (n, p.name.as_str())));
        assert_eq!(known.collect::<Vec<_>>(), [(0, "last"), (700, "middle"), (2200, "first")]);
    }
    // The passing list left nothing behind, the other everything, also who is nobody.
    assert_eq!(upstream.calls().iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 201, 1000, 1000, 201]);
    directory.pass_many(&keys).await.unwrap();
    directory.get_many(&keys).await.unwrap();
    assert_eq!(upstream.calls().len(), 6);
}

#[tokio::test]
async fn a_change_of_ones_own_is_seen_at_once_whatever_was_under_way() {
    let upstream = Upstream::new(&[("a", "Anna")]);
    let directory = in_memory(&upstream);
    assert_eq!(name(&directory, "a").await.as_deref(), Some("Anna"));
    directory.changed(upstream.rename("a", "Anja")).await;
    assert_eq!(name(&directory, "a").await.as_deref(), Some("Anja"));
    directory.learn(upstream.rename("a", "Anke"));
    assert_eq!(name(&directory, "a").await.as_deref(), Some("Anke"));
    assert_eq!(upstream.calls().len(), 1, "a change brings its profile");

    // A look-up that read the old name is answered after the change.
    upstream.hold();
    let slow = tokio::spawn({
        let directory = directory.clone();
        async move { name(&directory, "b").await }
    });
    upstream.until_calls(2).await;
    directory.changed(upstream.rename("b", "Bert")).await;
    upstream.answer();
    assert_eq!(slow.await.unwrap().as_deref(), Some("Bert"));
    assert_eq!(name(&directory, "b").await.as_deref(), Some("Bert"));
    // Nor is there an old copy of it that would be believed later.
    sleep(STALE).await;
    assert_eq!(name(&directory, "b").await.as_deref(), Some("Bert"));
}

/// Changes are committed in their order, but told by whoever made them, in any.
#[tokio::test]
async fn of_two_changes_the_later_stays_whichever_is_told_last() {
    let server = RedisServer::start();
    for state in [State::memory(), State::open(&redis::settings(&server.url())).await.unwrap()] {
        let upstream = Upstream::new(&[("a", "Anna")]);
        let here = || Directory::new(state.clone(), upstream.clone());
        let (mine, other, learning) = (here(), here(), here());
        let (earlier, later) = (upstream.rename("a", "Anja"), upstream.rename("a", "Anke"));
        mine.changed(later.clone()).await;
        mine.changed(earlier.clone()).await;
        assert_eq!(name(&mine, "a").await.as_deref(), Some("Anke"));
        other.changed(earlier.clone()).await;
        assert_eq!(name(&here(), "a").await.as_deref(), Some("Anke"), "for everybody");
        // An answer to the earlier comes after that to the later.
        learning.learn(later);
        learning.learn(earlier);
        sleep(STALE).await;
        for directory in [&mine, &other, &learning] {
            assert_eq!(name(directory, "a").await.as_deref(), Some("Anke"));
        }
        assert!(upstream.calls().is_empty(), "the copy is there");
    }
}

#[tokio::test]
async fn a_copy_of_before_a_change_that_was_learnt_is_not_believed_by_who_learnt_it() {
    let (state, upstream) = (State::memory(), Upstream::new(&[("a", "Anna")]));
    let (mine, other) = (Directory::new(state.clone(), upstream.clone()), Directory::new(state, upstream.clone()));
    // svc-im-auth answered, and could not overwrite the copy.
    assert_eq!(name(&other, "a").await.as_deref(), Some("Anna"));
    mine.learn(upstream.rename("a", "Anja"));
    let since = Instant::now();
    while since.elapsed() < OTHERS_WITHOUT_REDIS {
        assert_eq!(name(&mine, "a").await.as_deref(), Some("Anja"), "undone after {:?}", since.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn others_see_a_change_within_3_s() {
    let (server, upstream) = (RedisServer::start(), Upstream::new(&[("a", "Anna"), ("b", "Bert")]));
    let (mine, other) = (on_redis(&server, "p:", &upstream).await, on_redis(&server, "p:", &upstream).await);
    for uid in ["a", "b"] {
        name(&other, uid).await.unwrap();
    }
    // The other's own copies are as old as they get before they are looked up again.
    sleep(Duration::from_millis(1_500)).await;
    name(&mine, "a").await.unwrap();
    let since = Instant::now();
    mine.changed(upstream.rename("a", "Anja")).await;
    until_renamed(&other, "a", "Anna", "Anja", since, OTHERS).await;
    // And a moment later the other changes it.
    let since = Instant::now();
    other.changed(upstream.rename("a", "Anke")).await;
    until_renamed(&mine, "a", "Anja", "Anke", since, OTHERS).await;
    assert_eq!(name(&other, "b").await.as_deref(), Some("Bert"));
}

#[tokio::test]
async fn others_see_a_change_within_7_s_while_redis_fails_and_oneself_at_once() {
    let (mut server, upstream) = (RedisServer::start(), Upstream::new(&[("a", "Anna"), ("b", "Bert")]));
    let (mine, other) = (on_redis(&server, "p:", &upstream).await, on_redis(&server, "p:", &upstream).await);
    name(&other, "a").await.unwrap();
    name(&mine, "b").await.unwrap();
    // Gone while the name changes, and back with the copy that could not be overwritten.
    let older = server.dump();
    server.kill();
    let since = Instant::now();
    mine.changed(upstream.rename("a", "Anja")).await;
    assert_eq!(name(&mine, "a").await.as_deref(), Some("Anja"));
    server.restart_with(&older);
    let watched = async {
        while since.elapsed() < OTHERS_WITHOUT_REDIS {
            assert_eq!(name(&mine, "a").await.as_deref(), Some("Anja"), "undone after {:?}", since.elapsed());
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(until_renamed(&other, "a", "Anna", "Anja", since, OTHERS_WITHOUT_REDIS), watched);
    assert_eq!(name(&other, "a").await.as_deref(), Some("Anja"));

    // Gone for good: everybody asks svc-im-auth.
    server.kill();
    name(&other, "b").await.unwrap();
    let since = Instant::now();
    mine.changed(upstream.rename("b", "Bernd")).await;
    until_renamed(&other, "b", "Bert", "Bernd", since, OTHERS_WITHOUT_REDIS).await;
}

#[tokio::test]
async fn what_was_looked_up_in_one_burst_is_not_looked_up_again_in_another() {
    let uids: Vec<String> = (0..64).map(|n| format!("u{n}")).collect();
    let names: Vec<(&str, &str)> = uids.iter().map(|uid| (uid.as_str(), "old")).collect();
    let (state, upstream) = (State::memory(), Upstream::new(&names));
    let directory = Directory::new(state.clone(), upstream.clone());
    let since = Instant::now();
    for uid in &uids {
        name(&directory, uid).await.unwrap();
        upstream.rename(uid, "new");
        state.delete(&format!("profile:kith:{uid}")).await.unwrap();
    }
    // The first are looked up again after three quarters of 2 s.
    sleep(Duration::from_millis(1_750).saturating_sub(since.elapsed())).await;
    let mut old = 0;
    for uid in &uids {
        old += usize::from(name(&directory, uid).await.as_deref() == Some("old"));
    }
    assert!((1..64).contains(&old), "{old}");
    sleep(STALE.saturating_sub(since.elapsed())).await;
    for uid in &uids {
        assert_eq!(name(&directory, uid).await.as_deref(), Some("new"));
    }
}

#[tokio::test]
async fn what_is_unreachable_and_not_at_hand_is_an_error_and_never_nobody() {
    let state = State::memory();
    let upstream = Upstream::new(&[("a", "Anna"), ("b", "Bert")]);
    let directory = Directory::new(state.clone(), upstream.clone());
    assert_eq!(name(&directory, "a").await.as_deref(), Some("Anna"));
    assert_eq!(name(&directory, "nobody").await, None);
    upstream.reachable(false);
    let fails = async |directory: &Directory, uids: &[&str]| {
        let keys: Vec<_> = uids.iter().map(|uid| key(uid)).collect();
        for found in [directory.get_many(&keys).await, directory.pass_many(&keys).await] {
            assert_eq!(found.unwrap_err().code(), Code::Unreachable, "{uids:?}");
        }
    };
    fails(&directory, &["b"]).await;
    // One that is not at hand fails the whole list.
    fails(&directory, &["a", "b"]).await;
    // At hand here, and for others in the state store.
    assert_eq!(name(&directory, "a").await.as_deref(), Some("Anna"));
    assert_eq!(name(&directory, "nobody").await, None);
    let other = Directory::new(state, upstream.clone());
    assert_eq!(name(&other, "a").await.as_deref(), Some("Anna"));
    // Not for ever.
    sleep(Duration::from_millis(7_100)).await;
    fails(&directory, &["a"]).await;
    fails(&other, &["a"]).await;
    upstream.reachable(true);
    assert_eq!(name(&directory, "a").await.as_deref(), Some("Anna"));
    assert_eq!(name(&directory, "b").await.as_deref(), Some("Bert"));
}

#[tokio::test]
async fn one_that_answers_nothing_is_given_up_by_all_who_wait() {
    let upstream = Upstream::new(&[("a", "Anna")]);
    let directory = in_memory(&upstream);
    upstream.hold();
    let first = tokio::spawn({
        let directory = directory.clone();
        async move { directory.get(&key("a")).await }
    });
    upstream.until_calls(1).await;
    // Whoever waits for another's look-up waits 2 s; that one's own limit is its source's (`internal`).
    let waiting = tokio::time::timeout(Duration::from_secs(4), directory.get(&key("a"))).await;
    assert_eq!(waiting.unwrap().unwrap_err().code(), Code::Unreachable);
    upstream.answer();
    assert_eq!(first.await.unwrap().unwrap().unwrap().name, "Anna");
}
