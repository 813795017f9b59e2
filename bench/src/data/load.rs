//! Filling databases.

use super::{PASSWORD, Set, sql};
use crate::Result;
use crate::calls;
use crate::plan::Plan;
use crate::servers::{Kith, Postgres, Redis, STORING, Service, Services};
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use std::path::Path;

/// Makes the databases of a set on PostgreSQL; the services that use them are not running afterwards.
pub fn postgres(plan: &Plan, name: &str, set: Set, postgres: &Postgres, redis: &Redis) -> Result<()> {
    for service in STORING {
        postgres.create(&service.database(name))?;
    }
    // They make their tables when they start.
    let services = Services::start(plan, name, &STORING, postgres, redis)?;
    let hash = if set.with_password {
        let account = calls::registration("hash", Some(PASSWORD));
        calls::to(services.address(Service::ImAuth)?, account).once()?;
        let database = Service::ImAuth.database(name);
        let sql = "SELECT password_hash AS text FROM accounts WHERE uid = 'hash'";
        let mut conn = diesel::PgConnection::establish(&postgres.url(&database))?;
        Some(sql_query(sql).get_result::<Cell>(&mut conn)?.text)
    } else {
        None
    };
    drop(services);
    for service in STORING {
        let database = service.database(name);
        for statement in statements(service, set, hash.as_deref()) {
            postgres.execute(
                &database,
                &with_series(&statement, |n, name| format!("generate_series(1, {n}) AS {name}(i)")),
            )?;
        }
        if service == Service::Groups {
            postgres.execute(&database, "SELECT setval('groups_id_seq', (SELECT max(id) FROM groups))")?;
        }
        postgres.execute(&database, "VACUUM (ANALYZE)")?;
    }
    postgres.checkpoint()
}

/// Makes the databases of `kith` in a folder.
pub fn sqlite(plan: &Plan, data: &Path, set: Set) -> Result<()> {
    let kith = Kith::start(plan, data)?;
    if set.with_password {
        calls::to(kith.address, calls::registration("hash", Some(PASSWORD))).once()?;
    }
    drop(kith);
    let open = |service: Service| -> Result<SqliteConnection> {
        let file = data.join(format!("{}.db", service.database("x").trim_start_matches("x_")));
        if !file.exists() {
            return Err(format!("kith has made no {}", file.display()).into());
        }
        Ok(SqliteConnection::establish(&file.display().to_string())?)
    };
    let hash = if set.with_password {
        let sql = "SELECT password_hash AS text FROM accounts WHERE uid = 'hash'";
        Some(sql_query(sql).get_result::<Cell>(&mut open(Service::ImAuth)?)?.text)
    } else {
        None
    };
    for service in STORING {
        let mut conn = open(service)?;
        conn.batch_execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; BEGIN")?;
        for statement in statements(service, set, hash.as_deref()) {
            let series = |n: u64, name: &str| {
                format!(
                    "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) \
                     SELECT i FROM n) AS {name}"
                )
            };
            conn.batch_execute(&with_series(&statement, series)).map_err(|e| format!("{e}: {statement}"))?;
        }
        conn.batch_execute("COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Cell {
    #[diesel(sql_type = Text)]
    text: String,
}

fn statements(service: Service, set: Set, hash: Option<&str>) -> Vec<String> {
    match service {
        Service::ImAuth => sql::accounts(set, hash),
        Service::Groups => sql::groups(set),
        Service::Friends => sql::friends(set),
        Service::Gateway => Vec::new(),
    }
}

/// Replaces `{series:N}` and `{series:N:name}`.
fn with_series(statement: &str, series: impl Fn(u64, &str) -> String) -> String {
    let mut parts = statement.split("{series:");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once('}').unwrap_or((part, ""));
        let (number, name) = inside.split_once(':').unwrap_or((inside, "s"));
        whole.push_str(&series(number.parse().unwrap_or_default(), name));
        whole.push_str(rest);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_put_in() {
        let series = |n: u64, name: &str| format!("<{n} {name}>");
        assert_eq!(with_series("a {series:3} b {series:4:t} c", series), "a <3 s> b <4 t> c");
    }
}
