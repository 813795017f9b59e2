//! SQLite's one writer: commits the jobs that wait in groups, because a commit (with its fsync) costs more than
//! the statements in it.

use super::attempt::{balanced, begin, commit, rollback};
use super::conn::DbConn;
use super::door::Worker;
use super::error::{Fault, commit_was_refused, fault};
use super::manager::Conn;
use super::queue::{Ran, Task};
use super::stats::Counters;
use crate::error::{Code, Error};
use diesel::connection::TransactionManager;
use diesel::result::QueryResult;
use std::time::{Duration, Instant};

/// Jobs in one commit.
const GROUP: usize = 64;
/// A group takes no further jobs after this time, so that slow ones do not use up each other's patience.
const SLICE: Duration = Duration::from_millis(50);

impl Worker {
    /// Runs a job, together with those that wait behind it.
    pub fn write(&mut self, first: Task) {
        match self.queue.try_pop() {
            // Alone it needs no savepoint.
            None => self.handle(first),
            Some(second) => {
                self.counters.waits.took(second.queued.elapsed());
                self.group(first, second);
            }
        }
    }

    fn group(&mut self, first: Task, second: Task) {
        let (queue, counters) = (self.queue.clone(), self.counters.clone());
        let Some(conn) = self.begin_group(&first) else {
            // Each by itself finds out what is wrong, and answers in its own time.
            self.handle(first);
            return self.handle(second);
        };
        let started = Instant::now();
        let (mut members, mut expired) = (Vec::new(), Vec::new());
        let mut sound = true;
        let mut waiting = vec![second, first];
        while let Some(mut task) = waiting.pop() {
            if task.is_wanted() {
                sound = member(conn, &mut task);
                members.push(task);
                if !sound {
                    break;
                }
            } else {
                expired.push(task);
            }
            if waiting.is_empty() && members.len() < GROUP && started.elapsed() < SLICE {
                let next = queue.try_pop();
                if let Some(next) = &next {
                    counters.waits.took(next.queued.elapsed());
                }
                waiting.extend(next);
            }
        }
        let mut answered = false;
        if sound {
            match commit(&mut conn.db) {
                Ok(()) => {
                    Counters::add_many(&counters.grouped, members.len());
                    answered = true;
                }
                Err(e) if commit_was_refused(&e) => {}
                Err(e) => {
                    log::error!("commit of {} jobs failed: {e}", members.len());
                    for task in &mut members {
                        task.fail(Error::from(Code::Internal).because(format!("commit failed: {e}")));
                    }
                    conn.broken = true;
                    answered = true;
                }
            }
        }
        if !answered {
            // Nothing of the group is in the database; closing the connection sees to that in every case.
            conn.broken = true;
            Counters::add(&self.counters.retries);
        }
        for task in expired {
            self.expire(task);
        }
        for task in members {
            if answered { self.settle(task) } else { self.handle(task) }
        }
        for task in waiting {
            self.handle(task);
        }
    }

    /// A connection that holds the write lock.
    fn begin_group(&mut self, first: &Task) -> Option<&mut Conn> {
        let conn = self.connection(first).ok()?;
        loop {
            match begin(&mut conn.db) {
                Ok(()) => return Some(conn),
                // Another process writes; SQLite has waited for it already.
                Err(e) if fault(&e) == Fault::Clash && first.is_wanted() => {}
                Err(_) => {
                    conn.broken = true;
                    return None;
                }
            }
        }
    }
}

/// Runs one job of a group in a savepoint. `false`: the transaction is not what it should be any more.
fn member(conn: &mut Conn, task: &mut Task) -> bool {
    if savepoint(conn).is_err() {
        return false;
    }
    conn.watch.reset();
    match task.run(&mut conn.db) {
        Ran::Panicked => false,
        // Some errors (a full disk) make SQLite roll back the whole transaction: then this fails.
        Ran::Err => conn.depth() == Some(2) && rollback(&mut conn.db).is_ok(),
        Ran::Ok => balanced(conn, task, 2) && commit(&mut conn.db).is_ok(),
    }
}

fn savepoint(conn: &mut Conn) -> QueryResult<()> {
    <DbConn as TransactionManager<DbConn>>::begin_transaction(&mut conn.db)
}
