//! One run of one job: what surrounds it, and what its failure means.

use super::conn::DbConn;
use super::error::{Fault, fault, fault_of};
use super::manager::Conn;
use super::queue::{Kind, Ran, Task};
use crate::error::{Code, Error};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::result::QueryResult;

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

/// Runs the job once.
pub(super) fn attempt(conn: &mut Conn, task: &mut Task) -> After {
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
            if balanced(conn, task, 0) {
                one_statement(conn, task);
            }
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
            if !balanced(conn, task, 1) {
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
fn one_statement(conn: &Conn, task: &mut Task) {
    if cfg!(debug_assertions) && task.kind == Kind::Write && conn.watch.statements() > 1 {
        task.fail(Error::internal("a write job ran several statements: it must be a transaction"));
    }
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
