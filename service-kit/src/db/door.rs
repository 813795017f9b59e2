//! The database threads: one connection each, one job at a time.

use super::conn::DbConn;
use super::error::{Fault, fault, fault_of};
use super::manager::{Conn, Manager};
use super::queue::{Kind, Queue, Ran, Task};
use super::stats::Counters;
use super::target::Target;
use crate::error::{Code, Error, Result};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{Pool, PooledConnection};
use diesel::result::QueryResult;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// While the database refuses connections, a job is kept this long for it to come back.
const GRACE: Duration = Duration::from_millis(300);
/// How often a thread without a connection looks whether it is worth waiting on.
const STEP: Duration = Duration::from_millis(25);
/// How often a job is run again after losing against another transaction.
const CLASHES: u32 = 10;
/// How often a job is run again on a fresh connection: once for the connection that was found dead, once more for
/// a fresh one that died as well while a server was going down.
const LOSSES: u32 = 2;

/// What a thread serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// PostgreSQL: anything.
    Any,
    /// SQLite: reads.
    Reader,
    /// SQLite: the one thread that writes.
    Writer,
}

/// One database thread.
pub(super) struct Worker {
    pub role: Role,
    pub queue: Arc<Queue>,
    pub pool: Pool<Manager>,
    pub manager: Manager,
    pub counters: Arc<Counters>,
    pub held: Option<PooledConnection<Manager>>,
}

/// What became of one run of a job.
pub(super) enum After {
    /// The task holds its answer.
    Answer,
    /// The connection was lost; `again`: nothing can have been committed.
    Lost { again: bool },
    /// Lost against another transaction, and rolled back.
    Clash,
    /// Needs a connection with no prepared statements.
    StalePlan,
}

impl Worker {
    /// Serves until the queue is closed and empty.
    pub fn serve(&mut self) {
        while let Some(task) = self.queue.pop() {
            let _running = self.counters.running();
            match self.role {
                Role::Writer => self.write(task),
                Role::Any | Role::Reader => self.handle(task),
            }
        }
    }

    /// Runs one job, by itself, until it has an answer.
    pub fn handle(&mut self, mut task: Task) {
        let (mut clashes, mut losses) = (0, 0);
        loop {
            if !task.is_wanted() {
                return self.expire(task);
            }
            let after = match self.connection(&task) {
                Ok(conn) => attempt(conn, &mut task),
                Err(e) => {
                    task.fail(e);
                    After::Answer
                }
            };
            match after {
                After::Answer => break,
                After::Clash => {
                    clashes += 1;
                    if clashes > CLASHES {
                        task.fail(Error::from(Code::Busy).because("lost against other transactions every time"));
                        break;
                    }
                    Counters::add(&self.counters.retries);
                    // Longer each time, so that many who fight for the same rows come apart.
                    std::thread::sleep(Duration::from_micros(rand::random_range(200..5_000 * u64::from(clashes))));
                }
                After::Lost { again } => {
                    losses += 1;
                    self.renounce();
                    if !again || losses > LOSSES {
                        let why = if again { "connection lost" } else { "connection lost, outcome unknown" };
                        task.fail(Error::from(Code::Unreachable).because(why));
                        break;
                    }
                    Counters::add(&self.counters.retries);
                }
                After::StalePlan => {
                    losses += 1;
                    self.discard();
                    if losses > LOSSES {
                        break;
                    }
                    Counters::add(&self.counters.retries);
                }
            }
        }
        self.settle(task);
    }

    /// Answers a task and drops a connection that must not serve another.
    pub fn settle(&mut self, task: Task) {
        if self.held.as_ref().is_some_and(|c| c.broken) {
            self.discard();
        }
        Counters::add(&self.counters.done);
        task.answer();
    }

    /// Answers a task that nobody waits for, or that waited too long, without running it (again).
    pub fn expire(&mut self, mut task: Task) {
        // An earlier run may have left a result, even a good one, that was rolled back since.
        task.fail(Error::from(Code::Busy).because("the job was not run in time"));
        Counters::add(&self.counters.expired);
        task.answer();
    }

    /// Closes the held connection.
    pub fn discard(&mut self) {
        if let Some(mut conn) = self.held.take() {
            conn.broken = true;
        }
    }

    /// Distrusts the held connection and all that are as old.
    fn renounce(&mut self) {
        Counters::add(&self.counters.lost);
        if let Some(conn) = &self.held {
            self.manager.renounce(conn);
        }
        self.discard();
    }

    /// The thread's connection, opened if need be. Waits no longer than the task's caller does.
    pub fn connection(&mut self, task: &Task) -> Result<&mut Conn> {
        // Let go first: the pool opens no more connections than there are threads.
        if self.held.as_ref().is_some_and(|c| !self.manager.trusts(c)) {
            self.discard();
        }
        let conn = match self.held.take() {
            Some(conn) => conn,
            None => self.check_out(task)?,
        };
        Ok(self.held.insert(conn))
    }

    fn check_out(&self, task: &Task) -> Result<PooledConnection<Manager>> {
        let mut conn = self.pool.try_get();
        loop {
            match conn {
                // r2d2 drops what is not trusted and opens another in its place.
                Some(conn) if !self.manager.trusts(&conn) => drop(conn),
                Some(mut conn) => {
                    match self.role {
                        Role::Any => {}
                        Role::Reader => conn.db.batch_execute("PRAGMA query_only = ON")?,
                        Role::Writer => conn.db.batch_execute("PRAGMA query_only = OFF")?,
                    }
                    return Ok(conn);
                }
                None => {}
            }
            let now = Instant::now();
            let down = self.manager.is_down();
            let until = if down { task.deadline.min(task.queued + GRACE) } else { task.deadline };
            if now >= until || !task.is_wanted() {
                let code = if down { Code::Unreachable } else { Code::Busy };
                return Err(Error::from(code).because(self.manager.trouble()));
            }
            conn = self.pool.get_timeout(STEP.min(until - now)).ok();
        }
    }
}

/// Runs the job once.
fn attempt(conn: &mut Conn, task: &mut Task) -> After {
    match (task.kind, &conn.db) {
        (Kind::Read, _) | (Kind::Write, DbConn::Pg(_)) => statement(conn, task),
        (Kind::Transaction, _) | (Kind::Write, DbConn::Sqlite(_)) => transaction(conn, task),
    }
}

/// A read, or a write of one statement: every statement is its own transaction.
fn statement(conn: &mut Conn, task: &mut Task) -> After {
    let reads = task.kind == Kind::Read;
    // A write that was sent cannot be repeated, so the end of the connection must be seen before.
    if !reads && conn.is_lost() {
        return After::Lost { again: true };
    }
    conn.watch.reset();
    match task.run(&mut conn.db) {
        Ran::Panicked => {
            conn.broken = true;
            After::Answer
        }
        Ran::Err => failed(conn, task, reads),
        Ran::Ok => {
            balanced(conn, task, 0);
            one_statement(conn, task);
            After::Answer
        }
    }
}

/// A job inside BEGIN and COMMIT.
fn transaction(conn: &mut Conn, task: &mut Task) -> After {
    if let Err(e) = begin(&mut conn.db) {
        let clash = fault(&e) == Fault::Clash;
        task.fail(e.into());
        return if conn.is_lost() {
            After::Lost { again: true }
        } else if clash {
            After::Clash
        } else {
            conn.broken = true;
            After::Answer
        };
    }
    conn.watch.reset();
    match task.run(&mut conn.db) {
        Ran::Panicked => {
            conn.broken = true;
            After::Answer
        }
        Ran::Err => {
            if conn.depth() != Some(1) || rollback(&mut conn.db).is_err() {
                conn.broken = true;
            }
            failed(conn, task, true)
        }
        Ran::Ok => {
            if !balanced(conn, task, 1) || !one_statement(conn, task) {
                conn.broken = true;
                return After::Answer;
            }
            if let Some(after) = swallowed(conn, task) {
                return after;
            }
            match commit(&mut conn.db) {
                Ok(()) => After::Answer,
                Err(e) => {
                    task.fail(e.into());
                    // A COMMIT that was refused has rolled back; anything else leaves a connection in doubt.
                    conn.broken |= conn.depth() != Some(0);
                    failed(conn, task, false)
                }
            }
        }
    }
}

/// What to do about a failed run, whatever the job made of its error. `again`: nothing was committed.
fn failed(conn: &mut Conn, task: &mut Task, again: bool) -> After {
    if conn.is_lost() {
        return After::Lost { again };
    }
    conn.broken |= conn.depth() != Some(0);
    match fault_of(task.error()) {
        Fault::Final => After::Answer,
        Fault::Clash => After::Clash,
        Fault::StalePlan => After::StalePlan,
        Fault::TooSlow => {
            task.fail(Error::from(Code::Busy).because("the server stopped a statement that took too long"));
            After::Answer
        }
        Fault::Standby => {
            log::error!("the database server takes no writes: it has become a standby");
            After::Lost { again: false }
        }
    }
}

/// Whether the job closed every transaction it opened; where not, its success does not stand.
pub(super) fn balanced(conn: &mut Conn, task: &mut Task, depth: u32) -> bool {
    let balanced = conn.depth() == Some(depth);
    if !balanced {
        conn.broken = true;
        task.fail(Error::internal("a database job left a transaction open, or closed one that was not its own"));
    }
    balanced
}

/// Debug builds hold `write` to its one statement, so that no test passes a job which is not atomic.
pub(super) fn one_statement(conn: &Conn, task: &mut Task) -> bool {
    let fine = !cfg!(debug_assertions) || task.kind != Kind::Write || conn.watch.statements() <= 1;
    if !fine {
        task.fail(Error::internal("a write job ran several statements: it must be a transaction"));
    }
    fine
}

/// A job may ignore a failed statement and say Ok. PostgreSQL has then spoilt the transaction, answers its COMMIT
/// with a ROLLBACK, and Diesel calls that a success. So where a statement failed, ask before committing.
fn swallowed(conn: &mut Conn, task: &mut Task) -> Option<After> {
    if !conn.watch.failed() || !matches!(conn.db, DbConn::Pg(_)) {
        return None;
    }
    let e = conn.db.batch_execute("SELECT 1").err()?;
    if conn.is_lost() {
        return Some(After::Lost { again: true });
    }
    if rollback(&mut conn.db).is_err() {
        conn.broken = true;
    }
    task.fail(Error::internal(e));
    Some(After::Answer)
}

pub(super) fn begin(db: &mut DbConn) -> QueryResult<()> {
    match db {
        DbConn::Pg(c) => AnsiTransactionManager::begin_transaction(c),
        // Takes the write lock at once: a transaction that began by reading could not wait for it later.
        DbConn::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE"),
    }
}

pub(super) fn commit(db: &mut DbConn) -> QueryResult<()> {
    <DbConn as TransactionManager<DbConn>>::commit_transaction(db)
}

pub(super) fn rollback(db: &mut DbConn) -> QueryResult<()> {
    <DbConn as TransactionManager<DbConn>>::rollback_transaction(db)
}

/// How many threads of each role a database gets; `asked` 0: as measured best.
pub(super) fn roles(target: &Target, asked: usize) -> Vec<Role> {
    let cores = std::thread::available_parallelism().map_or(2, |n| n.get());
    match target {
        Target::Pg(_) => vec![Role::Any; if asked == 0 { (4 * cores).max(4) } else { asked }],
        Target::Sqlite { .. } => {
            let mut roles = vec![Role::Reader; if asked == 0 { cores.clamp(2, 4) } else { asked }];
            roles.push(Role::Writer);
            roles
        }
    }
}
