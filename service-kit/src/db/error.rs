//! What database errors mean to callers and to the door.

use crate::error::{Code, Error, Result};
use diesel::result::{DatabaseErrorKind, Error as DieselError, QueryResult};
use std::fmt;

impl From<DieselError> for Error {
    fn from(e: DieselError) -> Self {
        Self::internal(e)
    }
}

/// Gives a constraint's violation its meaning, at the call site that knows it.
pub trait OrCode<T> {
    /// A violated unique constraint becomes `code`; any other error stays ours.
    fn or_conflict(self, code: Code) -> Result<T>;
}

impl<T> OrCode<T> for QueryResult<T> {
    fn or_conflict(self, code: Code) -> Result<T> {
        self.map_err(|e| match e {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Error::from(code).because(e),
            e => e.into(),
        })
    }
}

/// What the door does about a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Lost against another transaction and was rolled back: the same job may succeed at once.
    Clash,
    /// The server stopped a statement that took too long.
    TooSlow,
    /// A migration changed what a prepared statement returns: needs a connection that has not prepared it.
    StalePlan,
    /// The server has become a standby.
    Standby,
    /// Nothing that another attempt would change.
    Final,
}

pub(super) fn fault_of(error: Option<&Error>) -> Fault {
    error.and_then(Error::source_as::<DieselError>).map_or(Fault::Final, fault)
}

pub(super) fn fault(e: &DieselError) -> Fault {
    match e {
        DieselError::RollbackErrorOnCommit { commit_error, .. } => fault(commit_error),
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Fault::Clash,
        DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Fault::Standby,
        // Diesel names only some SQLSTATEs and shows none, so the rest is told by the text. That it is English is
        // seen to where PostgreSQL lets us (manager.rs); SQLite knows no other language.
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) => match info.message() {
            "deadlock detected" | "database is locked" | "database table is locked" => Fault::Clash,
            "canceling statement due to statement timeout" | "canceling statement due to lock timeout" => {
                Fault::TooSlow
            }
            "cached plan must not change result type" => Fault::StalePlan,
            _ => Fault::Final,
        },
        _ => Fault::Final,
    }
}

/// Whether a failed COMMIT was refused for one job's sake (a deferred constraint, a lock), so that the other jobs
/// of the group may be run again: they certainly were not committed.
pub(super) fn commit_was_refused(e: &DieselError) -> bool {
    use DatabaseErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    match e {
        DieselError::DatabaseError(kind, _) => {
            matches!(kind, CheckViolation | ForeignKeyViolation | NotNullViolation | UniqueViolation)
                || fault(e) == Fault::Clash
        }
        _ => false,
    }
}

/// Why a database could not be opened. The texts are for operators and hold no password.
#[derive(Debug)]
pub enum OpenError {
    /// The URL or another setting cannot work, whatever the database does.
    Settings(String),
    /// Not reachable within [`DbSettings::patience`](super::DbSettings::patience); the last reason.
    Unreachable(String),
    Migration(String),
    /// The operating system refused threads, files or folders.
    System(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(why) => write!(f, "database settings: {why}"),
            Self::Unreachable(why) => write!(f, "database not reachable: {why}"),
            Self::Migration(why) => write!(f, "database migration: {why}"),
            Self::System(why) => write!(f, "database: {why}"),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn database_error(kind: DatabaseErrorKind, text: &str) -> DieselError {
        DieselError::DatabaseError(kind, Box::new(text.to_owned()))
    }

    #[test]
    fn only_unique_violations_become_the_given_code() {
        let conflict: QueryResult<()> = Err(database_error(DatabaseErrorKind::UniqueViolation, "twice"));
        assert_eq!(
            conflict.or_conflict(Code::AlreadyRegistered).err().map(|e| e.code()),
            Some(Code::AlreadyRegistered)
        );
        let other: QueryResult<()> = Err(database_error(DatabaseErrorKind::NotNullViolation, "null"));
        assert_eq!(other.or_conflict(Code::AlreadyRegistered).err().map(|e| e.code()), Some(Code::Internal));
    }

    #[test]
    fn faults_are_recognised_under_the_jobs_own_code() {
        let clash = Error::from(Code::AlreadyRegistered)
            .because(database_error(DatabaseErrorKind::Unknown, "deadlock detected"));
        assert_eq!(fault_of(Some(&clash)), Fault::Clash);
        let serial = Error::from(database_error(DatabaseErrorKind::SerializationFailure, "whatever language"));
        assert_eq!(fault_of(Some(&serial)), Fault::Clash);
        assert_eq!(fault_of(Some(&Error::from(DieselError::NotFound))), Fault::Final);
        assert_eq!(fault_of(None), Fault::Final);
    }
}
