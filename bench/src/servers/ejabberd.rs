//! ejabberd with what the compared jobs need and nothing else, asked through `mod_http_api`. Erlang's own program
//! starts it, not `ejabberdctl`: so there is no cluster name to clash over, no `epmd` that stays behind, and Debian's
//! service is left alone.

use super::{Postgres, Process, Program, free_port, get, local, postgres::which};
use crate::Result;
use crate::cost::Tree;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

const SCHEMA: &str = "/usr/share/ejabberd/sql/pg.sql";
/// Where Erlang looks for modules by itself.
const ERLANG: &str = "/usr/lib/erlang/lib";
/// Debian's script knows where its modules are.
const SCRIPT: &str = "/usr/sbin/ejabberdctl";

pub struct Ejabberd {
    process: Process,
    pub address: SocketAddr,
}

impl Ejabberd {
    pub fn is_installed() -> bool {
        which("erl").is_ok() && libraries().is_ok()
    }

    /// Its client of PostgreSQL is a package of its own.
    pub fn speaks_sql() -> bool {
        let has = |folder: String| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("p1_pgsql"))
        };
        Path::new(SCHEMA).exists() && (has(ERLANG.to_owned()) || libraries().is_ok_and(has))
    }

    /// On Mnesia, or on a database of its own of that server.
    pub fn start(folder: &Path, name: &str, database: Option<&Postgres>) -> Result<Self> {
        let folder = folder.join(name);
        let spool = folder.join("spool");
        fs::create_dir_all(&spool)?;
        let port = free_port();
        let mut configuration = format!(
            "hosts: [localhost]
loglevel: error
listen:
  -
    port: {port}
    ip: \"127.0.0.1\"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
api_permissions:
  bench:
    who:
      ip: 127.0.0.1/8
    what: \"*\"
auth_password_format: plain
modules:
  mod_admin_extra: {{}}
  mod_http_api: {{}}
  mod_last: {{}}
  mod_muc:
    default_room_options:
      persistent: true
      allow_subscription: true
  mod_muc_admin: {{}}
  mod_roster: {{}}
"
        );
        if let Some(postgres) = database {
            postgres.create(name)?;
            postgres.execute(name, &fs::read_to_string(SCHEMA)?)?;
            write!(
                configuration,
                "default_db: sql
auth_method: sql
sql_type: pgsql
sql_server: \"127.0.0.1\"
sql_port: {}
sql_database: \"{name}\"
sql_username: \"postgres\"
sql_password: \"\"
",
                postgres.port
            )?;
        }
        let file = folder.join("ejabberd.yml");
        fs::write(&file, configuration)?;
        let spool = format!("\"{}\"", spool.display());
        let program = Program::new(name, which("erl")?, &folder)
            .arguments(["-noinput", "+K", "true", "+P", "250000", "-mnesia", "dir", &spool, "-s", "ejabberd"])
            .environment(&[
                ("HOME", folder.display().to_string()),
                ("ERL_LIBS", libraries()?),
                ("ERL_MAX_PORTS", "32000".to_owned()),
                ("ERL_CRASH_DUMP_BYTES", "0".to_owned()),
                ("EJABBERD_CONFIG_PATH", file.display().to_string()),
                ("EJABBERD_LOG_PATH", folder.join("ejabberd.log").display().to_string()),
            ]);
        let mut process = program.start()?;
        process.until(|| get(local(port), "/api/status").is_some())?;
        Ok(Self { process, address: local(port) })
    }

    pub fn tree(&self) -> Tree {
        self.process.tree()
    }
}

fn libraries() -> Result<String> {
    let script = fs::read_to_string(SCRIPT)?;
    let line = script.lines().find_map(|line| line.strip_prefix("ERL_LIBS="));
    Ok(line.ok_or("ejabberdctl names no ERL_LIBS")?.trim_matches(['\'', '"']).to_owned())
}
