//! One suite for both stores, then what only Redis can go through.

use service_kit::settings::StateSettings;
use service_kit::state::{Notice, State, Subscription, Swapped, Terms};
use service_kit::testkit::redis::{self, RedisServer};
use service_kit::{Code, Error};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

const MINUTE: Duration = Duration::from_secs(60);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

async fn on_redis(url: &str) -> State {
    State::open(&redis::settings(url)).await.unwrap()
}

/// Each test once per store.
macro_rules! on_both_stores {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::State::memory()).await;
            })*
        }
        mod in_redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::on_redis(&super::redis::shared()).await).await;
            })*
        }
    };
}

on_both_stores! {
    values_are_set_read_and_deleted
    values_expire
    many_at_once_keep_their_order
    only_what_is_absent_is_set_new
    swaps_only_what_was_expected
    one_of_many_swaps_wins
    events_slide_out_of_the_window
    events_are_counted_up_to_a_bound
    notices_reach_all_who_listen
    a_slow_listener_is_told_of_the_gap
    works_across_runtimes
}

async fn values_are_set_read_and_deleted(state: State) {
    assert_eq!(state.get("k").await.unwrap(), None);
    state.set("k", "1", MINUTE).await.unwrap();
    state.set("k", "ü\r\n\0", MINUTE).await.unwrap();
    assert_eq!(state.get("k").await.unwrap().as_deref(), Some("ü\r\n\0"));
    state.delete("k").await.unwrap();
    state.delete("k").await.unwrap();
    assert_eq!(state.get("k").await.unwrap(), None);
    state.ping().await.unwrap();
}

async fn values_expire(state: State) {
    state.set("short", "1", ms(150)).await.unwrap();
    state.set("long", "1", MINUTE).await.unwrap();
    assert!(state.get("short").await.unwrap().is_some());
    sleep(ms(200)).await;
    assert_eq!(state.get_many(&["short", "long"]).await.unwrap(), [None, Some("1".into())]);
    assert!(state.set_new("short", "2", MINUTE).await.unwrap());
}

async fn many_at_once_keep_their_order(state: State) {
    let none: [&str; 0] = [];
    assert!(state.get_many(&none).await.unwrap().is_empty());
    let terms = Terms { over: true, within: MINUTE, life: MINUTE };
    state.put_copies::<&str, &str>(&[], Instant::now(), terms).await.unwrap();
    let entries: Vec<_> = (0..200).map(|i| (format!("k{i}"), format!("v{i}"))).collect();
    state.put_copies(&entries, Instant::now(), terms).await.unwrap();
    let read = state.get_many(&["k7", "absent", "k199", "k7"]).await.unwrap();
    assert_eq!(read, [Some("v7".into()), None, Some("v199".into()), Some("v7".into())]);
}

async fn only_what_is_absent_is_set_new(state: State) {
    assert!(state.set_new("a", "1", MINUTE).await.unwrap());
    assert!(!state.set_new("a", "2", MINUTE).await.unwrap());
    assert_eq!(state.get("a").await.unwrap().as_deref(), Some("1"));
}

async fn swaps_only_what_was_expected(state: State) {
    let swap = async |expected, new| state.swap("k", expected, new, MINUTE).await.unwrap();
    assert_eq!(swap(Some("x"), "y").await, Swapped::Found(None));
    assert_eq!(swap(None, "").await, Swapped::Done);
    assert_eq!(swap(None, "b").await, Swapped::Found(Some("".into())));
    assert_eq!(swap(Some("b"), "c").await, Swapped::Found(Some("".into())));
    assert_eq!(swap(Some(""), "c").await, Swapped::Done);
    assert_eq!(state.get("k").await.unwrap().as_deref(), Some("c"));
}

async fn one_of_many_swaps_wins(state: State) {
    state.set("code", "fresh", MINUTE).await.unwrap();
    let swaps = (0..50).map(|_| state.swap("code", Some("fresh"), "used", MINUTE));
    let done = futures_util::future::join_all(swaps).await;
    assert_eq!(done.iter().filter(|r| matches!(r, Ok(Swapped::Done))).count(), 1);
}

async fn events_slide_out_of_the_window(state: State) {
    let window = ms(400);
    state.record(&["a", "b"], window).await.unwrap();
    sleep(ms(250)).await;
    state.record(&["a"], window).await.unwrap();
    assert_eq!(state.count(&["a", "b", "c"], window).await.unwrap(), [2, 1, 0]);
    assert_eq!(state.count(&["a"], ms(200)).await.unwrap(), [1]);
    sleep(ms(250)).await;
    assert_eq!(state.count(&["a", "b"], window).await.unwrap(), [1, 0]);
}

async fn events_are_counted_up_to_a_bound(state: State) {
    for _ in 0..11 {
        let hundred = (0..100).map(|_| state.record(&["a"], MINUTE));
        futures_util::future::try_join_all(hundred).await.unwrap();
    }
    assert_eq!(state.count(&["a"], MINUTE).await.unwrap(), [1000]);
}

async fn hears(subscription: &mut Subscription) -> Notice {
    timeout(ms(3000), subscription.next()).await.unwrap().unwrap()
}

fn message(text: &str) -> Notice {
    Notice::Message(text.into())
}

async fn notices_reach_all_who_listen(state: State) {
    state.publish("c", "nobody hears this").await.unwrap();
    let mut first = state.subscribe("c").await;
    let mut second = state.subscribe("c").await;
    let mut other = state.subscribe("d").await;
    state.publish("c", "1").await.unwrap();
    state.publish("d", "2").await.unwrap();
    assert_eq!(hears(&mut first).await, message("1"));
    assert_eq!(hears(&mut second).await, message("1"));
    assert_eq!(hears(&mut other).await, message("2"));
    // Leaving and coming back at once does not lose what follows.
    drop((first, second));
    let mut third = state.subscribe("c").await;
    state.publish("c", "3").await.unwrap();
    assert_eq!(hears(&mut third).await, message("3"));
}

async fn a_slow_listener_is_told_of_the_gap(state: State) {
    let mut slow = state.subscribe("c").await;
    for i in 0..1000 {
        state.publish("c", &i.to_string()).await.unwrap();
    }
    // What was published last has arrived once a later listener hears it.
    let mut later = state.subscribe("c").await;
    state.publish("c", "last").await.unwrap();
    assert_eq!(hears(&mut later).await, message("last"));
    assert_eq!(hears(&mut slow).await, Notice::Gap);
    while hears(&mut slow).await != message("last") {}
}

async fn works_across_runtimes(state: State) {
    let mut here = state.subscribe("c").await;
    let there = state.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            there.set("k", "v", MINUTE).await?;
            there.publish("c", "hello").await
        })
    });
    assert_eq!(hears(&mut here).await, message("hello"));
    // Its runtime is gone, the store is not.
    thread.join().unwrap().unwrap();
    assert_eq!(state.get("k").await.unwrap().as_deref(), Some("v"));
}

fn unreachable<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert_eq!(result.unwrap_err().code(), Code::Unreachable);
}

/// Waits until the store answers, at most `limit`.
async fn heals(state: &State, limit: Duration) {
    let start = Instant::now();
    while let Err(e) = state.set("healed", "1", MINUTE).await {
        assert!(start.elapsed() < limit, "{e:?}");
        sleep(ms(5)).await;
    }
}

async fn fails_fast(state: &State) {
    let start = Instant::now();
    for _ in 0..20 {
        unreachable(state.get("k").await);
    }
    assert!(start.elapsed() < ms(100), "20 calls took {:?}", start.elapsed());
}

#[tokio::test]
async fn a_bad_url_is_an_error_and_an_absent_redis_is_not() {
    for url in ["", "http://localhost", "redis://", "redis://h:99999999", "rediss://localhost", "unix:///tmp/x"] {
        assert!(State::open(&redis::settings(url)).await.is_err(), "{url}");
    }
    let mut server = RedisServer::start();
    server.stop();
    let start = Instant::now();
    let state = on_redis(&server.url()).await;
    assert!(start.elapsed() < ms(1200));
    fails_fast(&state).await;
    let mut waiting = state.subscribe("c").await;
    server.start_again();
    heals(&state, ms(1000)).await;
    assert_eq!(hears(&mut waiting).await, Notice::Gap);
    state.publish("c", "1").await.unwrap();
    assert_eq!(hears(&mut waiting).await, message("1"));
}

#[tokio::test]
async fn a_restart_is_noticed_and_healed() {
    let mut server = RedisServer::start();
    let state = on_redis(&server.url()).await;
    state.record(&["e"], MINUTE).await.unwrap();
    let mut listener = state.subscribe("c").await;
    server.kill();
    sleep(ms(100)).await;
    fails_fast(&state).await;
    assert!(!state.stats().up);
    server.start_again();
    heals(&state, ms(1000)).await;
    assert_eq!(hears(&mut listener).await, Notice::Gap);
    // The scripts are unknown to the new server.
    state.record(&["e"], MINUTE).await.unwrap();
    assert_eq!(state.count(&["e"], MINUTE).await.unwrap(), [1]);
    let stats = state.stats();
    assert!(stats.up && stats.reconnects == 1 && stats.errors >= 20 && stats.operations > stats.errors, "{stats:?}");
}

#[tokio::test]
async fn a_connection_found_dead_does_not_fail_what_can_be_repeated() {
    let server = RedisServer::start();
    let state = on_redis(&server.url()).await;
    let kill = |server: &RedisServer| assert!(server.command("CLIENT KILL TYPE normal SKIPME yes").is_some());
    for i in 0..30 {
        kill(&server);
        state.set("k", &i.to_string(), MINUTE).await.unwrap();
    }
    // And those that are under way.
    let killer = std::thread::spawn(move || {
        for _ in 0..20 {
            std::thread::sleep(ms(20));
            kill(&server);
        }
        server
    });
    while !killer.is_finished() {
        let calls = (0..50).map(|_| state.get("k"));
        futures_util::future::try_join_all(calls).await.unwrap();
    }
    assert!(state.stats().reconnects >= 40, "{:?}", state.stats());
    drop(killer.join().unwrap());
}

#[tokio::test]
async fn a_frozen_redis_holds_nobody_up() {
    let server = RedisServer::start();
    let state = on_redis(&server.url()).await;
    let mut listener = state.subscribe("c").await;
    server.pause();
    let start = Instant::now();
    let calls = (0..100).map(|_| state.get("k"));
    for result in futures_util::future::join_all(calls).await {
        unreachable(result);
    }
    assert!(start.elapsed() < ms(1100), "took {:?}", start.elapsed());
    fails_fast(&state).await;
    sleep(ms(1500)).await;
    fails_fast(&state).await;
    server.resume();
    heals(&state, ms(1000)).await;
    assert_eq!(hears(&mut listener).await, Notice::Gap);
}

#[tokio::test]
async fn an_idle_connection_that_went_silent_is_noticed() {
    let server = RedisServer::start();
    let state = on_redis(&server.url()).await;
    server.pause();
    sleep(ms(1500)).await;
    fails_fast(&state).await;
}

#[tokio::test]
async fn a_host_that_never_answers_holds_nobody_up() {
    // The kernel takes the connection, and that is all.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let start = Instant::now();
    let state = on_redis(&url).await;
    assert!(start.elapsed() < ms(1200));
    fails_fast(&state).await;
}

#[tokio::test]
async fn prefixes_keep_stores_apart() {
    let one = on_redis(&redis::shared()).await;
    let other = on_redis(&redis::shared()).await;
    one.set("k", "1", MINUTE).await.unwrap();
    assert_eq!(other.get("k").await.unwrap(), None);
    let mut listener = other.subscribe("c").await;
    one.publish("c", "not for others").await.unwrap();
    other.publish("c", "mine").await.unwrap();
    assert_eq!(hears(&mut listener).await, message("mine"));
}

#[tokio::test]
async fn the_connection_ends_with_the_last_clone() {
    let server = RedisServer::start();
    let clients = || server.command("CLIENT LIST TYPE normal").map(|a| a.trim_start_matches('$').parse::<usize>());
    let state = State::open(&StateSettings { prefix: "x:".into(), ..redis::settings(&server.url()) }).await.unwrap();
    let with = clients().unwrap().unwrap();
    drop(state);
    sleep(ms(200)).await;
    assert!(clients().unwrap().unwrap() < with);
}
