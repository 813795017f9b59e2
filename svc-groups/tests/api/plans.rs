//! That lists are read from indexes alone, on both databases; and that both have the same migrations.

use crate::helpers::{Backend, TestApp};
use crate::on_both;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use service_kit::db::DbConn;

on_both! {
    lists_are_read_from_indexes_alone
}

/// The statements of `store`, as Diesel writes them.
const STATEMENTS: [(&str, &str); 4] = [
    (
        "memberships_in_order",
        "SELECT place, uid FROM memberships WHERE group_id = 1 AND place >= 700 ORDER BY place LIMIT 20 OFFSET 300",
    ),
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
            }
        }
    }
    app.stop().await;
}

async fn fill(app: &TestApp, backend: Backend) {
    let rows = match backend {
        Backend::Postgres => "SELECT n FROM generate_series(1, 20000) AS t(n)",
        Backend::Sqlite => {
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 20000) SELECT n FROM t"
        }
    };
    let statements = [
        format!(
            "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT n % 4 + 1, 'u' || n, n / 4, 1 FROM ({rows}) AS s"
        ),
        "INSERT INTO membership_blocks SELECT group_id, place / 512, count(*) FROM memberships GROUP BY group_id, \
         place / 512"
            .to_owned(),
        // Others' blocks, so that reading the whole table is no plan.
        format!("INSERT INTO membership_blocks SELECT n + 10, 0, 9 FROM ({rows}) AS s"),
        format!(
            "INSERT INTO groups (name, owner, members, last_place, created_at) SELECT 'g', 'u' || n, 5000, 5000, 1 \
             FROM ({rows}) AS s"
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
