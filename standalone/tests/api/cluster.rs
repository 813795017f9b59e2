//! Two svc-im-auth on one Redis and PostgreSQL, a gateway before both (design §4).

use crate::client::Client;
use crate::faults::alone;
use crate::process::{Process, free_port};
use crate::stack::{Kind, Places, Stack, has_processes, until_presence_is_known};
use serde_json::json;
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use service_kit::testkit::redis::RedisServer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::MutexGuard;

/// Within this time an open or closed socket is seen everywhere (contract §2).
pub const SOON: Duration = Duration::from_secs(1);
/// Within this time presence is right everywhere, whatever died.
pub const RIGHT: Duration = Duration::from_secs(5);

pub struct Cluster {
    pub stack: Stack,
    pub nodes: Vec<Process>,
    /// The nodes' public addresses: a test chooses where it connects.
    pub urls: Vec<String>,
    pub redis: RedisServer,
    _database: FreshDatabase,
    /// One at a time.
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// `None` in the run that is not about separate servers.
    pub async fn of_run() -> Option<Self> {
        if !has_processes() {
            return None;
        }
        Some(Self::start(alone().await).await)
    }

    async fn start(alone: MutexGuard<'static, ()>) -> Self {
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
        let cluster = Self { stack, nodes, urls, redis, _database: database, _alone: alone };
        for url in &cluster.urls {
            until_open(url).await;
            until_presence_is_known(&Client::new(url)).await;
        }
        until_presence_is_known(&cluster.kith()).await;
        cluster
    }

    /// Through the gateway, that is through either node.
    pub fn kith(&self) -> Client {
        self.stack.client()
    }

    pub fn at(&self, node: usize) -> Client {
        Client::new(&self.urls[node])
    }

    /// Starts a node anew that reaches Redis there.
    pub async fn move_behind(&mut self, at: usize, redis: &str) {
        let port = self.urls[at].rsplit(':').next().unwrap().parse().unwrap();
        let mut environment = self.nodes[at].environment().clone();
        environment.insert("KITH__STATE__URL".into(), redis.into());
        self.nodes[at].kill();
        self.nodes[at] = node(&self.stack, &environment, port);
        until_open(&self.urls[at]).await;
        until_presence_is_known(&self.at(at)).await;
    }

    pub async fn restart(&mut self, node: usize) {
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
pub async fn never_offline(kith: &Client, uid: &str, during: Duration) {
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
