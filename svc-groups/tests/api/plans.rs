//! That what a call does costs the same in a group of any size: each statement is a search in an index, on both
//! databases, and lists are read from indexes alone. And that both have the same migrations.

use crate::helpers::{Backend, TestApp};
use crate::on_both;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use service_kit::db::DbConn;

on_both! {
    lists_are_read_from_indexes_alone
    info_join_and_quit_are_searches_by_key
    a_page_reads_the_same_number_of_rows_wherever_it_is
    due_lanes_are_found_by_their_kind
}

/// Of a group whose members have left two of their places.
const BY_BOOKMARK: &str = "SELECT place, uid, (SELECT name FROM groups WHERE id = 1 LIMIT 1) FROM memberships \
     WHERE group_id = 1 AND place >= (SELECT 4979 FROM groups WHERE id = 1 AND last_place - members = 2 LIMIT 1) \
     ORDER BY place LIMIT 20";

/// The statements of `store`, as Diesel writes them.
const STATEMENTS: [(&str, &str); 5] = [
    (
        "memberships_in_order",
        "SELECT place, uid FROM memberships WHERE group_id = 1 AND place >= 700 ORDER BY place LIMIT 20 OFFSET 300",
    ),
    // A bookmark is a bound of the search, so that one that does not hold ends it.
    ("memberships_in_order", BY_BOOKMARK),
    ("membership_blocks", "SELECT block, members FROM membership_blocks WHERE group_id = 1 ORDER BY block"),
    (
        "memberships_of_user",
        "SELECT m.id, g.id, g.name FROM memberships m INNER JOIN groups g ON g.id = m.group_id WHERE m.uid = 'u7' AND \
         m.id > 0 ORDER BY m.id LIMIT 1000",
    ),
    ("memberships", "SELECT 1 FROM memberships WHERE group_id = 1 AND uid = 'u7'"),
];

async fn lists_are_read_from_indexes_alone(backend: Backend) {
    let app = TestApp::start(backend).await;
    fill(&app, backend).await;
    for (index, statement) in STATEMENTS {
        let plan = explain(&app, statement).await;
        let text = plan.join("\n");
        match backend {
            Backend::Postgres => {
                assert!(
                    text.contains("Index") && text.contains(index) && !text.contains("Seq Scan on memberships"),
                    "{text}"
                );
                // A user's few groups may be sorted; a group's many members may not.
                if index == "memberships_in_order" {
                    assert!(text.contains("Index Only Scan") && !text.contains("Sort"), "{text}");
                }
            }
            Backend::Sqlite => {
                assert!(!text.contains("SCAN") && !text.contains("TEMP B-TREE"), "{text}");
                if index.starts_with("memberships_") {
                    assert!(text.contains(&format!("COVERING INDEX {index}")), "{text}");
                }
                if index == "memberships_in_order" {
                    assert!(text.contains("(group_id=? AND place>?)"), "{text}");
                }
            }
        }
    }
    app.stop().await;
}

/// What group_get_info, group_join and group_quit say, as Diesel writes it.
const BY_KEY: [&str; 9] = [
    "SELECT id, name, owner, members FROM groups WHERE id = 1",
    "SELECT EXISTS (SELECT 1 FROM memberships WHERE group_id = 1 AND uid = 'u7'), members FROM groups WHERE id = 1",
    "SELECT count(*) FROM (SELECT 1 FROM memberships WHERE uid = 'u7' LIMIT 5000) AS s",
    "SELECT count(*) FROM (SELECT 1 FROM memberships m INNER JOIN groups g ON g.id = m.group_id WHERE m.uid = 'u7' \
     LIMIT 5000) AS s",
    "UPDATE groups SET members = members + 1, last_place = last_place + 1 WHERE id = 1 AND members < 100000 \
     AND NOT EXISTS (SELECT id FROM memberships WHERE uid = 'u7' LIMIT 1 OFFSET 3999)",
    "UPDATE groups SET members = members - 1 WHERE id = 1 AND owner <> 'u7'",
    "DELETE FROM memberships WHERE group_id = 1 AND uid = 'u7'",
    "UPDATE membership_blocks SET members = members - 1 WHERE group_id = 1 AND block = 3",
    "DELETE FROM membership_blocks WHERE group_id = 1 AND block = 3",
];

/// What group_join says to PostgreSQL, all in one.
const JOIN: &str = "WITH taken AS (UPDATE groups SET members = members + 1, last_place = last_place + 1 WHERE id = 1 \
     AND members < 100000 AND NOT EXISTS (SELECT 1 FROM memberships WHERE group_id = 1 AND uid = 'u7') AND \
     NOT EXISTS (SELECT 1 FROM memberships WHERE uid = 'u7' OFFSET 3999 LIMIT 1) RETURNING id, last_place), joined AS (INSERT INTO memberships (group_id, uid, place, joined_at) \
     SELECT id, 'u7', last_place, 1 FROM taken RETURNING group_id, place) \
     INSERT INTO membership_blocks AS b (group_id, block, members) SELECT group_id, place / 512, 1 FROM joined \
     ON CONFLICT (group_id, block) DO UPDATE SET members = b.members + 1 RETURNING b.members";

async fn info_join_and_quit_are_searches_by_key(backend: Backend) {
    let app = TestApp::start(backend).await;
    fill(&app, backend).await;
    let join = (backend == Backend::Postgres).then_some(JOIN);
    for statement in BY_KEY.into_iter().chain(join) {
        let text = explain(&app, statement).await.join("\n");
        match backend {
            Backend::Postgres => assert!(text.contains("Index") && !text.contains("Seq Scan"), "{statement}\n{text}"),
            // "SCAN CONSTANT ROW" and the like read no table.
            Backend::Sqlite => assert!(
                text.contains("SEARCH")
                    && !["groups", "memberships", "m", "g"].iter().any(|t| text.contains(&format!("SCAN {t}"))),
                "{statement}\n{text}"
            ),
        }
    }
    app.stop().await;
}

/// PostgreSQL counts the rows that each step of a plan brought; SQLite's plan is the same (above).
async fn a_page_reads_the_same_number_of_rows_wherever_it_is(backend: Backend) {
    if backend == Backend::Sqlite {
        return;
    }
    let app = TestApp::start(backend).await;
    fill(&app, backend).await;
    // As `list_page` asks: the blocks before are passed over by their counts, so never more than a block is skipped.
    for (from, skip) in [(0, 0), (0, 511), (2560, 13), (4608, 371)] {
        let statement = format!(
            "SELECT place, uid, (SELECT name FROM groups WHERE id = 1 LIMIT 1) FROM memberships \
             WHERE group_id = 1 AND place >= {from} ORDER BY place LIMIT 20 OFFSET {skip}"
        );
        let plan = explain(&app, &format!("(ANALYZE, TIMING OFF) {statement}")).await.join("\n");
        let read = members_read(&plan).unwrap_or_else(|| panic!("{plan}"));
        assert!(read <= f64::from(20 + skip), "{read} rows read\n{plan}");
    }
    // From a bookmark: none is skipped, and where it does not hold none is read.
    for (gaps, rows) in [(0, 20.0), (2, 0.0)] {
        let statement = BY_BOOKMARK.replace("= 2 ", &format!("= {gaps} "));
        let plan = explain(&app, &format!("(ANALYZE, TIMING OFF) {statement}")).await.join("\n");
        assert_eq!(members_read(&plan), Some(rows), "{plan}");
    }
    app.stop().await;
}

/// How many rows a plan's search in the members brought.
fn members_read(plan: &str) -> Option<f64> {
    let scan = plan.lines().find(|l| l.contains("Index Only Scan using memberships_in_order"))?;
    // "(cost=… rows=… width=…) (actual rows=20.00 loops=1)": the last one is what was read.
    let actual = scan.rsplit_once("actual ")?.1;
    actual.strip_prefix("rows=")?.split([' ', ')']).next()?.parse().ok()
}

async fn due_lanes_are_found_by_their_kind(backend: Backend) {
    let app = TestApp::start(backend).await;
    // Another kind's backlog has been due for longer.
    let n = TestApp::numbers(backend, 20_000);
    app.execute(&format!("INSERT INTO outbox_lanes SELECT 'other', 'l' || n, 1, '', 0, '' FROM {n} AS s")).await;
    app.execute(&format!("INSERT INTO outbox_lanes SELECT 'mine', 'l' || n, 5, '', 0, '' FROM {n} AS s WHERE n < 100"))
        .await;
    if backend == Backend::Postgres {
        app.db.read(|conn| Ok(sql_query("VACUUM ANALYZE").execute(conn).map(drop)?)).await.unwrap();
    }
    let due =
        "SELECT lane, failures FROM outbox_lanes WHERE kind = 'mine' AND due_at <= 9 ORDER BY due_at, lane LIMIT 8";
    let text = explain(&app, due).await.join("\n");
    let is_sorted = text.contains("Sort") || text.contains("TEMP B-TREE");
    assert!(text.contains("outbox_lanes_next") && !is_sorted, "{text}");
    app.stop().await;
}

async fn fill(app: &TestApp, backend: Backend) {
    let rows = TestApp::numbers(backend, 20_000);
    let statements = [
        format!(
            "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT n % 4 + 1, 'u' || n, n / 4, 1 FROM {rows} AS s"
        ),
        "INSERT INTO membership_blocks SELECT group_id, place / 512, count(*) FROM memberships GROUP BY group_id, \
         place / 512"
            .to_owned(),
        // Others' blocks, so that reading the whole table is no plan.
        format!("INSERT INTO membership_blocks SELECT n + 10, 0, 9 FROM {rows} AS s"),
        format!(
            "INSERT INTO groups (name, owner, members, last_place, created_at) SELECT 'g', 'u' || n, 5000, 5000, 1 \
             FROM {rows} AS s"
        ),
    ];
    app.db
        .transaction(move |conn| {
            for statement in &statements {
                sql_query(statement).execute(conn)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    if backend == Backend::Postgres {
        // Not in a transaction, therefore as a "read".
        app.db.read(|conn| Ok(sql_query("VACUUM ANALYZE").execute(conn).map(drop)?)).await.unwrap();
    }
}

async fn explain(app: &TestApp, statement: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Pg {
        #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
        line: String,
    }
    #[derive(QueryableByName)]
    struct Lite {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    let statement = statement.to_owned();
    app.db
        .read(move |conn| {
            Ok(match conn {
                DbConn::Pg(c) => {
                    let lines = sql_query(format!("EXPLAIN {statement}")).load::<Pg>(c)?;
                    lines.into_iter().map(|l| l.line).collect()
                }
                DbConn::Sqlite(c) => {
                    let lines = sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load::<Lite>(c)?;
                    lines.into_iter().map(|l| l.detail).collect()
                }
            })
        })
        .await
        .unwrap()
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |folder: &str| {
        let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("postgres"), names("sqlite"));
}
