//! Presence: one process alone, several on one Redis, and what may happen to Redis and to them.

use futures_util::FutureExt;
use service_kit::presence::{ConnId, Event, Opened, Platforms, Presence, Reason};
use service_kit::settings::StateSettings;
use service_kit::state::State;
use service_kit::testkit::redis::{self, RedisServer};
use service_kit::{Code, Result};
use shared_models::{AppId, Platform, Uid};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::sleep;

pub const NOTHING: Platforms = Platforms::NONE;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn app() -> AppId {
    AppId::new("app").unwrap()
}

pub fn uid(name: &str) -> Uid {
    Uid::new(name).unwrap()
}

/// One process's presence with the events that it told.
#[derive(Clone)]
pub struct Node {
    pub presence: Presence,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Node {
    fn on(state: &State) -> Self {
        let events = Arc::<Mutex<Vec<_>>>::default();
        let told = events.clone();
        let presence = Presence::start(state, move |event| told.lock().unwrap().push(event)).unwrap();
        Self { presence, events }
    }

    pub async fn start(settings: &StateSettings) -> Self {
        Self::on(&State::open(settings).await.unwrap())
    }

    /// With a socket number of its own, unique in the test.
    pub async fn open(&self, user: &str, platform: Platform) -> Result<(ConnId, Opened)> {
        let conn = next_conn();
        self.presence.open(&app(), &uid(user), platform, conn).await.map(|opened| (conn, opened))
    }

    pub fn close(&self, user: &str, conn: ConnId) {
        self.presence.close(&app(), &uid(user), conn);
    }

    pub async fn online(&self, user: &str) -> Result<Platforms> {
        self.presence.online(&app(), &[uid(user)]).await.map(|all| all[0])
    }

    /// Waits until the answer is this one; how long it took.
    pub async fn until(&self, user: &str, expected: Platforms, limit: Duration) -> Duration {
        let start = Instant::now();
        loop {
            let answer = self.online(user).await;
            if answer.as_ref().is_ok_and(|a| *a == expected) {
                return start.elapsed();
            }
            assert!(start.elapsed() < limit, "{user} is {answer:?} instead of {expected:?} after {limit:?}");
            sleep(ms(10)).await;
        }
    }

    /// Until the first questions can be answered.
    pub async fn ready(self) -> Self {
        self.until("nobody", NOTHING, ms(5000)).await;
        self
    }

    fn closed(&self, conn: ConnId, reason: Reason) -> bool {
        self.events.lock().unwrap().contains(&Event::Close { conn, reason })
    }

    pub async fn closes(&self, conn: ConnId, reason: Reason) {
        for _ in 0..500 {
            if self.closed(conn, reason) {
                return;
            }
            sleep(ms(10)).await;
        }
        panic!("socket {conn} was not closed");
    }
}

pub fn next_conn() -> ConnId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, SeqCst) + 1
}

pub fn on(platform: Platform) -> Platforms {
    platform.into()
}

/// Asks all the time whether users who are online are said to be so. "Unknown" is a good answer, "offline" is not.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u32, u32)>,
}

impl Watcher {
    pub fn start(node: &Node, users: &[&str], expected: Platforms) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (stopped, node) = (stop.clone(), node.clone());
        let uids: Vec<_> = users.iter().map(|u| uid(u)).collect();
        let task = tokio::spawn(async move {
            let (mut known, mut unknown) = (0, 0);
            while !stopped.load(SeqCst) {
                match node.presence.online(&app(), &uids).await {
                    Ok(answer) => {
                        assert!(answer.iter().all(|a| *a == expected), "wrongly {answer:?}");
                        known += 1;
                    }
                    Err(e) => {
                        assert_eq!(e.code(), Code::Unreachable);
                        unknown += 1;
                    }
                }
                sleep(ms(3)).await;
            }
            (known, unknown)
        });
        Self { stop, task }
    }

    /// Answers given, and refused.
    pub async fn stop(self) -> (u32, u32) {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap()
    }
}

async fn a_socket_is_seen_and_gone(node: Node) {
    let (first, opened) = node.open("u", Platform::Ios).await.unwrap();
    assert_eq!(opened.earlier, []);
    let (second, _) = node.open("u", Platform::Web).await.unwrap();
    node.open("v", Platform::Linux).await.unwrap();
    let asked = ["v", "nobody", "u", "v"].map(uid);
    let both = on(Platform::Ios) | on(Platform::Web);
    let answer = node.presence.online(&app(), &asked).await.unwrap();
    assert_eq!(answer, [on(Platform::Linux), NOTHING, both, on(Platform::Linux)]);
    assert_eq!(node.presence.online(&AppId::new("other").unwrap(), &asked).await.unwrap(), [NOTHING; 4]);
    assert_eq!(node.presence.online(&app(), &[]).await.unwrap(), []);
    node.close("u", first);
    node.until("u", on(Platform::Web), ms(1000)).await;
    node.close("u", first);
    node.close("u", second);
    node.until("u", NOTHING, ms(1000)).await;
    // What is to be written of `u` may have been written, and not yet be crossed out.
    let stats = || {
        let stats = node.presence.stats();
        (stats.users, stats.sockets, stats.serving)
    };
    let began = Instant::now();
    while stats() != (1, 1, true) {
        assert!(began.elapsed() < ms(1000), "{:?}", stats());
        sleep(ms(3)).await;
    }
}

async fn the_later_socket_learns_of_the_earlier(node: Node) {
    let (first, opened) = node.open("w", Platform::Ios).await.unwrap();
    node.open("w", Platform::Android).await.unwrap();
    let (second, later) = node.open("w", Platform::Ios).await.unwrap();
    assert!(later.order > opened.order);
    let [holder] = &later.earlier[..] else { panic!("{later:?}") };
    assert_eq!((holder.order, holder.platform), (opened.order, Platform::Ios));
    node.presence.kick(&app(), &uid("w"), holder, Reason::Replaced).await.unwrap();
    node.closes(first, Reason::Replaced).await;
    assert!(!node.closed(second, Reason::Replaced));
    node.close("w", first);
    sleep(ms(100)).await;
    assert_eq!(node.online("w").await.unwrap(), on(Platform::Ios) | on(Platform::Android));
    node.presence.kick_all(&app(), &uid("w"), Some(Platform::Ios), Reason::LoggedOut).await.unwrap();
    node.closes(second, Reason::LoggedOut).await;
}

async fn drained_means_gone(node: Node, observer: Node) {
    for i in 0..300 {
        node.open(&format!("d{i}"), Platform::Osx).await.unwrap();
    }
    assert_eq!(observer.online("d299").await.unwrap(), on(Platform::Osx));
    node.presence.drain().await;
    assert_eq!(observer.online("d0").await.unwrap(), NOTHING);
    assert_eq!(observer.online("d299").await.unwrap(), NOTHING);
}

#[tokio::test]
async fn alone_in_memory() {
    let node = Node::on(&State::memory());
    a_socket_is_seen_and_gone(node.clone()).await;
    the_later_socket_learns_of_the_earlier(node.clone()).await;
    drained_means_gone(node.clone(), node).await;
}

#[tokio::test]
async fn on_redis() {
    let settings = redis::settings(&redis::shared());
    let node = Node::start(&settings).await.ready().await;
    a_socket_is_seen_and_gone(node.clone()).await;
    the_later_socket_learns_of_the_earlier(node.clone()).await;
    let observer = Node::start(&settings).await.ready().await;
    drained_means_gone(node.clone(), observer).await;
    assert_eq!(node.open("late", Platform::Web).await.unwrap_err().code(), Code::Unreachable);
}

#[tokio::test]
async fn nodes_see_each_other_and_the_later_holder_wins() {
    let settings = redis::settings(&redis::shared());
    let one = Node::start(&settings).await.ready().await;
    let two = Node::start(&settings).await.ready().await;
    let (first, _) = one.open("u", Platform::Ios).await.unwrap();
    assert!(two.until("u", on(Platform::Ios), ms(1000)).await < ms(100), "opened means visible");
    let (second, opened) = two.open("u", Platform::Ios).await.unwrap();
    assert_eq!(opened.earlier.len(), 1);
    assert_eq!(opened.earlier[0].node, one.presence.node_id());
    // Back on the first node before it hears of the kick: only the older one goes.
    let (third, opened_again) = one.open("u", Platform::Ios).await.unwrap();
    assert_eq!(opened_again.earlier.len(), 2, "{opened_again:?}");
    two.presence.kick(&app(), &uid("u"), &opened.earlier[0], Reason::Replaced).await.unwrap();
    one.closes(first, Reason::Replaced).await;
    assert!(!one.closed(third, Reason::Replaced));
    for holder in &opened_again.earlier {
        one.presence.kick(&app(), &uid("u"), holder, Reason::Replaced).await.unwrap();
    }
    two.closes(second, Reason::Replaced).await;
    one.close("u", first);
    two.close("u", second);
    sleep(ms(200)).await;
    assert_eq!(two.online("u").await.unwrap(), on(Platform::Ios));
    two.presence.kick_all(&app(), &uid("u"), None, Reason::LoggedOut).await.unwrap();
    one.closes(third, Reason::LoggedOut).await;
    // A node that just vanishes: a crash, as far as others can tell.
    drop(one);
    let took = two.until("u", NOTHING, ms(5000)).await;
    assert!(took > ms(2000), "gone after {took:?}: not by its lease");
}

#[tokio::test]
async fn of_sockets_opened_at_once_exactly_one_is_first() {
    let settings = redis::settings(&redis::shared());
    let nodes = [Node::start(&settings).await, Node::start(&settings).await, Node::start(&settings).await];
    for round in 0..100 {
        let user = format!("u{round}");
        let opens = nodes.iter().chain(&nodes).map(|n| n.open(&user, Platform::Ios));
        let mut opened = futures_util::future::try_join_all(opens).await.unwrap();
        opened.sort_by_key(|(_, o)| o.order);
        for (i, (_, o)) in opened.iter().enumerate() {
            // Everyone meets the latest of each other node and all of its own node.
            let orders: Vec<_> = opened[..i].iter().map(|(_, o)| o.order).collect();
            assert!(o.earlier.iter().all(|e| orders.contains(&e.order)), "{opened:?}");
            assert_eq!(o.earlier.is_empty(), i == 0, "{opened:?}");
            assert!(i == 0 || o.earlier.iter().any(|e| e.order == orders[i - 1]), "{opened:?}");
        }
    }
}

#[tokio::test]
async fn an_abandoned_opening_leaves_nothing() {
    let mut server = RedisServer::start();
    let node = Node::start(&redis::settings(&server.url())).await.ready().await;
    server.pause();
    let start = Instant::now();
    assert_eq!(node.open("u", Platform::Ios).await.unwrap_err().code(), Code::Unreachable);
    assert!(start.elapsed() < ms(1200), "{:?}", start.elapsed());
    // Known to be away: refused at once.
    let start = Instant::now();
    assert_eq!(node.open("u", Platform::Ios).await.unwrap_err().code(), Code::Unreachable);
    assert!(start.elapsed() < ms(50), "{:?}", start.elapsed());
    server.resume();
    node.until("u", NOTHING, ms(5000)).await;
    assert!(node.open("v", Platform::Ios).now_or_never().is_none());
    sleep(ms(200)).await;
    assert_eq!(node.online("v").await.unwrap(), NOTHING);
    assert_eq!(node.presence.stats().users, 0);
    // What is closed meanwhile is gone afterwards.
    let (conn, _) = node.open("w", Platform::Ios).await.unwrap();
    server.pause();
    sleep(ms(1500)).await;
    node.close("w", conn);
    server.resume();
    node.until("w", NOTHING, ms(5000)).await;
    server.kill();
}

/// Two nodes with many users, a fault, and the watcher who never hears "offline".
async fn survives(what: &str, fault: impl AsyncFnOnce(&mut RedisServer, &[Node; 2])) {
    let mut server = RedisServer::start();
    let settings = redis::settings(&server.url());
    let nodes = [Node::start(&settings).await, Node::start(&settings).await];
    let users: Vec<_> = (0..1000).map(|i| format!("u{i}")).collect();
    for (i, node) in nodes.iter().enumerate() {
        let opens = users.iter().skip(i).step_by(2).map(|u| node.open(u, Platform::Web));
        futures_util::future::try_join_all(opens).await.unwrap();
    }
    nodes[0].until("u999", on(Platform::Web), ms(5000)).await;
    nodes[1].until("u0", on(Platform::Web), ms(5000)).await;
    let asked: Vec<_> = users.iter().map(String::as_str).step_by(7).collect();
    let watchers = nodes.each_ref().map(|n| Watcher::start(n, &asked, on(Platform::Web)));
    sleep(ms(300)).await;
    fault(&mut server, &nodes).await;
    let mut longest = Duration::ZERO;
    for user in ["u0", "u1", "u998", "u999"] {
        longest += nodes[0].until(user, on(Platform::Web), ms(5000)).await;
    }
    // Longer than any lease of before.
    sleep(ms(1500)).await;
    for watcher in watchers {
        let (known, unknown) = watcher.stop().await;
        assert!(known > 100 && unknown > 10, "{what}: {known} known, {unknown} unknown");
    }
    eprintln!("{what}: right again after {longest:?}");
    assert!(longest < ms(5000));
}

#[tokio::test]
async fn a_flushed_redis_is_unknown_then_right() {
    survives("flushed", async |server, _| server.flush()).await;
}

#[tokio::test]
async fn a_redis_restarted_empty_is_unknown_then_right() {
    survives("restarted empty", async |server, _| server.restart_empty()).await;
}

#[tokio::test]
async fn a_redis_back_with_older_data_is_unknown_then_right() {
    survives("older data", async |server, nodes| {
        // In the dump `ghost` is online, and `u1000` not yet.
        let (ghost, _) = nodes[0].open("ghost", Platform::Ios).await.unwrap();
        let dump = server.dump();
        nodes[0].close("ghost", ghost);
        nodes[1].open("new", Platform::Ios).await.unwrap();
        nodes[0].until("ghost", NOTHING, ms(1000)).await;
        let watchers = nodes.each_ref().map(|n| Watcher::start(n, &["new"], on(Platform::Ios)));
        server.restart_with(&dump);
        nodes[0].until("new", on(Platform::Ios), ms(5000)).await;
        nodes[1].until("ghost", NOTHING, ms(5000)).await;
        for watcher in watchers {
            watcher.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_redis_frozen_longer_than_any_lease_is_unknown_then_right() {
    survives("frozen", async |server, _| {
        server.pause();
        sleep(ms(6000)).await;
        server.resume();
    })
    .await;
}

#[tokio::test]
async fn a_missed_kick_is_made_up_for() {
    let server = RedisServer::start();
    let settings = redis::settings(&server.url());
    let one = Node::start(&settings).await.ready().await;
    let two = Node::start(&settings).await.ready().await;
    let (first, _) = one.open("u", Platform::Ios).await.unwrap();
    let (second, _) = two.open("u", Platform::Ios).await.unwrap();
    // Its announcement is lost with the connections, or Redis with all it knew.
    server.flush();
    one.closes(first, Reason::Replaced).await;
    one.close("u", first);
    two.until("u", on(Platform::Ios), ms(5000)).await;
    assert!(!two.closed(second, Reason::Replaced));
}

#[tokio::test]
async fn what_a_former_connection_still_brings_is_refused() {
    let server = RedisServer::start();
    let settings = redis::settings(&server.url());
    let node = Node::start(&settings).await.ready().await;
    let fence = format!("{}fence:{}", settings.prefix, node.presence.node_id());
    // As if the node had connected anew long ago: what comes over this connection is late.
    server.command(&format!("SET {fence} 99"));
    assert_eq!(node.open("u", Platform::Ios).await.unwrap_err().code(), Code::Unreachable);
    assert_eq!(node.online("u").await.unwrap(), NOTHING);
    server.command(&format!("DEL {fence}"));
    sleep(ms(1000)).await;
    node.open("u", Platform::Ios).await.unwrap();
}
