//! What the two planners make of the lists' queries, on an account with 5,000 friends and 50,000 requests among
//! others: the index that was made for it, and no sorting.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{friends, owners, pairs, requests};
use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Integer, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::MigrationHarness;
use service_kit::testkit::postgres::fresh_database;

#[derive(QueryId)]
struct Explain<Q>(Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("EXPLAIN ");
        self.0.walk_ast(out.reborrow())
    }
}

impl<Q: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("EXPLAIN QUERY PLAN ");
        self.0.walk_ast(out.reborrow())
    }
}

/// SQLite's columns; PostgreSQL has only the last.
struct Lite<Q>(Explain<Q>);

impl<Q> Query for Explain<Q> {
    type SqlType = Text;
}

impl<Q> RunQueryDsl<PgConnection> for Explain<Q> {}

impl<Q: QueryId> QueryId for Lite<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Lite<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }
}

impl<Q> Query for Lite<Q> {
    type SqlType = (Integer, Integer, Integer, Text);
}

impl<Q> RunQueryDsl<SqliteConnection> for Lite<Q> {}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

const FILL: &str = "
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO friends (owner, friend, stamp, active, remark, source)
SELECT CASE WHEN i <= 5000 THEN 'kith#hub' ELSE 'kith#u' || (i % 100) END, 'kith#f' || i, i, i % 3 > 0, '', '' FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)
INSERT INTO requests (owner, other, invited, stamp, message, source, done)
SELECT CASE WHEN i <= 50000 THEN 'kith#hub' ELSE 'kith#u' || (i % 100) END, 'kith#f' || i, true, i, '', '', false FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO owners (owner, friends_clock, requests_clock, friends, pending) SELECT 'kith#u' || i, 1, 1, 1, 1 FROM n;
ANALYZE;";

/// Each query with the index that is for it; `$explain` says how to ask.
macro_rules! all {
    ($explain:ident) => {{
        // Everything after a cursor, a delta of one and the whole list: by the index as well, whatever sorts them.
        let hub = "kith#hub";
        vec![
            ("friends_by_stamp", $explain!(friends::entries_after(hub, 4_999, 50_000))),
            ("friends_by_stamp", $explain!(friends::entries_after(hub, 0, 50_000))),
            ("friends_active_by_stamp", $explain!(friends::active_after(hub, 0, 50_000))),
        ]
    }};
}

macro_rules! plans {
    ($explain:ident) => {{
        let hub = "kith#hub";
        vec![
            ("friends_by_stamp", $explain!(friends::entries_after(hub, 2_500, 100))),
            ("friends_active_by_stamp", $explain!(friends::active_after(hub, 2_500, 100))),
            ("friends_active_by_stamp", $explain!(friends::active_after("kith#u7", 0, 20))),
            ("requests_by_stamp", $explain!(requests::entries_after(hub, 25_000, 100))),
            ("requests_by_stamp", $explain!(requests::entries_before(hub, 25_000, 100))),
            ("requests_by_stamp", $explain!(requests::entries_before(hub, i64::MAX, 20))),
        ]
    }};
}

#[test]
fn sqlite_reads_lists_off_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let mut c = SqliteConnection::establish(folder.path().join("f.db").to_str().unwrap()).unwrap();
    c.run_pending_migrations(super::SQLITE).unwrap();
    c.batch_execute(FILL).unwrap();
    macro_rules! explain {
        ($query:expr) => {{
            let plan: Vec<(i32, i32, i32, String)> = Lite(Explain($query)).load(&mut c).unwrap();
            plan.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("; ")
        }};
    }
    for (index, plan) in plans!(explain).into_iter().chain(all!(explain)) {
        let uses = plan.contains(&format!("INDEX {index} (owner=? AND stamp"));
        assert!(uses && plan.starts_with("SEARCH") && !plan.contains("TEMP B-TREE"), "{index}: {plan}");
    }
}

#[test]
fn postgresql_reads_lists_off_their_indexes() {
    let database = fresh_database();
    let mut c = PgConnection::establish(&database.url()).unwrap();
    c.run_pending_migrations(super::POSTGRES).unwrap();
    c.batch_execute(FILL).unwrap();
    macro_rules! explain {
        ($query:expr) => {{
            let query = $query;
            let known: Vec<String> = Explain(query.clone()).load(&mut c).unwrap();
            // As a statement that is kept prepared may be planned: without knowing its parameters.
            let sql = diesel::debug_query::<Pg, _>(&query).to_string();
            let sql = sql.split(" -- binds").next().unwrap();
            c.batch_execute(&format!("SET plan_cache_mode = force_generic_plan; PREPARE q AS {sql}")).unwrap();
            let unknown = diesel::sql_query("EXPLAIN EXECUTE q ('kith#hub', 2500, 100)");
            let unknown: Vec<Line> = unknown.load(&mut c).unwrap();
            c.batch_execute("RESET plan_cache_mode; DEALLOCATE q").unwrap();
            let unknown: Vec<String> = unknown.into_iter().map(|line| line.plan).collect();
            [known.join("; "), unknown.join("; ")]
        }};
    }
    for (index, plans) in plans!(explain) {
        for plan in plans {
            let scans = ["using", "Backward using"].iter().any(|how| plan.contains(&format!("{how} {index} on")));
            assert!(scans && !plan.contains("Seq Scan") && !plan.contains("Sort"), "{index}: {plan}");
        }
    }
    for (index, plans) in all!(explain) {
        for plan in plans {
            assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{index}: {plan}");
        }
    }
}

#[test]
fn pairs_are_found_by_key_on_both() {
    let keys: Vec<_> = (1..=1000).map(|n| ("kith#hub".to_owned(), format!("kith#f{n}"))).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut lite = SqliteConnection::establish(folder.path().join("f.db").to_str().unwrap()).unwrap();
    lite.run_pending_migrations(super::SQLITE).unwrap();
    let database = fresh_database();
    let mut pg = PgConnection::establish(&database.url()).unwrap();
    pg.run_pending_migrations(super::POSTGRES).unwrap();
    lite.batch_execute(FILL).unwrap();
    pg.batch_execute(FILL).unwrap();
    for mut conn in [service_kit::db::DbConn::Sqlite(lite), service_kit::db::DbConn::Pg(pg)] {
        let (mut rows, asked) = pairs::list_of_pairs(&mut conn, &keys).unwrap();
        assert_eq!((rows.len(), asked.len()), (1000, 1000));
        for (n, row) in (0..).zip(&mut rows) {
            (row.stamp, row.active, row.remark) = (1_000_000 + n, true, "it's \"quoted\" 张 \\".into());
        }
        friends::upsert_friends(&mut conn, &rows).unwrap();
        rows.sort_by(|a, b| a.friend.cmp(&b.friend));
        let (mut read, _) = pairs::list_of_pairs(&mut conn, &keys).unwrap();
        read.sort_by(|a, b| a.friend.cmp(&b.friend));
        assert_eq!(read, rows);
        let users: Vec<String> = (1..=1000).map(|n| format!("kith#u{n}")).collect();
        assert_eq!(owners::lock_owners(&mut conn, &users).unwrap().len(), 1000);
        let fresh: Vec<String> = (1..=2000).map(|n| format!("kith#new{n:04}")).collect();
        assert_eq!(owners::create_owners(&mut conn, &fresh).unwrap(), 2000);
        assert_eq!(owners::create_owners(&mut conn, &fresh).unwrap(), 0);
    }
}
