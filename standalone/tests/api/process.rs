//! Processes of ours under test.

use service_kit::testkit::redis::signal;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

type Spawn = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Children die with this test process: the kernel kills them when the thread that started them ends, so one thread
/// that never ends starts them all.
pub fn spawn(command: Command) -> Child {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Spawn>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Spawn>();
        std::thread::spawn(move || {
            for (mut command, answer) in receive {
                answer.send(command.spawn()).unwrap();
            }
        });
        Mutex::new(send)
    });
    let (answer, spawned) = mpsc::channel();
    spawner.lock().unwrap().send((command, answer)).unwrap();
    spawned.recv().unwrap().expect("setpriv (util-linux) starts the process")
}

/// One binary with its environment; can be killed and started again.
pub struct Process {
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    pub log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// `binary` is one of this workspace's; `scripts/test.sh` builds them all before the tests.
    pub fn start(binary: &str, environment: BTreeMap<String, String>, log: PathBuf) -> Self {
        let folder = PathBuf::from(env!("CARGO_BIN_EXE_kith")).parent().unwrap().to_owned();
        let mut process = Self { binary: folder.join(binary), environment, log, child: None };
        process.start_again();
        process
    }

    pub fn start_again(&mut self) {
        assert!(self.binary.exists(), "{} is not built: run scripts/test.sh", self.binary.display());
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.binary)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("RUST_BACKTRACE", "1")
            .envs(&self.environment)
            .current_dir(self.log.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(File::create(self.log.with_extension("out")).unwrap())
            .stderr(log);
        self.child = Some(spawn(command));
    }

    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// What it printed on standard output since its last start.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.log.with_extension("out")).unwrap_or_default()
    }

    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `ready` says so; shows the log if it takes longer than 20 s.
    pub async fn until(&mut self, mut ready: impl AsyncFnMut(&Self) -> bool) {
        let start = Instant::now();
        while !ready(self).await {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().unwrap()) {
                panic!("{} ended with {status}:\n{}", self.binary.display(), self.logged());
            }
            assert!(start.elapsed() < Duration::from_secs(20), "not ready:\n{}", self.logged());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// Resident memory, KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// kill -9, and waits for the end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits for an end that was asked for by a signal.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let start = Instant::now();
        let mut child = self.child.take().expect("running");
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if start.elapsed() > within {
                child.kill().unwrap();
                panic!("did not end within {within:?}:\n{}", self.logged());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port for a server to listen on: free now, given out once, and outside the range that the kernel takes clients'
/// ports from.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 100).unwrap() * 200;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// How many connections a test may have that each take so many of a process's files: at most `most`, or what the limit
/// allows, which the processes under test inherit.
pub fn open_files(each: usize, least: usize, most: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
    let files: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let count = (files.saturating_sub(1000) / each).min(most);
    assert!(count >= least, "only {files} files may be open: run scripts/test.sh, which raises the limit");
    count
}
