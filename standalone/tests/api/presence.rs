//! Presence across processes (design §4): two svc-im-auth on one Redis and PostgreSQL, a gateway before both.

use crate::client::Client;
use crate::faults::{alone, other_run};
use crate::process::{Process, free_port};
use crate::socket::{End, Socket};
use crate::stack::{Kind, Places, Stack, until_presence_is_known};
use serde_json::json;
use service_kit::testkit::postgres::fresh_database;
use service_kit::testkit::redis::RedisServer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(1);
/// Within this time presence is right everywhere, whatever died.
const RIGHT: Duration = Duration::from_secs(5);

struct Cluster {
    stack: Stack,
    nodes: Vec<Process>,
    /// The nodes' public addresses: a test chooses where it connects.
    urls: Vec<String>,
    redis: RedisServer,
    _database: service_kit::testkit::postgres::FreshDatabase,
}

impl Cluster {
    async fn start() -> Self {
        let (redis, database) = (RedisServer::start(), fresh_database());
        let ports = [free_port(), free_port()];
        let mut places = Places::fresh(Kind::Postgres);
        places.environment.insert("KITH__IM_AUTH__DATABASE_URL".into(), database.url());
        places.environment.insert("KITH__STATE__URL".into(), redis.url());
        places.environment.insert("RUST_LOG".into(), "info".into());
        let both = format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
        let mut stack = Stack::start_at(places.with(&[("KITH__GATEWAY__UPSTREAMS__IM_AUTH", &both)])).await;
        // The nodes take the place of the one that every stack has.
        let environment = stack.processes.remove("im_auth").unwrap().environment().clone();
        let nodes = ports.iter().map(|port| node(&stack, &environment, *port)).collect();
        let urls: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let cluster = Self { stack, nodes, urls, redis, _database: database };
        for url in &cluster.urls {
            until_open(url).await;
            until_presence_is_known(&Client::new(url)).await;
        }
        until_presence_is_known(&cluster.kith()).await;
        cluster
    }

    /// Through the gateway, that is through either node.
    fn kith(&self) -> Client {
        self.stack.client()
    }

    fn at(&self, node: usize) -> Client {
        Client::new(&self.urls[node])
    }

    async fn restart(&mut self, node: usize) {
        self.nodes[node].start_again();
        until_open(&self.urls[node]).await;
    }
}

fn node(stack: &Stack, environment: &BTreeMap<String, String>, port: u16) -> Process {
    let mut environment = environment.clone();
    environment.insert("KITH__IM_AUTH__LISTEN".into(), format!("127.0.0.1:{port}"));
    environment.insert("KITH__IM_AUTH__INTERNAL_LISTEN".into(), format!("127.0.0.1:{}", free_port()));
    Process::start("svc-im-auth", environment, stack.folder.path().join(format!("node-{port}.log")))
}

async fn until_open(url: &str) {
    let address = url.trim_start_matches("http://");
    for _ in 0..1000 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{url} does not listen");
}

/// Asks for as long as `during`: the user is never said to be offline, only online or unknown; in the end online.
async fn never_offline(kith: &Client, uid: &str, during: Duration) {
    let start = Instant::now();
    let mut known = false;
    while start.elapsed() < during {
        let answer = kith.online(json!([uid])).await.json();
        known = answer["errCode"] == 0;
        if known {
            assert_eq!(answer["successResult"][0]["status"], json!("online"), "after {:?}: {answer}", start.elapsed());
        } else {
            assert_eq!(answer["errCode"], json!(503), "{answer}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(known, "still unknown after {during:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_to_one_node_is_online_through_the_other() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let cluster = Cluster::start().await;
    let (kith, a, b) = (cluster.kith(), cluster.at(0), cluster.at(1));
    let (ios, web) = (kith.user("alice", 1).await, kith.user("alice", 5).await);
    let mut first = Socket::open(&cluster.urls[0], &ios).await;
    for client in [&kith, &a, &b] {
        client.until_platforms("alice", &["IOS"], SOON).await;
    }
    let second = Socket::open(&cluster.urls[1], &web).await;
    for client in [&kith, &a, &b] {
        client.until_platforms("alice", &["IOS", "Web"], SOON).await;
    }
    second.close().await;
    for client in [&kith, &a, &b] {
        client.until_platforms("alice", &["IOS"], SOON).await;
    }
    // A log-out that one node hears closes the socket on the other.
    b.force_logout("alice", 0).await.ok_b();
    assert_eq!(first.end().await, (vec![], End::Closed(4702)));
    a.until_platforms("alice", &[], SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_socket_on_the_other_node_replaces_the_older_one() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let cluster = Cluster::start().await;
    let kith = cluster.kith();
    let (older, newer) = (kith.user("alice", 1).await, kith.token("alice", 1).await);
    let mut first = Socket::open(&cluster.urls[0], &older).await;
    let mut second = Socket::open(&cluster.urls[1], &newer).await;
    assert_eq!(first.end().await, (vec![json!({"type": "kicked", "code": 706})], End::Closed(4706)));
    second.lives().await;
    for client in [cluster.at(0), cluster.at(1)] {
        client.parse(&older).await.fails_b(706, "token kicked");
        client.parse(&newer).await.ok_b();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_nodes_at_once_over_and_over_leave_one_socket_and_one_live_token() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let cluster = Cluster::start().await;
    let kith = cluster.kith();
    for round in 0..15 {
        let uid = format!("user-{round}");
        kith.register(&uid).await.ok_b();
        kith.force_logout(&uid, 0).await.ok_b();
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(kith.token(&uid, 1).await);
        }
        let opening = tokens.iter().enumerate().map(|(n, token)| {
            let (url, query) = (cluster.urls[n % 2].clone(), format!("token={token}"));
            async move { Socket::try_open(&url, &query).await.ok() }
        });
        let opened: Vec<Socket> = futures_util::future::join_all(opening).await.into_iter().flatten().collect();
        // Give the losers time to be told, then see who lives.
        let endings = opened.into_iter().map(|mut socket| async move {
            let end = tokio::time::timeout(Duration::from_secs(2), socket.end_within(Duration::from_secs(9))).await;
            (socket, end.ok())
        });
        let (mut living, mut ended) = (Vec::new(), Vec::new());
        for (socket, end) in futures_util::future::join_all(endings).await {
            match end {
                None => living.push(socket),
                Some((_, end)) => ended.push(end),
            }
        }
        assert_eq!(living.len(), 1, "round {round}");
        assert!(ended.iter().all(|end| *end == End::Closed(4706)), "round {round}: {ended:?}");
        let mut live = 0;
        for token in &tokens {
            live += i64::from(kith.parse(token).await.json()["errCode"] == 0);
        }
        assert_eq!(live, 1, "round {round}");
        kith.until_platforms(&uid, &["IOS"], SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_a_node_takes_its_users_offline_within_5_s_and_nobody_else() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let mut cluster = Cluster::start().await;
    let kith = cluster.kith();
    let (a, b) = (kith.user("alice", 1).await, kith.user("bob", 1).await);
    let mut alice = Socket::open(&cluster.urls[0], &a).await;
    let mut bob = Socket::open(&cluster.urls[1], &b).await;
    let other = cluster.at(1);
    other.until_platforms("alice", &["IOS"], SOON).await;
    cluster.nodes[0].kill();
    let killed = Instant::now();
    other.until_platforms("alice", &[], RIGHT).await;
    // A new start under the same address revives nothing.
    cluster.restart(0).await;
    while killed.elapsed() < Duration::from_secs(8) {
        for client in [&kith, &other] {
            let answer = client.online(json!(["alice", "bob"])).await.json();
            if answer["errCode"] == 0 {
                assert_eq!(answer["successResult"][0]["status"], json!("offline"));
                assert_eq!(answer["successResult"][1]["status"], json!("online"));
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(alice.end().await.1, End::Cut);
    bob.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_nodes_users_are_offline_meanwhile_and_right_within_5_s_of_its_return() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let cluster = Cluster::start().await;
    let kith = cluster.kith();
    let (a, b) = (kith.user("alice", 1).await, kith.user("bob", 1).await);
    let mut alice = Socket::open(&cluster.urls[0], &a).await;
    let mut bob = Socket::open(&cluster.urls[1], &b).await;
    let other = cluster.at(1);
    other.until_platforms("alice", &["IOS"], SOON).await;
    cluster.nodes[0].signal("STOP");
    other.until_platforms("alice", &[], RIGHT).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(other.platforms("bob").await, ["IOS"]);
    cluster.nodes[0].signal("CONT");
    other.until_platforms("alice", &["IOS"], RIGHT).await;
    alice.lives().await;
    bob.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_flushed_emptied_or_set_back_is_unknown_never_offline_and_right_within_5_s() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let mut cluster = Cluster::start().await;
    let kith = cluster.kith();
    let (a, b, gone) = (kith.user("alice", 1).await, kith.user("bob", 2).await, kith.user("gone", 1).await);
    let mut alice = Socket::open(&cluster.urls[0], &a).await;
    let mut bob = Socket::open(&cluster.urls[1], &b).await;
    let leaving = Socket::open(&cluster.urls[1], &gone).await;
    kith.until_platforms("gone", &["IOS"], SOON).await;
    let dump = cluster.redis.dump();
    leaving.close().await;
    kith.until_platforms("gone", &[], SOON).await;
    for round in 0..3 {
        match round {
            0 => cluster.redis.flush(),
            1 => cluster.redis.restart_empty(),
            // Of a time when `gone` was online.
            _ => cluster.redis.restart_with(&dump),
        }
        for uid in ["alice", "bob"] {
            never_offline(&kith, uid, RIGHT).await;
        }
        assert_eq!(kith.platforms("bob").await, ["Android"]);
        assert!(kith.platforms("gone").await.is_empty(), "round {round}");
        alice.lives().await;
        bob.lives().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_new_sockets_get_503_and_open_ones_stay() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let mut cluster = Cluster::start().await;
    let kith = cluster.kith();
    let (a, b) = (kith.user("alice", 1).await, kith.user("bob", 1).await);
    let mut alice = Socket::open(&cluster.urls[0], &a).await;
    cluster.redis.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    for url in [&cluster.urls[0], &kith.url] {
        let Err(answer) = Socket::try_open(url, &format!("token={b}")).await else { panic!("opened without Redis") };
        assert_eq!((answer.status, &answer.json()["errCode"]), (503, &json!(503)));
    }
    alice.lives().await;
    cluster.redis.restart_empty();
    let start = Instant::now();
    let mut bob = loop {
        if let Ok(socket) = Socket::try_open(&kith.url, &format!("token={b}")).await {
            break socket;
        }
        assert!(start.elapsed() < RIGHT, "sockets do not open again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(bob.json().await["type"], json!("ready"));
    kith.until_platforms("alice", &["IOS"], RIGHT).await;
    kith.until_platforms("bob", &["IOS"], RIGHT).await;
    alice.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_of_a_node_closes_its_sockets_with_1001_and_leaves_presence_clean() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let mut cluster = Cluster::start().await;
    let kith = cluster.kith();
    let mut sockets = Vec::new();
    for n in 0..40 {
        let token = kith.user(&format!("u{n}"), 1).await;
        // Half of them through the gateway, which spreads them over both nodes.
        let url = if n % 2 == 0 { &cluster.urls[0] } else { &kith.url };
        sockets.push((n, Socket::open(url, &token).await));
    }
    cluster.nodes[0].signal("TERM");
    let status = cluster.nodes[0].ended(Duration::from_secs(30)).await;
    assert!(status.success(), "{status}");
    let (mut closed, mut living) = (0, 0);
    for (n, mut socket) in sockets {
        let end = tokio::time::timeout(Duration::from_millis(200), socket.end_within(Duration::from_secs(9))).await;
        let platforms = cluster.at(1).platforms(&format!("u{n}")).await;
        match end {
            Ok((_, end)) => {
                assert_eq!(end, End::Closed(1001), "u{n}");
                assert!(platforms.is_empty(), "u{n} is online without a socket");
                closed += 1;
            }
            Err(_) => {
                socket.lives().await;
                assert_eq!(platforms, ["IOS"], "u{n}");
                living += 1;
            }
        }
    }
    assert!(closed >= 20 && living >= 5, "{closed} closed, {living} on the other node");
}

/// Random connects, closes, kicks, log-outs, node deaths and flushes against the truth of open sockets: at rest the
/// answer equals it, never more than 5 s late.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_presence_comes_to_equal_the_open_sockets() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let mut cluster = Cluster::start().await;
    let kith = cluster.kith();
    let seed = u64::from(std::process::id());
    let mut state = seed;
    let mut random = move |below: usize| {
        // A small generator of its own, so that a seed tells the whole run.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    const USERS: usize = 6;
    for user in 0..USERS {
        kith.register(&format!("u{user}")).await.ok_b();
    }
    // By user and platform (1–3): the socket that should be open, and its node.
    let mut open: BTreeMap<(usize, i64), (usize, Socket)> = BTreeMap::new();
    for step in 0..60 {
        let user = random(USERS);
        let platform = i64::try_from(random(3)).unwrap() + 1;
        let uid = format!("u{user}");
        match random(12) {
            0..=5 => {
                let node = random(2);
                let answer = cluster.at(node).user_token(&uid, platform).await.json();
                let Some(token) = answer["data"]["token"].as_str() else { continue };
                let Ok(mut socket) = Socket::try_open(&cluster.urls[node], &format!("token={token}")).await else {
                    continue;
                };
                socket.json().await;
                if let Some((_, mut older)) = open.insert((user, platform), (node, socket)) {
                    let (_, end) = older.end_within(RIGHT).await;
                    assert_eq!(end, End::Closed(4706), "step {step}");
                }
            }
            6 | 7 => {
                if let Some((_, socket)) = open.remove(&(user, platform)) {
                    socket.close().await;
                }
            }
            8 => {
                kith.force_logout(&uid, platform).await.ok_b();
                if let Some((_, mut socket)) = open.remove(&(user, platform)) {
                    assert_eq!(socket.end_within(RIGHT).await.1, End::Closed(4702), "step {step}");
                }
            }
            9 => {
                let node = random(2);
                cluster.nodes[node].kill();
                open.retain(|_, (of, _)| *of != node);
                cluster.restart(node).await;
            }
            10 => cluster.redis.flush(),
            _ => cluster.redis.restart_empty(),
        }
        if step % 4 == 3 {
            // At rest.
            let uids: Vec<String> = (0..USERS).map(|u| format!("u{u}")).collect();
            let truth: Vec<Vec<&str>> = (0..USERS)
                .map(|u| {
                    let names = ["IOS", "Android", "Windows"];
                    (1..=3)
                        .filter(|p| open.contains_key(&(u, *p)))
                        .map(|p| names[usize::try_from(p).unwrap() - 1])
                        .collect()
                })
                .collect();
            let start = Instant::now();
            loop {
                let answer = kith.online(json!(uids)).await.json();
                let told: Vec<Vec<&str>> = answer["successResult"]
                    .as_array()
                    .map(|users| {
                        users
                            .iter()
                            .map(|u| {
                                let platforms = u["detailPlatformStatus"].as_array();
                                platforms
                                    .map_or(vec![], |p| p.iter().map(|p| p["platform"].as_str().unwrap()).collect())
                            })
                            .collect()
                    })
                    .unwrap_or_default();
                if told == truth {
                    break;
                }
                assert!(start.elapsed() < RIGHT, "seed {seed}, step {step}: {told:?} instead of {truth:?}: {answer}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    for (_, (_, mut socket)) in open {
        socket.lives().await;
    }
}

/// Thousands of sockets through the gateway: idle memory is bounded, and a flush of Redis under them is "unknown",
/// never "offline", and right within 5 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_flush_under_thousands_of_sockets_is_right_within_5_s() {
    if other_run() {
        return;
    }
    let _alone = alone().await;
    let many = socket_count();
    let mut cluster = Cluster::start().await;
    let kith = cluster.kith();
    let users: Vec<String> = (0..many).map(|n| format!("user-{n}")).collect();
    let memory = |cluster: &Cluster| -> u64 {
        let gateway = cluster.stack.processes["gateway"].resident_kib();
        gateway + cluster.nodes.iter().map(crate::process::Process::resident_kib).sum::<u64>()
    };
    let mut tokens = Vec::new();
    for some in users.chunks(64) {
        tokens.extend(futures_util::future::join_all(some.iter().map(|uid| kith.user(uid, 1))).await);
    }
    let before = memory(&cluster);
    let mut sockets = Vec::new();
    for some in tokens.chunks(64) {
        sockets.extend(futures_util::future::join_all(some.iter().map(|token| Socket::open(&kith.url, token))).await);
    }
    let online = async |kith: &Client| -> Option<usize> {
        let mut online = 0;
        for some in users.chunks(200) {
            let answer = kith.online(json!(some)).await.json();
            if answer["errCode"] != 0 {
                return None;
            }
            online += answer["successResult"].as_array().unwrap().iter().filter(|u| u["status"] == "online").count();
        }
        Some(online)
    };
    let start = Instant::now();
    while online(&kith).await != Some(many) {
        assert!(start.elapsed() < RIGHT, "{:?} of {many} are online", online(&kith).await);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = (memory(&cluster) - before) as f64 / many as f64;
    // Both hops together. Release builds are measured at some 8 KiB; this bound only catches a change of kind, such
    // as going back to the request handlers' 45 KiB.
    assert!(each < 24.0, "{each:.1} KiB per idle socket");
    let dump = cluster.redis.dump();
    for round in 0..3 {
        match round {
            0 => cluster.redis.flush(),
            1 => cluster.redis.restart_empty(),
            _ => cluster.redis.restart_with(&dump),
        }
        let start = Instant::now();
        loop {
            match online(&kith).await {
                None => {}
                Some(n) => assert_eq!(n, many, "some are said to be offline after {:?}", start.elapsed()),
            }
            if start.elapsed() > RIGHT {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(online(&kith).await, Some(many), "round {round}");
    }
    for socket in sockets.iter_mut().step_by(97) {
        socket.lives().await;
    }
}

/// 9,000, or what the limit on open files allows: the gateway needs two for each.
fn socket_count() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
    let files: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let count = (files.saturating_sub(1000) / 2).min(9000);
    assert!(count >= 1500, "only {files} files may be open: run scripts/test.sh, which raises the limit");
    count
}
