//! What changes and pages cost in statements, on both databases.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::ledger::{Ledger, Limits, Pair};
use super::lists::page;
use crate::store::{MIGRATIONS, friends, owners};
use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::{Connection, PgConnection, SqliteConnection};
use diesel_migrations::MigrationHarness;
use service_kit::db::DbConn;
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use shared_models::Stamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const LIMITS: Limits = Limits { max_friends: 5_000, max_pending: 50_000 };

/// Counts statements that are sent, and those that are kept prepared from now on.
#[derive(Clone, Default)]
struct Counter {
    sent: Arc<AtomicUsize>,
    kept: Arc<AtomicUsize>,
}

impl Instrumentation for Counter {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { .. } => drop(self.sent.fetch_add(1, Ordering::Relaxed)),
            InstrumentationEvent::CacheQuery { .. } => drop(self.kept.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

/// Statements of one change, its BEGIN and COMMIT apart, and how many of them were newly prepared for good.
fn statements(conn: &mut DbConn, pairs: &[Pair], change: impl Fn(&mut Ledger)) -> (usize, usize) {
    let users: Vec<String> = pairs.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    owners::create_owners(conn, &users).unwrap();
    let counter = Counter::default();
    conn.set_instrumentation(counter.clone());
    let mut ledger = Ledger::open(conn, pairs, LIMITS, Stamp(1)).unwrap();
    change(&mut ledger);
    assert!(ledger.save(conn).unwrap().is_empty());
    conn.set_instrumentation(None::<Box<dyn Instrumentation>>);
    (counter.sent.load(Ordering::Relaxed), counter.kept.load(Ordering::Relaxed))
}

fn befriend(ledger: &mut Ledger, pairs: &[Pair]) {
    for (a, b) in pairs {
        ledger.befriend(a, b, "").unwrap();
        ledger.befriend(b, a, "").unwrap();
        ledger.settle(a, b);
    }
}

fn both() -> (SqliteConnection, PgConnection, tempfile::TempDir, FreshDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let mut lite = SqliteConnection::establish(folder.path().join("f.db").to_str().unwrap()).unwrap();
    lite.run_pending_migrations(MIGRATIONS.sqlite).unwrap();
    let database = fresh_database();
    let mut pg = PgConnection::establish(&database.url()).unwrap();
    pg.run_pending_migrations(MIGRATIONS.postgres).unwrap();
    (lite, pg, folder, database)
}

#[test]
fn a_page_is_one_statement_whatever_the_length_of_the_list() {
    let (lite, pg, _folder, _database) = both();
    for mut conn in [DbConn::Pg(pg), DbConn::Sqlite(lite)] {
        for chunk in 0..3 {
            let friend = |n: i32| ("kith#hub".to_owned(), format!("kith#f{}", chunk * 1000 + n));
            let many: Vec<_> = (0..1000).map(friend).collect();
            statements(&mut conn, &many, |ledger| befriend(ledger, &many));
        }
        let counter = Counter::default();
        conn.set_instrumentation(counter.clone());
        let mut read = |cursor: Option<i64>, limit: i64| {
            let after = cursor.unwrap_or_default();
            let list = |conn: &mut DbConn| friends::list_friends(conn, "kith#hub", after, true, limit);
            let clock = |owner: &owners::OwnerRow| owner.friends_clock;
            let (rows, stamp) = page(&mut conn, "kith#hub", cursor.map(Stamp), list, |row| row.stamp, clock).unwrap();
            (rows.len(), stamp.0, counter.sent.swap(0, Ordering::Relaxed))
        };
        // Stamps are 1, 2, 3, …
        assert_eq!(read(None, 100), (100, 100, 1));
        assert_eq!(read(Some(100), 100), (100, 200, 1));
        assert_eq!(read(None, 50_000), (3000, 3000, 1));
        assert_eq!(read(Some(2_999), 100), (1, 3000, 1), "a delta of one");
        // Nothing new: the list's clock is looked at, too.
        assert_eq!(read(Some(3_000), 100), (0, 3000, 2));
    }
}

#[test]
fn a_change_is_a_few_statements_and_an_import_of_a_thousand_hardly_more() {
    let (lite, pg, _folder, _database) = both();
    let pair = |a: &str, b: String| (format!("kith#{a}"), format!("kith#{b}"));
    // SQLite locks nothing, but takes only 500 names at once.
    for (mut conn, imported) in [(DbConn::Pg(pg), 6), (DbConn::Sqlite(lite), 8)] {
        let one = [pair("a", "b".into())];
        let ask = |ledger: &mut Ledger| ledger.ask("kith#a", "kith#b", "", "").unwrap();
        let (sent, kept) = statements(&mut conn, &one, ask);
        assert_eq!(sent, 4, "addFriend");
        if matches!(conn, DbConn::Pg(_)) {
            assert_eq!(kept, 4, "what everybody sends is kept prepared");
        }
        assert_eq!(statements(&mut conn, &one, |ledger| befriend(ledger, &one)).0, 5, "friendAgree");
        let many: Vec<_> = (0..1000).map(|n| pair("hub", n.to_string())).collect();
        let (taken, _) = statements(&mut conn, &many, |ledger| befriend(ledger, &many));
        assert!(taken <= imported, "importFriends: {taken}");
    }
}
