//! A running Kith to test against.

use crate::client::Client;
use crate::process::{Process, free_port};
use serde_json::json;
use service_kit::random;
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use service_kit::testkit::redis;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Which of the two stacks this run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One process, SQLite, in-memory state.
    Sqlite,
    /// Five processes, PostgreSQL, Redis.
    Postgres,
}

impl Kind {
    #[expect(clippy::disallowed_methods, reason = "the run's own parameter")]
    pub fn of_run() -> Self {
        match std::env::var("KITH_TEST_STACK").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("KITH_TEST_STACK={other}: must be sqlite or postgres"),
        }
    }
}

/// Whether this run has the services as processes of their own, on PostgreSQL and Redis. Only this decides which tests
/// the other run leaves out, and each of them says so on the terminal, whether it is captured or not.
pub fn has_processes() -> bool {
    let is_there = Kind::of_run() == Kind::Postgres;
    if !is_there {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let _ = writeln!(std::io::stderr(), "{test}: needs separate processes, left to KITH_TEST_STACK=postgres");
    }
    is_there
}

pub const SERVICES: [&str; 4] = ["im_auth", "terminal_user", "groups", "friends"];

/// A stack of its own processes, folder, databases and keys.
pub struct Stack {
    pub kind: Kind,
    pub url: String,
    /// By name: `kith`, or `gateway`, `im_auth`, …
    pub processes: BTreeMap<String, Process>,
    /// Internal base URLs by service, where services are processes.
    pub internal: BTreeMap<String, String>,
    pub folder: TempDir,
    _databases: Vec<FreshDatabase>,
}

/// Where a stack's data are.
pub struct Places {
    pub kind: Kind,
    pub environment: BTreeMap<String, String>,
    pub databases: Vec<FreshDatabase>,
}

impl Places {
    pub fn fresh(kind: Kind) -> Self {
        let mut environment = BTreeMap::new();
        let mut databases = Vec::new();
        if kind == Kind::Postgres {
            for service in SERVICES {
                let database = fresh_database();
                let key = format!("KITH__{}__DATABASE_URL", service.to_uppercase());
                environment.insert(key, database.url());
                databases.push(database);
            }
            environment.insert("KITH__STATE__URL".into(), redis::shared());
            environment.insert("KITH__STATE__PREFIX".into(), format!("t{}:", random::hex(6)));
        }
        Self { kind, environment, databases }
    }

    #[must_use]
    pub fn with(mut self, pairs: &[(&str, &str)]) -> Self {
        self.environment.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        self
    }
}

impl Stack {
    /// A stack of the run's kind with these settings besides.
    pub async fn start(pairs: &[(&str, &str)]) -> Self {
        Self::start_at(Places::fresh(Kind::of_run()).with(pairs)).await
    }

    pub async fn start_at(places: Places) -> Self {
        let Places { kind, mut environment, databases } = places;
        let folder = TempDir::new().unwrap();
        environment.insert("KITH__DATA_DIR".into(), folder.path().join("data").display().to_string());
        environment.entry("KITH__WORKERS".into()).or_insert("2".into());
        environment.entry("KITH__DRAIN".into()).or_insert("1".into());
        environment.entry("RUST_LOG".into()).or_insert("trace".into());
        // A test with addresses of its own has yet to start what is there.
        let has_own_upstreams = environment.contains_key("KITH__GATEWAY__UPSTREAMS__IM_AUTH");
        let mut stack = Self {
            kind,
            url: String::new(),
            processes: BTreeMap::new(),
            internal: BTreeMap::new(),
            folder,
            _databases: databases,
        };
        match kind {
            Kind::Sqlite => stack.start_kith(environment).await,
            Kind::Postgres => stack.start_services(environment).await,
        }
        if !has_own_upstreams {
            until_presence_is_known(&stack.client()).await;
        }
        stack
    }

    async fn start_kith(&mut self, mut environment: BTreeMap<String, String>) {
        let (public, internal) = (free_port(), free_port());
        environment.insert("KITH__GATEWAY__LISTEN".into(), format!("127.0.0.1:{public}"));
        environment.insert("KITH__GATEWAY__INTERNAL_LISTEN".into(), format!("127.0.0.1:{internal}"));
        self.url = format!("http://127.0.0.1:{public}");
        self.internal.insert("gateway".into(), format!("http://127.0.0.1:{internal}"));
        let mut kith = Process::start("kith", environment, self.folder.path().join("kith.log"));
        kith.until(async |p| p.stdout().contains("kith ready: ")).await;
        self.processes.insert("kith".into(), kith);
    }

    async fn start_services(&mut self, mut environment: BTreeMap<String, String>) {
        for service in std::iter::once("gateway").chain(SERVICES) {
            let upper = service.to_uppercase();
            let (public, internal) = (free_port(), free_port());
            environment.insert(format!("KITH__{upper}__LISTEN"), format!("127.0.0.1:{public}"));
            environment.insert(format!("KITH__{upper}__INTERNAL_LISTEN"), format!("127.0.0.1:{internal}"));
            self.internal.insert(service.into(), format!("http://127.0.0.1:{internal}"));
            if service == "gateway" {
                self.url = format!("http://127.0.0.1:{public}");
            } else {
                environment
                    .entry(format!("KITH__GATEWAY__UPSTREAMS__{upper}"))
                    .or_insert(format!("127.0.0.1:{public}"));
            }
        }
        for service in ["im_auth", "groups"] {
            let key = format!("KITH__INTERNAL__{}", service.to_uppercase());
            environment.insert(key, self.internal[service].clone());
        }
        for service in std::iter::once("gateway").chain(SERVICES) {
            let binary =
                if service == "gateway" { "gateway".into() } else { format!("svc-{}", service.replace('_', "-")) };
            let log = self.folder.path().join(format!("{service}.log"));
            self.processes.insert(service.into(), Process::start(&binary, environment.clone(), log));
        }
        for service in std::iter::once("gateway").chain(SERVICES) {
            self.ready(service).await;
        }
    }

    /// Waits until a service of its own answers that it is ready.
    pub async fn ready(&mut self, service: &str) {
        let url = format!("{}/readyz", self.internal[service]);
        let process = self.processes.get_mut(service).unwrap();
        process.until(async |_| reqwest::get(&url).await.is_ok_and(|r| r.status().is_success())).await;
    }

    /// The process that serves `service`, whichever the stack.
    pub fn process_of(&mut self, service: &str) -> &mut Process {
        let name = if self.kind == Kind::Sqlite { "kith" } else { service };
        self.processes.get_mut(name).unwrap()
    }

    /// Starts the process that serves `service` again, after it was killed, and waits until it is ready.
    pub async fn restart(&mut self, service: &str) {
        let kind = self.kind;
        let process = self.process_of(service);
        process.start_again();
        match kind {
            Kind::Sqlite => process.until(async |p| p.stdout().contains("kith ready: ")).await,
            Kind::Postgres => self.ready(service).await,
        }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// All log lines of all processes so far.
    pub fn logs(&self) -> String {
        self.processes.values().map(Process::logged).collect()
    }
}

/// The stack that most tests share; each uses users of its own.
pub async fn shared() -> Client {
    static SHARED: OnceCell<(String, Stack)> = OnceCell::const_new();
    let (url, _) = SHARED
        .get_or_init(|| async {
            let stack = Stack::start(&[("RUST_LOG", "info")]).await;
            (stack.url.clone(), stack)
        })
        .await;
    Client::new(url)
}

/// On Redis nobody's presence is known before every node had time to report (design §4).
pub async fn until_presence_is_known(kith: &Client) {
    for _ in 0..500 {
        if kith.online(json!(["x"])).await.json()["errCode"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("presence stays unknown");
}

/// A name that no other test uses.
pub fn name(prefix: &str) -> String {
    format!("{prefix}-{}", random::hex(6))
}
