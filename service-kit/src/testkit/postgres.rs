//! A private PostgreSQL server that a test may kill, freeze and start again.
#![expect(clippy::expect_used, reason = "test kit: what fails here is a failed test")]

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A PostgreSQL server in a temporary folder. Stopped and removed when dropped, and also when the test process
/// dies without dropping it.
pub struct PostgresServer {
    folder: TempDir,
    owner: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
    /// The watchdog cleans up when this pipe closes, whatever closes it.
    watchdog: Option<(Child, ChildStdin)>,
}

/// Small, and quick to notice a deadlock: a second is half of what our callers wait.
const CONFIGURATION: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
deadlock_timeout = 100ms
wal_level = minimal
max_wal_senders = 0
autovacuum = off
log_min_messages = fatal
";

impl PostgresServer {
    /// Starts a server on a free port; it is ready when this returns.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("kith-postgres-").tempdir().expect("temporary folder");
        let owner = unprivileged_owner();
        if let Some((uid, gid)) = owner {
            chown(folder.path(), Some(uid), Some(gid)).expect("chown of the temporary folder");
        }
        let mut server = Self { folder, owner, port: 0, server: None, watchdog: None };
        server.initdb();
        // Somebody may take the port between our look and the server's bind.
        for _ in 0..5 {
            server.port = free_port();
            if server.try_start_again() {
                server.watch();
                return server;
            }
        }
        panic!("PostgreSQL does not start: {}", server.log());
    }

    /// The URL of one of its databases, as a superuser.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Runs `sql` in a transaction that stays open, with its locks, until the guard is dropped.
    pub fn hold(&self, database: &str, sql: &str) -> Held {
        let mut connection = PgConnection::establish(&self.url(database)).expect("connects");
        connection.batch_execute(&format!("BEGIN; {sql}")).expect("holds");
        Held(connection)
    }

    /// Creates a database and returns its URL.
    pub fn create_database(&self, name: &str) -> String {
        execute(&self.url("postgres"), &format!("CREATE DATABASE \"{name}\""));
        self.url(name)
    }

    /// Ends the server as an operator would, in the middle of whatever runs (`pg_ctl stop -m fast`).
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal("INT", &[server.id()]);
            server.wait().expect("waiting for PostgreSQL");
        }
    }

    /// Ends the server as a power cut would: `kill -9` for all its processes.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Stopped first, so that none is forked while the others are being collected.
            signal("STOP", &[server.id()]);
            let mut processes = children(server.id());
            processes.push(server.id());
            signal("KILL", &processes);
            server.wait().expect("waiting for PostgreSQL");
        }
    }

    /// Starts it again, on the same port and data.
    pub fn start_again(&mut self) {
        assert!(self.try_start_again(), "PostgreSQL does not start again: {}", self.log());
    }

    /// Freezes the server and all its children: connections stay open and nothing answers.
    pub fn pause(&self) {
        if let Some(server) = &self.server {
            signal("STOP", &[server.id()]);
            signal("STOP", &children(server.id()));
        }
    }

    pub fn resume(&self) {
        if let Some(server) = &self.server {
            signal("CONT", &children(server.id()));
            signal("CONT", &[server.id()]);
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        // PostgreSQL refuses to run as root.
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        // A Ctrl-C in the terminal is for the tests; Drop and the watchdog are for the server.
        command.process_group(0);
        command
    }

    fn initdb(&self) {
        let data = self.data();
        let done = self
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=kith", "--encoding=UTF8", "--no-locale", "-D"])
            .arg(&data)
            .output()
            .expect("initdb");
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
        let mut file = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).expect("postgresql.conf");
        file.write_all(CONFIGURATION.as_bytes()).expect("postgresql.conf");
    }

    fn try_start_again(&mut self) -> bool {
        let log = fs::File::create(self.folder.path().join("log")).expect("log file");
        let mut server = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .arg(format!("--port={}", self.port))
            .stdout(log.try_clone().expect("log file"))
            .stderr(log)
            .spawn()
            .expect("postgres");
        let until = Instant::now() + Duration::from_secs(30);
        while PgConnection::establish(&self.url("postgres")).is_err() {
            if server.try_wait().expect("postgres").is_some() || Instant::now() > until {
                signal("KILL", &[server.id()]);
                let _ = server.wait();
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.server = Some(server);
        true
    }

    /// Starts a shell that waits for its standard input to end, which the kernel sees to even if we are killed,
    /// and then removes the server. QUIT, not KILL, lets PostgreSQL give its shared memory back.
    fn watch(&mut self) {
        let script = r#"
            read -r _
            pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
            if [ -n "$pid" ] && grep -aq "$1/data" "/proc/$pid/cmdline" 2>/dev/null; then
                kill -QUIT "$pid"; kill -CONT $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) "$pid"
                for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                    kill -0 "$pid" 2>/dev/null || break
                    sleep 0.1
                done
                kill -KILL "$pid"
            fi
            rm -rf "$1"
        "#;
        let mut child = Command::new("/bin/sh")
            .args(["-c", script, "watchdog"])
            .arg(self.folder.path())
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("watchdog");
        self.watchdog = child.stdin.take().map(|pipe| (child, pipe));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.resume();
        if let Some(mut server) = self.server.take() {
            signal("QUIT", &[server.id()]);
            let _ = server.wait();
        }
        if let Some((mut watchdog, pipe)) = self.watchdog.take() {
            drop(pipe);
            let _ = watchdog.wait();
        }
    }
}

/// The URL by which an administrator reaches the server that tests share: that of `KITH_TEST_POSTGRES_URL` if
/// set, else one that is started now and lasts as long as the process.
pub fn shared() -> &'static str {
    static SHARED: OnceLock<(String, Option<PostgresServer>)> = OnceLock::new();
    let (url, _server) = SHARED.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of a service")]
        match std::env::var("KITH_TEST_POSTGRES_URL") {
            Ok(url) if !url.is_empty() => (url, None),
            _ => {
                let server = PostgresServer::start();
                (server.url("postgres"), Some(server))
            }
        }
    });
    url
}

/// A database on the shared server that nobody else uses.
pub fn fresh_database() -> FreshDatabase {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("kith_test_{}_{number}_{}", std::process::id(), crate::random::hex(4));
    execute(shared(), &format!("CREATE DATABASE \"{name}\""));
    FreshDatabase { name }
}

/// Drops its database when dropped.
pub struct FreshDatabase {
    name: String,
}

impl FreshDatabase {
    pub fn url(&self) -> String {
        let (base, query) = shared().split_once('?').unwrap_or((shared(), ""));
        let (server, _) = base.rsplit_once('/').filter(|(s, _)| !s.ends_with('/')).unwrap_or((base, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{server}/{}{query}", self.name)
    }
}

impl Drop for FreshDatabase {
    fn drop(&mut self) {
        // With connections that a test left open; if the server has gone, so has the database.
        if let Ok(mut c) = PgConnection::establish(shared()) {
            let _ = c.batch_execute(&format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name));
        }
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://kith@127.0.0.1:{port}/{database}")
}

fn execute(url: &str, sql: &str) {
    let mut c = PgConnection::establish(url).expect("connection to PostgreSQL");
    c.batch_execute(sql).expect("statement");
}

/// Below the range from which the kernel takes the ports of outgoing connections: one of those could sit on ours
/// while the server is down, even our own attempt to connect (TCP lets a socket meet itself).
fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..100).map(|_| rand::random_range(15_000..30_000)).find(free).expect("a free port")
}

fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|v| v.path().join("bin")).collect();
    folders.sort();
    // The newest that is installed, else what is on the PATH.
    folders.reverse();
    #[expect(clippy::disallowed_methods, reason = "where to find programs is the environment's business")]
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let found = folders.into_iter().map(|f| f.join(name)).find(|f| f.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} not found: these tests need a PostgreSQL server; install the package postgresql")
    })
}

/// Who shall own the server where we are root.
fn unprivileged_owner() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:"))?.split_whitespace().nth(1)?;
    if uid != "0" {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let find = |user: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_user = fields.next() == Some(user);
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_user.then_some((uid, gid))
        })
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user postgres or nobody"))
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let mut stat = String::new();
    fs::File::open(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?.read_to_string(&mut stat).ok()?;
    // "pid (name) state parent …", and the name may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn signal(name: &str, processes: &[u32]) {
    let list: Vec<String> = processes.iter().map(u32::to_string).collect();
    // A child may have ended meanwhile: that is no failure.
    let _ = Command::new("/bin/sh")
        .args(["-c", &format!("kill -{name} {}", list.join(" "))])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// An open transaction; dropped, it is rolled back.
pub struct Held(#[expect(dead_code, reason = "held, not used")] PgConnection);
