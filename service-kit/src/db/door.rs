//! The database threads: one connection each, one job at a time.

use super::attempt::{After, attempt};
use super::manager::{Conn, Manager};
use super::queue::{Queue, Task};
use super::stats::Counters;
use super::target::Target;
use crate::error::{Code, Error, Result};
use diesel::connection::SimpleConnection;
use diesel::r2d2::{Pool, PooledConnection};
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

impl Worker {
    /// Serves until the queue is closed and empty.
    pub fn serve(&mut self) {
        while let Some(task) = self.queue.pop() {
            let _running = self.counters.running();
            self.counters.waits.took(task.queued.elapsed());
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
