//! A PostgreSQL server as one would run it on such a machine, `fsync` on.

use super::{Process, Program, UNPRIVILEGED, free_port, is_root};
use crate::Result;
use crate::cost::Tree;
use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What differs from PostgreSQL's defaults. No checkpoint falls into a run: it would fall on one side only. The log has
/// only what a crash needs.
const SETTINGS: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=400",
    "shared_buffers=1GB",
    "effective_cache_size=8GB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=6GB",
    "checkpoint_timeout=1h",
    "maintenance_work_mem=256MB",
];

pub struct Postgres {
    process: Process,
    pub port: u16,
}

impl Postgres {
    /// `more` are further settings.
    pub fn start(folder: &Path, more: &[&str]) -> Result<Self> {
        let data = folder.join("postgres");
        fs::create_dir_all(&data)?;
        let owner = format!("{UNPRIVILEGED}:");
        let mut initdb = match is_root() {
            false => Command::new("initdb"),
            true => {
                let own = Command::new("chown").arg(&owner).arg(&data).status()?;
                if !own.success() {
                    return Err(format!("chown {owner} {} failed", data.display()).into());
                }
                let mut command = Command::new("setpriv");
                let user = [&format!("--reuid={UNPRIVILEGED}"), &format!("--regid={UNPRIVILEGED}")];
                command.args(user).args(["--init-groups", "--", "initdb"]);
                command
            }
        };
        initdb.args(["--no-sync", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D"]).arg(&data);
        let done = initdb.current_dir(&data).output()?;
        if !done.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        let port = free_port();
        let settings = SETTINGS.iter().chain(more).flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
        let mut program = Program::new("postgres", which("postgres")?, &data);
        // Its processes and shared memory are to go with it.
        (program.user, program.orphaned) = (Some(UNPRIVILEGED), "INT");
        let place = ["-D".to_owned(), data.display().to_string(), "-p".to_owned(), port.to_string()];
        let mut process = program.arguments(place.into_iter().chain(settings)).start()?;
        process.end = Signal::INT;
        let url = url(port, "postgres");
        process.until(|| PgConnection::establish(&url).is_ok())?;
        Ok(Self { process, port })
    }

    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    pub fn tree(&self) -> Tree {
        self.process.tree()
    }

    pub fn create(&self, database: &str) -> Result<()> {
        self.execute("postgres", &format!("CREATE DATABASE {database}"))
    }

    /// A copy of a database that nobody uses at the moment.
    pub fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.execute("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from}"))
    }

    /// So that none falls into what comes next, or on both sides alike.
    pub fn checkpoint(&self) -> Result<()> {
        self.execute("postgres", "CHECKPOINT")
    }

    pub fn execute(&self, database: &str, sql: &str) -> Result<()> {
        let mut conn = PgConnection::establish(&self.url(database))?;
        Ok(conn.batch_execute(sql).map_err(|e| format!("{e}: {sql}"))?)
    }

    /// The number that a query names `n`.
    pub fn number(&self, database: &str, sql: &str) -> Result<i64> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let mut conn = PgConnection::establish(&self.url(database))?;
        Ok(sql_query(sql).get_result::<Row>(&mut conn)?.n)
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}")
}

/// A program's full path: setpriv is started without our PATH, which `scripts/lib/servers.sh` has made longer.
pub fn which(name: &str) -> Result<String> {
    let found = Command::new("/bin/sh").args(["-c", "command -v \"$0\"", name]).output()?;
    let path = String::from_utf8(found.stdout)?;
    if path.trim().is_empty() { Err(format!("{name} is not on the PATH").into()) } else { Ok(path.trim().to_owned()) }
}
