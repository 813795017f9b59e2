//! Presence against the truth of open sockets, whatever happens in between.

use crate::cluster::{Cluster, RIGHT};
use crate::socket::{End, Socket, platforms_of};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const USERS: usize = 6;
const PLATFORMS: [&str; 3] = ["IOS", "Android", "Windows"];

/// A walk of random steps. The seed tells the whole of it.
struct Walk {
    cluster: Cluster,
    seed: u64,
    state: u64,
    /// By user and platform: the socket that should be open, and its node.
    open: BTreeMap<(usize, usize), (usize, Socket)>,
}

impl Walk {
    fn random(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).unwrap() % below
    }

    async fn step(&mut self) {
        let (user, platform) = (self.random(USERS), self.random(PLATFORMS.len()));
        match self.random(12) {
            0..=5 => self.connect(user, platform).await,
            6 | 7 => {
                if let Some((_, socket)) = self.open.remove(&(user, platform)) {
                    socket.close().await;
                }
            }
            8 => {
                self.cluster.kith().force_logout(&format!("u{user}"), platform as i64 + 1).await.ok_b();
                if let Some((_, mut socket)) = self.open.remove(&(user, platform)) {
                    assert_eq!(socket.end_within(RIGHT).await.1, End::Closed(4702), "seed {}", self.seed);
                }
            }
            9 => {
                let node = self.random(2);
                self.cluster.nodes[node].kill();
                self.open.retain(|_, (of, _)| *of != node);
                self.cluster.restart(node).await;
            }
            10 => self.cluster.redis.flush(),
            _ => self.cluster.redis.restart_empty(),
        }
    }

    /// Over either node, unless Redis is away just now.
    async fn connect(&mut self, user: usize, platform: usize) {
        let node = self.random(2);
        let answer = self.cluster.at(node).user_token(&format!("u{user}"), platform as i64 + 1).await.json();
        let Some(token) = answer["data"]["token"].as_str() else { return };
        let Ok(mut socket) = Socket::try_open(&self.cluster.urls[node], &format!("token={token}")).await else {
            return;
        };
        socket.json().await;
        if let Some((_, mut older)) = self.open.insert((user, platform), (node, socket)) {
            assert_eq!(older.end_within(RIGHT).await.1, End::Closed(4706), "seed {}", self.seed);
        }
    }

    /// At rest the answer comes to equal the truth.
    async fn settles(&self, step: usize) {
        let uids: Vec<String> = (0..USERS).map(|user| format!("u{user}")).collect();
        let of_user = |user| (0..PLATFORMS.len()).filter(move |p| self.open.contains_key(&(user, *p)));
        let truth: Vec<Vec<&str>> = (0..USERS).map(|user| of_user(user).map(|p| PLATFORMS[p]).collect()).collect();
        let start = Instant::now();
        loop {
            let answer = self.cluster.kith().online(json!(uids)).await.json();
            let users = answer["successResult"].as_array().map_or(&[][..], Vec::as_slice);
            let told: Vec<Vec<&str>> = users.iter().map(platforms_of).collect();
            if told == truth {
                return;
            }
            let seed = self.seed;
            assert!(start.elapsed() < RIGHT, "seed {seed}, step {step}: {told:?} instead of {truth:?}: {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Connects, closes, kicks, log-outs, node deaths and flushes: never more than 5 s late.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_presence_comes_to_equal_the_open_sockets() {
    let Some(cluster) = Cluster::of_run().await else { return };
    for user in 0..USERS {
        cluster.kith().register(&format!("u{user}")).await.ok_b();
    }
    let seed = u64::from(std::process::id());
    let mut walk = Walk { cluster, seed, state: seed, open: BTreeMap::new() };
    for step in 0..60 {
        walk.step().await;
        if step % 4 == 3 {
            walk.settles(step).await;
        }
    }
    for (_, mut socket) in walk.open.into_values() {
        socket.lives().await;
    }
}
