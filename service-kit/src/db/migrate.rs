//! Makes a database ready: file, schema. Many processes may start at once, so all of it happens under a lock.
//!
//! Migrations that the database has and the code does not know are left alone: code N runs on schema N+1.

use super::conn::DbConn;
use super::error::OpenError;
use super::manager::{Conn, Manager};
use super::target::Target;
use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::migration::{Migration, MigrationSource};
use diesel::r2d2::ManageConnection;
use diesel::sql_types::{Bool, Text};
use diesel::{PgConnection, RunQueryDsl, SqliteConnection, select};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Both backends' migrations, the same names in both folders. A `const` of `diesel_migrations::embed_migrations!`.
pub struct Migrations {
    pub postgres: EmbeddedMigrations,
    pub sqlite: EmbeddedMigrations,
}

/// How long another process may take over its migrations.
const LOCK_PATIENCE: Duration = Duration::from_secs(600);
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Between attempts to connect, and to take the lock.
const PAUSE: Duration = Duration::from_millis(100);
/// "kith" and a number: PostgreSQL's advisory locks are known by number only, within one database.
const LOCK: i64 = 0x6b69_7468_0001;

/// Connects, tries again until `patience` is over or the caller has gone, and brings the schema up to date.
pub(super) fn prepare(
    manager: &Manager,
    migrations: &Migrations,
    patience: Duration,
    is_abandoned: &dyn Fn() -> bool,
) -> Result<(), OpenError> {
    // Held until the end; the file stays, because removing it would let two processes lock different files.
    let _lock = match manager.target() {
        Target::Sqlite { path, .. } => Some(lock_file(path, is_abandoned)?),
        Target::Pg(_) => None,
    };
    let until = Instant::now() + patience;
    loop {
        let why = match manager.connect() {
            Ok(mut conn) => match migrate(&mut conn, migrations, is_abandoned) {
                Err(e) if conn.is_lost() => e.to_string(),
                done => return done,
            },
            Err(e) if e.is_of_settings() => return Err(OpenError::Settings(e.to_string())),
            Err(e) => e.to_string(),
        };
        // A server starts more slowly than we do; the manager has logged why it is not there yet. A file is there
        // or is not.
        if Instant::now() + PAUSE >= until || is_abandoned() || matches!(manager.target(), Target::Sqlite { .. }) {
            return Err(OpenError::Unreachable(why));
        }
        std::thread::sleep(PAUSE);
    }
}

fn migrate(conn: &mut Conn, migrations: &Migrations, is_abandoned: &dyn Fn() -> bool) -> Result<(), OpenError> {
    match &mut conn.db {
        DbConn::Pg(c) => {
            // Changing a large table may take its time.
            c.batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
                .map_err(|e| OpenError::Migration(e.to_string()))?;
            lock_postgres(c, is_abandoned)?;
            // The lock goes with the connection.
            run(c, &migrations.postgres)
        }
        DbConn::Sqlite(c) => {
            check_wal(c)?;
            run(c, &migrations.sqlite)
        }
    }
}

fn run<DB: Backend>(c: &mut impl MigrationHarness<DB>, source: &EmbeddedMigrations) -> Result<(), OpenError> {
    let error = |e: Box<dyn std::error::Error + Send + Sync>| OpenError::Migration(e.to_string());
    for migration in c.pending_migrations(Borrowed(source)).map_err(error)? {
        log::info!("migrating the database: {}", migration.name());
        c.run_migration(&migration).map_err(error)?;
    }
    Ok(())
}

/// Diesel takes its sources by value, and a connection that is lost on the way needs them again.
struct Borrowed<'a>(&'a EmbeddedMigrations);

impl<DB: Backend> MigrationSource<DB> for Borrowed<'_> {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<DB>>>> {
        self.0.migrations()
    }
}

/// Asks again and again instead of waiting inside `pg_advisory_lock`: a waiting statement holds a snapshot, and
/// the CREATE INDEX CONCURRENTLY of whoever has the lock would wait for that one in turn.
fn lock_postgres(c: &mut PgConnection, is_abandoned: &dyn Fn() -> bool) -> Result<(), OpenError> {
    wait_for_lock(is_abandoned, || {
        select(sql::<Bool>(&format!("pg_try_advisory_lock({LOCK})")))
            .get_result(c)
            .map_err(|e| OpenError::Migration(e.to_string()))
    })
}

fn wait_for_lock(
    is_abandoned: &dyn Fn() -> bool,
    mut take: impl FnMut() -> Result<bool, OpenError>,
) -> Result<(), OpenError> {
    let started = Instant::now();
    let mut logged = started;
    while !take()? {
        if started.elapsed() > LOCK_PATIENCE || is_abandoned() {
            return Err(OpenError::Migration("another process holds the migration lock".into()));
        }
        if logged.elapsed() >= LOG_EVERY {
            logged = Instant::now();
            log::warn!("waiting for another process to migrate the database");
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Creates folder and file, and locks a file of its own beside it. The database's own file must never be opened
/// and closed beside SQLite: closing it would drop the POSIX locks of every connection in this process.
fn lock_file(path: &Path, is_abandoned: &dyn Fn() -> bool) -> Result<File, OpenError> {
    let error = |what: &Path, e: std::io::Error| OpenError::System(format!("{}: {e}", what.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| error(folder, e))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = Path::new(&name);
    let private = |options: &mut OpenOptions, path: &Path| options.write(true).mode(0o600).open(path);
    let lock = private(OpenOptions::new().create(true).truncate(false), name).map_err(|e| error(name, e))?;
    wait_for_lock(is_abandoned, || match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(error(name, e)),
    })?;
    // Messages and password hashes are nobody else's business; SQLite gives its other files the same mode. Only
    // a file that was not there is opened here, and under the lock, so no connection can have it.
    match private(OpenOptions::new().create_new(true), path) {
        Ok(_) => Ok(lock),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(lock),
        Err(e) => Err(error(path, e)),
    }
}

/// Where WAL is not to be had (some network file systems), readers and the writer would stop each other.
fn check_wal(c: &mut SqliteConnection) -> Result<(), OpenError> {
    let mode: String = select(sql::<Text>("(SELECT journal_mode FROM pragma_journal_mode)"))
        .get_result(c)
        .map_err(|e| OpenError::System(e.to_string()))?;
    match mode.as_str() {
        "wal" => Ok(()),
        _ => {
            Err(OpenError::System(format!("SQLite cannot use a write-ahead log on this file system (it uses {mode})")))
        }
    }
}
