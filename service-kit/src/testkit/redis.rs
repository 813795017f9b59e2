//! A private redis-server that tests can stop, kill, freeze and set back.
#![expect(clippy::expect_used, reason = "a test that cannot have its server fails")]

use crate::settings::{SecretUrl, StateSettings};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A redis-server on a free port of the loopback address, with its data in a folder of its own. Gone when dropped,
/// and when the test process ends in whatever way.
pub struct RedisServer {
    folder: tempfile::TempDir,
    port: u16,
    running: Option<Running>,
}

struct Running {
    server: Child,
    /// Ends the server when this process is gone: statics are not dropped, and a killed process drops nothing.
    watchdog: Child,
}

/// What a server held at one moment.
pub struct Dump(tempfile::TempDir);

/// The URL of a server that many tests share, each with a prefix of its own ([`settings`]): the one named by
/// `KITH_TEST_REDIS_URL`, or a private one.
pub fn shared() -> String {
    static OWN: OnceLock<RedisServer> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "says where to test, which no settings file does")]
    let given = std::env::var("KITH_TEST_REDIS_URL");
    given.unwrap_or_else(|_| OWN.get_or_init(RedisServer::start).url())
}

/// Settings for a store on that server, with a random prefix.
pub fn settings(url: &str) -> StateSettings {
    StateSettings { url: SecretUrl::new(url), prefix: format!("test:{}:", crate::random::hex(6)) }
}

impl RedisServer {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let mut server = Self { folder, port, running: None };
        server.start_again();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts on the same port, with what [`stop_saving`](Self::stop_saving) or [`restart_with`](Self::restart_with)
    /// left, otherwise empty.
    pub fn start_again(&mut self) {
        self.kill();
        let server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dbfilename", "dump.rdb"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("cannot start redis-server ({e}): install redis-server, or set KITH_TEST_REDIS_URL")
            });
        let watchdog = Command::new("sh")
            .args(["-c", "cat >/dev/null; kill -9 \"$0\"; rm -rf \"$1\"", &server.id().to_string()])
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        self.running = Some(Running { server, watchdog });
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.command("PING").is_none_or(|answer| answer != "+PONG") {
            assert!(Instant::now() < deadline, "redis-server on port {} does not answer", self.port);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it in order; its data is gone.
    pub fn stop(&mut self) {
        self.signal("TERM");
        self.wait();
    }

    /// Ends it in order after writing its data to disk.
    pub fn stop_saving(&mut self) {
        self.command("SAVE");
        self.stop();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if self.running.is_some() {
            self.signal("KILL");
            self.wait();
        }
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    pub fn flush(&self) {
        self.done("FLUSHALL");
    }

    /// A copy of what it holds.
    pub fn dump(&self) -> Dump {
        self.done("SAVE");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::copy(self.dump_file(), folder.path().join("dump.rdb")).expect("the server's dump");
        std::fs::remove_file(self.dump_file()).expect("the server's dump");
        Dump(folder)
    }

    /// kill -9 and start again with older data.
    pub fn restart_with(&mut self, dump: &Dump) {
        self.kill();
        std::fs::copy(dump.0.path().join("dump.rdb"), self.dump_file()).expect("an older dump");
        self.start_again();
        std::fs::remove_file(self.dump_file()).expect("the server's dump");
    }

    /// kill -9 and start again with nothing.
    pub fn restart_empty(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.dump_file());
        self.start_again();
    }

    fn dump_file(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    fn signal(&self, name: &str) {
        let pid = self.running.as_ref().expect("a running server").server.id();
        signal(pid, name);
    }

    fn wait(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.watchdog.kill();
            let _ = running.watchdog.wait();
            let _ = running.server.wait();
        }
    }

    fn done(&self, command: &str) {
        let answer = self.command(command);
        // Tells a server that somebody else has killed from one that is only slow.
        let pid = self.running.as_ref().map(|r| r.server.id());
        let state = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        assert_eq!(answer.as_deref(), Some("+OK"), "{command} on {pid:?}: {state:?}");
    }

    /// One command, in Redis' plain form; the first line of the answer.
    pub fn command(&self, command: &str) -> Option<String> {
        let address = (std::net::Ipv4Addr::LOCALHOST, self.port).into();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        Some(answer.trim_end().to_owned())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Dump {
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Sends a signal by name ("STOP", "CONT", "KILL", "TERM"), without unsafe code.
pub fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    assert!(done.is_ok_and(|s| s.success()), "kill -{name} {pid} failed");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}
