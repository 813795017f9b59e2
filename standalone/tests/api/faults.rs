//! What goes on and what fails clearly while PostgreSQL or Redis is away, and that it heals by itself.

use crate::client::{Client, WRONG};
use crate::durability::until_answering;
use crate::load::{Load, Outcome};
use crate::stack::{Kind, Places, SERVICES, Stack, has_processes};
use serde_json::{Value, json};
use service_kit::testkit::postgres::PostgresServer;
use service_kit::testkit::redis::RedisServer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Each of these loads the machine: one at a time.
pub async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ONE.lock().await
}

/// Services on a PostgreSQL and a Redis of the test's own.
async fn on(postgres: &PostgresServer, redis: &RedisServer, pairs: &[(&str, &str)]) -> Stack {
    let mut environment = BTreeMap::new();
    for service in SERVICES {
        let url = postgres.create_database(service);
        environment.insert(format!("KITH__{}__DATABASE_URL", service.to_uppercase()), url);
    }
    environment.insert("KITH__STATE__URL".into(), redis.url());
    environment.insert("RUST_LOG".into(), "info".into());
    Stack::start_at(Places { kind: Kind::Postgres, environment, databases: Vec::new() }.with(pairs)).await
}

/// A call that must be answered within `limit`, whatever the answer.
async fn timed(limit: Duration, call: impl Future<Output = crate::client::Answer>) -> Value {
    let start = Instant::now();
    let answer = call.await;
    assert!(start.elapsed() < limit, "answered after {:?}: {}", start.elapsed(), answer.text);
    answer.json()
}

pub async fn within<F: Future<Output = bool>>(limit: Duration, what: &str, mut check: impl FnMut() -> F) {
    let start = Instant::now();
    while !check().await {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_registration_and_token_checks_go_on_and_no_token_changes() {
    if !has_processes() {
        return;
    }
    let _alone = alone().await;
    let (postgres, mut redis) = (PostgresServer::start(), RedisServer::start());
    let stack = on(&postgres, &redis, &[]).await;
    let kith = stack.client();
    kith.register_with("alice", json!({"password": "password-1"})).await.ok_b();
    let (live, dead) = (kith.token("alice", 1).await, kith.token("alice", 2).await);
    kith.parse(&live).await.ok_b();
    kith.parse(&dead).await.ok_b();
    let dump = redis.dump();
    kith.force_logout("alice", 2).await.ok_b();
    kith.parse(&dead).await.fails_b(702, "token invalid");

    // Gone.
    redis.kill();
    let limit = Duration::from_secs(2);
    assert_eq!(timed(limit, kith.register("bob")).await["errCode"], 0);
    assert_eq!(timed(limit, kith.parse(&live)).await["errCode"], 0);
    assert_eq!(timed(limit, kith.parse(&dead)).await["errCode"], 702);
    assert_eq!(timed(limit, kith.user_token("bob", 1)).await["errCode"], 0);
    assert_eq!(timed(limit, kith.sign_in("alice", "password-1")).await["ret"], "ok");
    assert_eq!(timed(limit, kith.force_logout("bob", 0)).await["errCode"], 0);
    let online = timed(limit, kith.online(json!(["alice"]))).await;
    assert_eq!(online["errCode"], 503, "unknown, never offline: {online}");

    // Back, empty.
    redis.restart_empty();
    until_presence_heals(&kith, Duration::from_secs(5)).await;
    kith.parse(&live).await.ok_b();
    kith.parse(&dead).await.fails_b(702, "token invalid");

    // Back, with a dump from before the revocation: no token state is staler than 5 s.
    redis.restart_with(&dump);
    tokio::time::sleep(Duration::from_secs(5)).await;
    until_presence_heals(&kith, Duration::from_secs(1)).await;
    kith.parse(&live).await.ok_b();
    kith.parse(&dead).await.fails_b(702, "token invalid");

    // Frozen.
    redis.pause();
    assert_eq!(timed(Duration::from_secs(3), kith.register("carol")).await["errCode"], 0);
    assert_eq!(timed(limit, kith.parse(&live)).await["errCode"], 0);
    assert_eq!(timed(limit, kith.parse(&dead)).await["errCode"], 702);
    redis.resume();
    until_presence_heals(&kith, Duration::from_secs(5)).await;
}

async fn until_presence_heals(kith: &Client, limit: Duration) {
    within(limit, "online status heals", async || kith.online(json!(["alice"])).await.json()["errCode"] == 0).await;
}

/// A change that could not overwrite its copies in Redis is not undone by them when Redis is back: the process that
/// made it knows better.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_ended_while_redis_was_frozen_stays_ended_when_it_is_back() {
    if !has_processes() {
        return;
    }
    let _alone = alone().await;
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let stack = on(&postgres, &redis, &[]).await;
    let kith = stack.client();
    kith.register_with("alice", json!({"password": "password-1"})).await.ok_b();
    let token = kith.token("alice", 1).await;
    // Copies of both are there.
    kith.parse(&token).await.ok_b();
    kith.sign_in("alice", "password-1").await.ok_c();
    redis.pause();
    kith.register("somebody").await;
    kith.force_logout("alice", 0).await.ok_b();
    kith.update("alice", json!({"password": "password-2"})).await.ok_b();
    kith.parse(&token).await.fails_b(702, "token invalid");
    redis.resume();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        kith.parse(&token).await.fails_b(702, "token invalid");
        kith.form("/im/user_get_token/", &[("username", "alice"), ("token", &token)]).await.fails_c(WRONG);
        // Within the limit of the lock-out.
        tokio::time::sleep(Duration::from_millis(700)).await;
        kith.sign_in("alice", "password-1").await.fails_c(WRONG);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restarted_under_load_is_answered_within_3_s_and_heals() {
    under_load(16, |mut postgres| async move {
        postgres.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        postgres.start_again();
        postgres
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_frozen_for_10_s_under_load_is_answered_within_3_s_and_heals() {
    under_load(32, |postgres| async move {
        postgres.pause();
        tokio::time::sleep(Duration::from_secs(10)).await;
        postgres.resume();
        postgres
    })
    .await;
}

/// What happens to PostgreSQL while `workers` register: everybody is answered in time, and soon answered well again.
async fn under_load<F: Future<Output = PostgresServer>>(workers: usize, outage: impl FnOnce(PostgresServer) -> F) {
    if !has_processes() {
        return;
    }
    let _alone = alone().await;
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let stack = on(&postgres, &redis, &[]).await;
    let kith = stack.client();
    let load = Load::start(&kith, workers);
    load.goes_on(50).await;
    let _postgres = outage(postgres).await;
    until_registering(&kith).await;
    load.goes_on(50).await;
    load.end(&kith).await.is_clear_within(Duration::from_secs(3));
}

/// Within 5 s.
async fn until_registering(kith: &Client) {
    within(Duration::from_secs(5), "registrations heal", async || {
        kith.register(&crate::stack::name("h")).await.json()["errCode"] == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_one_connection_is_busy_and_never_hangs() {
    if !has_processes() {
        return;
    }
    let _alone = alone().await;
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let stack = on(&postgres, &redis, &[("KITH__IM_AUTH__DATABASE_THREADS", "1")]).await;
    let kith = stack.client();
    // Locks the table for a while, so that the one connection waits.
    kith.register("first").await.ok_b();
    let load = Load::start(&kith, 64);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let locker = postgres.hold("im_auth", "LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE");
    let busy = timed(Duration::from_secs(3), kith.register("blocked")).await;
    assert_eq!(busy["errCode"], 503, "{busy}");
    drop(locker);
    until_registering(&kith).await;
    load.end(&kith).await.is_clear_within(Duration::from_secs(3));
    until_answering(&kith).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_service_replaced_by_another_process_under_load_fails_no_request() {
    if !has_processes() {
        return;
    }
    let _alone = alone().await;
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let other = crate::process::free_port();
    let first = crate::process::free_port();
    let both = format!("127.0.0.1:{first},127.0.0.1:{other}");
    let mut stack = on(&postgres, &redis, &[("KITH__GATEWAY__UPSTREAMS__IM_AUTH", &both), ("KITH__DRAIN", "3")]).await;
    // The harness gave svc-im-auth a port of its own choice; this test wants its own two.
    let log = stack.folder.path().join("replica.log");
    let start = |stack: &Stack, port: u16, log: std::path::PathBuf| {
        let mut environment = stack.processes["im_auth"].environment().clone();
        environment.insert("KITH__IM_AUTH__LISTEN".into(), format!("127.0.0.1:{port}"));
        environment.insert("KITH__IM_AUTH__INTERNAL_LISTEN".into(), "127.0.0.1:0".into());
        crate::process::Process::start("svc-im-auth", environment, log)
    };
    stack.process_of("im_auth").kill();
    let mut old = start(&stack, first, log.clone());
    let kith = stack.client();
    until_answering(&kith).await;
    let load = Load::start(&kith, 16);
    for round in 0..3 {
        // One more process on the other address, then the older one is told to end.
        let port = if round % 2 == 0 { other } else { first };
        let mut new = start(&stack, port, stack.folder.path().join(format!("replica-{round}.log")));
        new.until(async |_| tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        old.signal("TERM");
        let status = old.ended(Duration::from_secs(30)).await;
        assert!(status.success(), "{status}");
        old = new;
        load.goes_on(50).await;
    }
    let Outcome { answered, failures, .. } = load.end(&kith).await;
    assert!(failures.is_empty(), "{} failed, {} did not: {:?}", failures.len(), answered.len(), failures.first());
}
