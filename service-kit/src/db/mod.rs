//! The one door to the database.
//!
//! Store functions are synchronous and take `&mut DbConn`; only [`Db`] has connections to give. Jobs wait in a
//! bounded queue for a small fixed set of threads with one connection each, never on the workers that serve
//! requests. Whatever happens to the database, a caller has an answer after [`DbSettings::wait`], and when the
//! database is back, so is the door.
//!
//! - A job may be run several times (a deadlock, a lost connection), so it must do nothing but talk to the database.
//! - Never call the door from inside a job: with one thread it would wait for itself.
//! - `Busy` and an `Unreachable` that says "outcome unknown" in the log may have been done nevertheless: what
//!   clients repeat must be idempotent.
//! - Connections keep prepared statements, so a pooler in front of PostgreSQL must pool sessions (or keep prepared
//!   statements itself) and, for our time-outs, accept the start-up parameter `options`.

mod attempt;
mod conn;
mod door;
mod error;
mod gathered;
mod manager;
mod migrate;
mod prepared;
mod queue;
mod stats;
mod target;
mod writer;

pub use conn::{DbConn, MultiBackend as DbBackend};
pub use error::{OpenError, OrCode};
pub use gathered::Gathered;
pub use migrate::Migrations;
pub use prepared::Prepared;
pub use stats::Stats;

use crate::error::{Code, Error, Result};
use crate::settings::SecretUrl;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{NopErrorHandler, Pool};
use door::{Role, Worker};
use manager::Manager;
use queue::{Kind, Queue, Refused, Task};
use stats::Counters;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use target::Target;
use tokio::sync::oneshot;

/// How to reach a database and how much to ask of it.
#[derive(Debug, Clone)]
pub struct DbSettings {
    /// `postgres://…` or `sqlite:///absolute/file` or `sqlite://relative/file`.
    pub url: SecretUrl,
    /// PostgreSQL: threads, and so connections; 0: four per core. SQLite: readers; 0: one per core, 2–4.
    pub threads: usize,
    /// Jobs that may wait; one more is refused as busy. SQLite has two such queues, for reads and for writes.
    pub queue: usize,
    /// How long a caller waits in all.
    pub wait: Duration,
    /// How long `open` tries to reach the database.
    pub patience: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

impl DbSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretUrl::new(url),
            threads: 0,
            queue: 1024,
            wait: Duration::from_secs(2),
            patience: Duration::from_secs(60),
            application_name: "kith".into(),
        }
    }
}

/// The door to one database. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    backend: &'static str,
    /// SQLite: for the readers. PostgreSQL: the same queue as `writes`.
    reads: Arc<Queue>,
    writes: Arc<Queue>,
    wait: Duration,
    threads: usize,
    alive: Arc<AtomicUsize>,
    counters: Arc<Counters>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
    }
}

impl Db {
    /// Reaches the database, runs the migrations under a lock and starts the threads.
    pub async fn open(settings: DbSettings, migrations: Migrations) -> Result<Self, OpenError> {
        let manager = Manager::new(Target::parse(&settings)?, settings.url.to_string());
        let (caller, ready) = oneshot::channel::<Result<(), OpenError>>();
        let patience = settings.patience;
        // A thread of its own: the runtime's blocking pool would hold up a shutdown while we wait for a server.
        spawn("kith-db-open", {
            let manager = manager.clone();
            move || {
                let outcome = migrate::prepare(&manager, &migrations, patience, &|| caller.is_closed());
                let _ = caller.send(outcome);
            }
        })?;
        ready.await.unwrap_or_else(|_| Err(OpenError::System("migration panicked".into())))?;
        Self::start(&settings, manager)
    }

    fn start(settings: &DbSettings, manager: Manager) -> Result<Self, OpenError> {
        let roles = door::roles(manager.target(), settings.threads);
        let threads = roles.len();
        let pool = Pool::builder()
            .max_size(u32::try_from(threads).unwrap_or(u32::MAX))
            // A round trip per job, where finding a dead connection while using it costs nothing.
            .test_on_check_out(false)
            // Threads keep theirs; r2d2 would only ever close spare ones.
            .idle_timeout(None)
            .max_lifetime(None)
            // r2d2 pauses up to half of this between attempts to connect: it bounds how fast we heal.
            .connection_timeout(Duration::from_millis(800))
            // The manager logs, and less often.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(manager.clone());
        let writes = Arc::new(Queue::new(settings.queue));
        let reads = match manager.target() {
            Target::Pg(_) => writes.clone(),
            Target::Sqlite { .. } => Arc::new(Queue::new(settings.queue)),
        };
        let backend = match manager.target() {
            Target::Pg(_) => "postgres",
            Target::Sqlite { .. } => "sqlite",
        };
        let alive = Arc::new(AtomicUsize::new(0));
        let counters = Arc::new(Counters::default());
        let db = Self(Arc::new(Inner {
            backend,
            reads,
            writes,
            wait: settings.wait,
            threads,
            alive: alive.clone(),
            counters: counters.clone(),
        }));
        for (n, role) in roles.into_iter().enumerate() {
            let queue = if role == Role::Reader { &db.0.reads } else { &db.0.writes }.clone();
            let mut worker = Worker {
                role,
                queue,
                pool: pool.clone(),
                manager: manager.clone(),
                counters: counters.clone(),
                held: None,
            };
            alive.fetch_add(1, Ordering::AcqRel);
            let alive = Alive(alive.clone());
            spawn(&format!("kith-db-{n}"), move || {
                let _alive = alive;
                // Jobs are caught one by one; this is for a panic of our own, or of a job's destructor.
                while catch_unwind(AssertUnwindSafe(|| worker.serve())).is_err() {
                    log::error!("a database thread panicked and goes on with another connection");
                    worker.discard();
                }
            })?;
        }
        Ok(db)
    }

    /// Runs a job that only reads. On PostgreSQL each of its statements sees its own snapshot.
    pub async fn read<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut DbConn) -> Result<T> + Send + 'static,
    {
        self.run(Kind::Read, job).await
    }

    /// Runs a job of exactly one statement, which commits by itself. On PostgreSQL this saves two round trips; it
    /// is not repeated after a connection was lost while it ran.
    pub async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut DbConn) -> Result<T> + Send + 'static,
    {
        self.run(Kind::Write, job).await
    }

    /// Runs a job in a transaction that commits if it returns Ok and rolls back if not.
    pub async fn transaction<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut DbConn) -> Result<T> + Send + 'static,
    {
        self.run(Kind::Transaction, job).await
    }

    async fn run<T, F>(&self, kind: Kind, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut DbConn) -> Result<T> + Send + 'static,
    {
        let inner = &*self.0;
        let queue = if kind == Kind::Read { &inner.reads } else { &inner.writes };
        let (task, answer) = Task::new(kind, inner.wait, job);
        match queue.push(task) {
            Ok(()) => {}
            Err(Refused::Full) => {
                Counters::add(&inner.counters.refused);
                return Err(Error::from(Code::Busy).because("the database queue is full"));
            }
            Err(Refused::Closed) => return Err(Error::from(Code::Unreachable).because("the database is closed")),
        }
        let dropped = || Error::from(Code::Unreachable).because("the database thread dropped the job");
        self.in_time(async { answer.await.unwrap_or_else(|_| Err(dropped())) }).await
    }

    /// What a caller waits for, no longer than he may.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.0.wait, answer).await.unwrap_or_else(|_| {
            Counters::add(&self.0.counters.timeouts);
            Err(Error::from(Code::Busy).because("the database did not answer in time"))
        })
    }

    /// Whether one thread writes for all: then nobody waits inside the database for another's row.
    pub fn has_one_writer(&self) -> bool {
        !Arc::ptr_eq(&self.0.reads, &self.0.writes)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.read(|conn| Ok(conn.batch_execute("SELECT 1")?)).await
    }

    pub fn stats(&self) -> Stats {
        let inner = &*self.0;
        let mut queued = inner.writes.len();
        if self.has_one_writer() {
            queued += inner.reads.len();
        }
        inner.counters.snapshot(inner.backend, inner.threads, queued)
    }

    /// Takes no more jobs, lets those that wait be done, and closes the connections. Gives up on threads that a
    /// frozen server holds.
    pub async fn close(&self) {
        self.0.reads.close();
        self.0.writes.close();
        let until = Instant::now() + self.0.wait + Duration::from_secs(1);
        while self.0.alive.load(Ordering::Acquire) > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map(drop).map_err(|e| OpenError::System(format!("thread {name}: {e}")))
}
