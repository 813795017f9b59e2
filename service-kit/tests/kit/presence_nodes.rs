//! Nodes as processes of their own, killed and stopped, and a long random walk against the truth.

use crate::presence::{NOTHING, Node, Watcher, app, ms, on, uid};
use service_kit::presence::{ConnId, Platforms};
use service_kit::settings::{SecretUrl, StateSettings};
use service_kit::testkit::redis::{self, RedisServer};
use shared_models::Platform;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const CHILD: &str = "KITH_TEST_PRESENCE_NODE";

/// A node in a process of its own: this test binary, running [`child`].
struct Child {
    process: std::process::Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Child {
    fn start(settings: &StateSettings) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["presence_nodes::child", "--exact", "--ignored", "--nocapture"])
            .env(CHILD, format!("{} {}", settings.url.expose(), settings.prefix))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, orders, answers }
    }

    fn open(&mut self, user: &str) {
        writeln!(self.orders, "{user}").unwrap();
        let expected = format!("opened {user}");
        let opened = (&mut self.answers).lines().any(|line| line.unwrap() == expected);
        assert!(opened, "the child is gone");
    }

    fn signal(&self, name: &str) {
        redis::signal(self.process.id(), name);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Opens a socket on Linux for every user named on a line of its input, until that ends.
#[tokio::test]
#[ignore = "run by others as a process"]
async fn child() {
    #[expect(clippy::disallowed_methods, reason = "how a test talks to its child")]
    let Ok(given) = std::env::var(CHILD) else { return };
    let (url, prefix) = given.split_once(' ').unwrap();
    let node = Node::start(&StateSettings { url: SecretUrl::new(url), prefix: prefix.into() }).await;
    loop {
        let mut user = String::new();
        // Blocks this thread only: the node has its own.
        if std::io::stdin().read_line(&mut user).unwrap() == 0 {
            return;
        }
        node.open(user.trim(), Platform::Linux).await.unwrap();
        write!(std::io::stdout(), "\nopened {}\n", user.trim()).unwrap();
    }
}

#[tokio::test]
async fn a_stopped_node_is_offline_meanwhile_and_a_killed_one_for_good() {
    let settings = redis::settings(&redis::shared());
    let node = Node::start(&settings).await;
    node.open("mine", Platform::Linux).await.unwrap();
    let mut stopped = Child::start(&settings);
    let mut killed = Child::start(&settings);
    for i in 0..200 {
        stopped.open(&format!("s{i}"));
    }
    killed.open("k");
    node.until("mine", on(Platform::Linux), ms(5000)).await;
    // Whoever else comes and goes, who is here is never said to be away.
    let watcher = Watcher::start(&node, &["mine"], on(Platform::Linux));
    node.until("s199", on(Platform::Linux), ms(1000)).await;
    node.until("k", on(Platform::Linux), ms(1000)).await;

    let start = Instant::now();
    stopped.signal("STOP");
    killed.signal("KILL");
    let offline = node.until("s0", NOTHING, ms(5000)).await;
    node.until("k", NOTHING, ms(5000).saturating_sub(start.elapsed())).await;
    sleep(ms(10_000).saturating_sub(start.elapsed())).await;
    assert_eq!(node.online("s0").await.unwrap(), NOTHING);
    stopped.signal("CONT");
    let start = Instant::now();
    node.until("s0", on(Platform::Linux), ms(5000)).await;
    node.until("s199", on(Platform::Linux), ms(5000)).await;
    eprintln!("stopped: offline after {offline:?}, right {:?} after going on", start.elapsed());
    let (known, unknown) = watcher.stop().await;
    assert!(known > 20 * unknown, "{known} known, {unknown} unknown");
}

/// The watching node is back at once; what it does not find of the other's is not offline yet.
#[tokio::test]
async fn a_node_that_is_late_after_a_fault_is_waited_for() {
    let server = RedisServer::start();
    let settings = redis::settings(&server.url());
    let node = Node::start(&settings).await;
    let mut late = Child::start(&settings);
    late.open("u");
    node.until("u", on(Platform::Linux), ms(5000)).await;
    let watcher = Watcher::start(&node, &["u"], on(Platform::Linux));
    late.signal("STOP");
    server.flush();
    sleep(ms(1500)).await;
    late.signal("CONT");
    node.until("u", on(Platform::Linux), ms(3500)).await;
    // Nobody could renew: that says nothing about the nodes.
    server.pause();
    late.signal("STOP");
    sleep(ms(4000)).await;
    server.resume();
    sleep(ms(1500)).await;
    late.signal("CONT");
    node.until("u", on(Platform::Linux), ms(3500)).await;
    watcher.stop().await;
}

/// Small and repeatable.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

struct Socket {
    node: usize,
    conn: ConnId,
    platform: Platform,
    since: Instant,
}

/// What really is, and since when an answer has been wrong.
struct Truth {
    sockets: HashMap<String, Vec<Socket>>,
    wrong_since: HashMap<String, Instant>,
    known: u32,
    unknown: u32,
    longest: Duration,
}

impl Truth {
    fn of(&self, user: &str) -> Platforms {
        self.sockets.get(user).into_iter().flatten().map(|s| s.platform).collect()
    }

    async fn compare(&mut self, node: &Node, users: &[String]) {
        let uids: Vec<_> = users.iter().map(|u| uid(u)).collect();
        let Ok(answers) = node.presence.online(&app(), &uids).await else {
            self.unknown += 1;
            return;
        };
        self.known += 1;
        for (user, answer) in users.iter().zip(answers) {
            let settled = self.sockets.get(user).into_iter().flatten().filter(|s| s.since.elapsed() > ms(150));
            for socket in settled {
                assert!(answer.contains(socket.platform), "{user} is on {:?}, not only {answer:?}", self.of(user));
            }
            if answer == self.of(user) {
                self.wrong_since.remove(user);
                continue;
            }
            let wrong = self.wrong_since.entry(user.clone()).or_insert_with(Instant::now).elapsed();
            self.longest = self.longest.max(wrong);
            assert!(wrong < ms(5000), "{user} has been {answer:?} for {wrong:?}");
        }
    }
}

#[tokio::test]
async fn a_long_random_walk_is_never_wrong_for_long() {
    let seed = (u64::from(std::process::id()) * 0x9e37_79b9) | 1;
    eprintln!("random walk with seed {seed}");
    let mut dice = Dice(seed);
    let mut server = RedisServer::start();
    let settings = redis::settings(&server.url());
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(&settings).await);
    }
    let users: Vec<_> = (0..40).map(|i| format!("u{i}")).collect();
    let mut truth =
        Truth { sockets: HashMap::new(), wrong_since: HashMap::new(), known: 0, unknown: 0, longest: Duration::ZERO };
    let start = Instant::now();
    let mut faults = 0;
    while start.elapsed() < ms(30_000) {
        // Several at once, so that they meet in the writer and in Redis.
        let opens: Vec<_> = (0..dice.below(6))
            .map(|_| {
                (dice.below(3) as usize, users[dice.below(40) as usize].clone(), Platform::ALL[dice.below(3) as usize])
            })
            .collect();
        let opening = opens.iter().map(|(node, user, platform)| nodes[*node].open(user, *platform));
        for ((node, user, platform), opened) in opens.iter().zip(futures_util::future::join_all(opening).await) {
            if let Ok((conn, _)) = opened {
                let socket = Socket { node: *node, conn, platform: *platform, since: Instant::now() };
                truth.sockets.entry(user.clone()).or_default().push(socket);
            }
        }
        for _ in 0..dice.below(6) {
            let user = &users[dice.below(40) as usize];
            let sockets = truth.sockets.entry(user.clone()).or_default();
            if !sockets.is_empty() {
                let socket = sockets.swap_remove(dice.below(sockets.len() as u64) as usize);
                nodes[socket.node].close(user, socket.conn);
            }
        }
        // Once in some four seconds each, at first.
        if start.elapsed() < ms(24_000) && start.elapsed() > ms(3000 * (faults + 1)) {
            faults += 1;
            match faults % 4 {
                0 | 2 => {
                    let dead = dice.below(3) as usize;
                    nodes[dead] = Node::start(&settings).await;
                    truth.sockets.values_mut().for_each(|s| s.retain(|s| s.node != dead));
                }
                1 => server.flush(),
                _ => server.restart_empty(),
            }
        }
        truth.compare(&nodes[dice.below(3) as usize], &users).await;
        sleep(ms(dice.below(20))).await;
    }
    for user in &users {
        for node in &nodes {
            node.until(user, truth.of(user), ms(5000)).await;
        }
    }
    let Truth { known, unknown, longest, .. } = truth;
    eprintln!("{known} answers, {unknown} unknown, {faults} faults, never wrong longer than {longest:?}");
    assert!(known > 5 * users.len() as u32 && unknown > 0 && faults >= 6);
}

/// Rolling restarts: while a node stands as rewriting, every question who is online is refused.
#[tokio::test]
async fn a_node_that_starts_without_users_never_stands_as_rewriting() {
    let server = RedisServer::start();
    // Shows the commands of scripts too.
    let mut monitor = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    monitor.write_all(b"MONITOR\r\n").unwrap();
    let mut shown = BufReader::new(monitor).lines().map(Result::unwrap);
    assert_eq!(shown.next().unwrap(), "+OK");
    let node = Node::start(&redis::settings(&server.url())).await;
    node.until("u", NOTHING, ms(5000)).await;
    let is_entry = |line: &String| line.contains("\"ZADD\"") && line.contains("nodes\"");
    let (user, conn) = ("u", node.open("u", Platform::Linux).await.unwrap().0);
    let entries: Vec<String> = shown.by_ref().filter(is_entry).take(2).collect();
    assert!(entries.iter().all(|line| !line.contains("\"~")), "{entries:?}");
    // With a user it does, until that one is written again.
    server.flush();
    let again = shown.find(|line| is_entry(line) && line.contains("\"~"));
    assert!(again.is_some());
    node.until(user, on(Platform::Linux), ms(5000)).await;
    node.close(user, conn);
}
