//! The servers of a run: each private, in a folder and on ports of its own, ended with the run.

mod ejabberd;
mod kith;
mod nginx;
mod postgres;
mod redis;

pub use ejabberd::Ejabberd;
pub use kith::{Kith, STORING, Service, Services};
pub use nginx::Nginx;
pub use postgres::Postgres;
pub use redis::{Redis, command};

use crate::cost::Tree;
use crate::load::{Line, Protocol};
use crate::{Failure, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// PostgreSQL refuses to run as root.
pub const UNPRIVILEGED: &str = "postgres";

/// What is started.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: BTreeMap<String, String>,
    pub folder: PathBuf,
    /// Another user, where we are root.
    pub user: Option<&'static str>,
    /// What the kernel sends it when this process has died.
    pub orphaned: &'static str,
}

impl Program {
    pub fn new(name: &str, path: impl Into<PathBuf>, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            path: path.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: folder.to_owned(),
            user: None,
            orphaned: "KILL",
        }
    }

    pub fn arguments<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn environment(mut self, pairs: &[(&str, String)]) -> Self {
        self.environment.extend(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self
    }

    /// Dies with this process, however that ends. Only the main thread starts processes: the kernel kills them when
    /// the thread that started them ends.
    pub fn start(self) -> Result<Process> {
        let log = self.folder.join(format!("{}.log", self.name));
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("setpriv");
        if let Some(user) = self.user.filter(|_| is_root()) {
            command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups"]);
        }
        command.args(["--pdeathsig", self.orphaned, "--"]).arg(&self.path).args(&self.arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(&self.environment).current_dir(&self.folder);
        let child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn();
        let child = child.map_err(|e| format!("setpriv (util-linux) starts {}: {e}", self.name))?;
        Ok(Process { name: self.name, child, log, end: Signal::TERM })
    }
}

pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A running server.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// How it is asked to end.
    pub end: Signal,
}

impl Process {
    pub fn tree(&self) -> Tree {
        Tree(self.child.id())
    }

    /// Waits until it `is_ready`; an error with its log if it ends or takes too long.
    pub fn until(&mut self, is_ready: impl FnMut() -> bool) -> Result<()> {
        self.until_looking(Duration::from_millis(20), is_ready)
    }

    /// The same, with this pause between looks, which cost time that it needs itself.
    pub fn until_looking(&mut self, pause: Duration, mut is_ready: impl FnMut() -> bool) -> Result<()> {
        let limit = Instant::now() + Duration::from_secs(120);
        while !is_ready() {
            if self.child.try_wait()?.is_some() || Instant::now() > limit {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("{} does not start: {log}", self.name).into());
            }
            sleep(pause);
        }
        Ok(())
    }

    /// Asks it to end and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                kill_process(pid, self.end)?;
            }
            let limit = Instant::now() + Duration::from_secs(20);
            while self.child.try_wait()?.is_none() {
                if Instant::now() > limit {
                    self.child.kill()?;
                }
                sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.stop();
    }
}

/// A port that is free now, below the range that the kernel takes clients' ports from.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    loop {
        let port = 15_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 15_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The answer's body, if a server answers 200.
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let body = async {
        let mut line = Line::open(address, Protocol::Http).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        let answer = line.exchange(request.as_bytes()).await?;
        Ok::<_, Failure>((answer.status == 200).then(|| String::from_utf8_lossy(answer.body).into_owned()))
    };
    let limited = async { tokio::time::timeout(Duration::from_secs(5), body).await };
    runtime.block_on(limited).ok()?.ok()?
}
