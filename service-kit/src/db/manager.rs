//! Opens connections for r2d2 and knows which of them are still good.

use super::conn::DbConn;
use super::target::Target;
use diesel::connection::{Connection, Instrumentation, InstrumentationEvent, SimpleConnection, TransactionManager};
use diesel::r2d2::{ManageConnection, R2D2Connection};
use diesel::{PgConnection, SqliteConnection};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A pooled connection with what the door must know of it.
pub(super) struct Conn {
    pub db: DbConn,
    pub watch: Arc<Watch>,
    /// Not to be used again; dropped when handed back.
    pub broken: bool,
    generation: u64,
}

/// What the running job did on its connection.
#[derive(Default)]
pub(super) struct Watch {
    statements: AtomicU32,
    failed: AtomicBool,
}

impl Watch {
    pub fn reset(&self) {
        self.statements.store(0, Ordering::Relaxed);
        self.failed.store(false, Ordering::Relaxed);
    }

    pub fn statements(&self) -> u32 {
        self.statements.load(Ordering::Relaxed)
    }

    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn instrument(self: Arc<Self>) -> impl Instrumentation {
        move |event: InstrumentationEvent<'_>| match event {
            InstrumentationEvent::StartQuery { .. } => {
                self.statements.fetch_add(1, Ordering::Relaxed);
            }
            InstrumentationEvent::FinishQuery { error: Some(_), .. } => self.failed.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Conn {
    /// Whether the server has hung up. Costs two `recv` calls that do not wait and no round trip: the first may
    /// find the server's parting words, the second the end behind them.
    pub fn is_lost(&mut self) -> bool {
        match &mut self.db {
            DbConn::Sqlite(_) => false,
            DbConn::Pg(pg) => (0..2).any(|_| matches!(pg.notifications_iter().next(), Some(Err(_)))),
        }
    }

    /// How many transactions are open, one in the other; `None` where that is not known any more.
    pub fn depth(&mut self) -> Option<u32> {
        let status = <DbConn as TransactionManager<DbConn>>::transaction_manager_status_mut(&mut self.db);
        status.transaction_depth().ok().map(|depth| depth.map_or(0, |d| d.get()))
    }
}

/// Opens connections to one database. Clones share their state.
#[derive(Clone)]
pub(super) struct Manager(Arc<State>);

struct State {
    /// For the log: the URL without its password.
    name: String,
    target: Target,
    /// Connections of an earlier generation are not trusted: one of them was found dead, so the server was
    /// probably restarted and the others are dead as well.
    generation: AtomicU64,
    down: AtomicBool,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    last: String,
    logged: Option<Instant>,
}

/// While a database is away, its absence is logged this often.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl Manager {
    pub fn new(target: Target, name: String) -> Self {
        Self(Arc::new(State {
            name,
            target,
            generation: AtomicU64::new(0),
            down: AtomicBool::new(false),
            trouble: Mutex::new(Trouble::default()),
        }))
    }

    pub fn target(&self) -> &Target {
        &self.0.target
    }

    pub fn trusts(&self, conn: &Conn) -> bool {
        !conn.broken && conn.generation == self.0.generation.load(Ordering::Acquire)
    }

    /// Distrusts every connection as old as this one, which was found dead.
    pub fn renounce(&self, conn: &Conn) {
        let seen = conn.generation;
        // Fails where another thread was first: connections opened since then are good.
        let _ = self.0.generation.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the latest attempt to connect failed.
    pub fn is_down(&self) -> bool {
        self.0.down.load(Ordering::Acquire)
    }

    /// Why it failed.
    pub fn trouble(&self) -> String {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }

    fn note(&self, outcome: &Result<DbConn, ConnectError>) {
        match outcome {
            Ok(_) => {
                if self.0.down.swap(false, Ordering::AcqRel) {
                    log::info!("database {} reachable again", self.0.name);
                    self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).logged = None;
                }
            }
            Err(e) => {
                let mut trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                trouble.last = e.0.clone();
                if trouble.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                    trouble.logged = Some(Instant::now());
                    log::warn!("database {} not reachable: {e}", self.0.name);
                }
                drop(trouble);
                self.0.down.store(true, Ordering::Release);
            }
        }
    }
}

/// Why a connection could not be opened, in a text that quotes nothing of the URL but its host, user and database.
#[derive(Debug, Clone)]
pub(super) struct ConnectError(String);

/// What libpq says in full quotes parts of the URL, the password among them.
const NOT_UNDERSTOOD: &str = "the url or one of its parameters is not what libpq understands";

impl ConnectError {
    /// Whether libpq could not even read the URL, so that waiting cannot help.
    pub fn is_of_settings(&self) -> bool {
        self.0 == NOT_UNDERSTOOD
    }

    /// Of what libpq or PostgreSQL says.
    fn of_postgres(text: &str) -> Self {
        let text = one_line(text);
        // Said once a host was tried; the server names users and databases, never passwords.
        if text.starts_with("connection to server ") || text.starts_with("server closed the connection") {
            return Self(text);
        }
        // How libpq (fe-connect.c) begins what it has to say about settings.
        const OF_SETTINGS: [&str; 9] = [
            "invalid ",
            "missing ",
            "extra ",
            "unexpected ",
            "forbidden ",
            "unterminated ",
            "end of string ",
            "IPv6 host ",
            "could not match ",
        ];
        if OF_SETTINGS.iter().any(|start| text.starts_with(start)) {
            return Self(NOT_UNDERSTOOD.into());
        }
        Self(match (text.find('"'), text.rfind('"')) {
            (Some(first), Some(last)) => format!("{}\"…\"{}", &text[..first], &text[last + 1..]),
            _ => text,
        })
    }
}

fn one_line(text: &str) -> String {
    text.trim_end().replace('\n', ": ")
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectError {}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = ConnectError;

    fn connect(&self) -> Result<Conn, ConnectError> {
        // Read first: a server that goes away while we connect makes this connection one of the old ones.
        let generation = self.0.generation.load(Ordering::Acquire);
        let outcome = establish(&self.0.target);
        self.note(&outcome);
        let mut db = outcome?;
        let watch = Arc::new(Watch::default());
        db.set_instrumentation(watch.clone().instrument());
        Ok(Conn { db, watch, broken: false, generation })
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), ConnectError> {
        conn.db.ping().map_err(|e| ConnectError(one_line(&e.to_string())))
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        !self.trusts(conn) || conn.db.is_broken()
    }
}

fn establish(target: &Target) -> Result<DbConn, ConnectError> {
    match target {
        Target::Pg(url) => {
            let mut pg = PgConnection::establish(url).map_err(|e| ConnectError::of_postgres(&e.to_string()))?;
            // error.rs tells some errors by their text. Only a superuser may choose its language; where we are
            // none, it is the server's, and a deadlock's victim on a server that speaks another is not repeated.
            pg.batch_execute(
                "SELECT set_config('lc_messages', 'C', false) WHERE current_setting('is_superuser') = 'on'",
            )
            .map_err(|e| ConnectError::of_postgres(&e.to_string()))?;
            Ok(DbConn::Pg(pg))
        }
        Target::Sqlite { path, busy } => {
            let error = |e: &dyn fmt::Display| ConnectError(one_line(&e.to_string()));
            let name = path.to_str().ok_or_else(|| ConnectError("the file's name is not UTF-8".into()))?;
            let mut lite = SqliteConnection::establish(name).map_err(|e| error(&e))?;
            // busy_timeout first: changing the journal's mode takes a lock. FULL: what is answered survives a
            // power cut.
            lite.batch_execute(&format!(
                "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096; PRAGMA mmap_size = 134217728; \
                 PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864",
                busy.as_millis()
            ))
            .map_err(|e| error(&e))?;
            Ok(DbConn::Sqlite(lite))
        }
    }
}

#[cfg(test)]
mod tests {
    #![cfg_attr(feature = "postgres-tls", expect(clippy::unwrap_used, reason = "tests"))]
    use super::*;

    #[test]
    fn no_password_is_in_what_is_told_of_a_url_that_libpq_refuses() {
        for url in [
            "postgres://u:s3cr%zzZq7@127.0.0.1:1/d",
            "postgres://u:s3crZq7@[::1/d",
            "postgres://u:s3cr/Zq7@127.0.0.1/d",
            "postgres://u:p@127.0.0.1/d?sslmode=Zq7",
            "postgres://u:p@127.0.0.1/d?nosuch=Zq7",
            "postgres://u:p@127.0.0.1/d?passwordZq7",
        ] {
            let error = establish(&Target::Pg(url.into())).err().map(|e| (e.is_of_settings(), e.to_string()));
            assert_eq!(error, Some((true, NOT_UNDERSTOOD.to_owned())), "{url}");
        }
    }

    #[test]
    fn what_a_server_or_the_network_says_is_told() {
        let text = "connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n\tIs it running?\n";
        let told = ConnectError::of_postgres(text);
        assert!(told.to_string().starts_with("connection to server at \"127.0.0.1\", port 1 failed: Conn"), "{told}");
        let told = ConnectError::of_postgres("could not translate host name \"Zq7\" to address: No such name\n");
        assert_eq!(told.to_string(), "could not translate host name \"…\" to address: No such name");
    }

    #[cfg(feature = "postgres-tls")]
    #[test]
    fn with_sslmode_require_the_server_is_spoken_to_in_tls() {
        use std::io::{Read, Write};
        use std::net::{TcpListener, TcpStream};
        use std::time::Duration;
        // A server that takes the request for TLS and leaves after the first byte of it.
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = server.accept()?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            let (mut asked, mut hello) = ([0; 8], [0; 1]);
            stream.read_exact(&mut asked)?;
            stream.write_all(b"S")?;
            stream.read_exact(&mut hello)?;
            std::io::Result::Ok((asked, hello))
        });
        assert!(establish(&Target::Pg(format!("postgres://u@{address}/d?sslmode=require"))).is_err());
        // Nobody may have come.
        let _ = TcpStream::connect(address);
        // PostgreSQL's SSLRequest (length 8, code 80877103), then TLS's own: a handshake record.
        assert_eq!(heard.join().unwrap().ok(), Some(([0, 0, 0, 8, 4, 210, 22, 47], [22])));
    }
}
