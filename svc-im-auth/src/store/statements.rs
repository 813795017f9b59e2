//! What app servers ask most is kept prepared, on both databases: a statement that is not costs PostgreSQL's clients a
//! round trip more each time.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::MIGRATIONS;
use super::accounts::{AccountRow, Changes, insert_account, list_by_key, register_account};
use super::tokens::{TokenRow, insert_token, insert_token_of_registered};
use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::{Connection, PgConnection, SqliteConnection};
use diesel_migrations::MigrationHarness;
use service_kit::db::DbConn;
use service_kit::testkit::postgres::fresh_database;
use shared_models::internal::AccountKey;
use shared_models::{AppId, Stamp, Uid};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Statements sent, and how many of them were newly kept.
fn counted(conn: &mut DbConn, job: impl FnOnce(&mut DbConn)) -> (usize, usize) {
    let counter = Counter::default();
    conn.set_instrumentation(counter.clone());
    job(conn);
    conn.set_instrumentation(None::<Box<dyn Instrumentation>>);
    (counter.sent.load(Ordering::Relaxed), counter.kept.load(Ordering::Relaxed))
}

fn token(id: &str, uid: &str) -> TokenRow {
    let (id, uid) = (id.to_owned(), uid.to_owned());
    TokenRow { id, app_id: "kith".into(), uid, platform: 1, issued_at: 1, expires_at: 2, state: 0, text: None }
}

fn key(app: &str, uid: &str) -> AccountKey {
    AccountKey { app_id: AppId::new(app).unwrap(), uid: Uid::new(uid).unwrap() }
}

fn register(conn: &mut DbConn, uid: &str) {
    let row = AccountRow { name: uid.to_owned(), ..AccountRow::empty(&key("kith", uid), false, Stamp(1)) };
    let changes = Changes { implicit: Some(false), name: Some(uid.to_owned()), ..Changes::default() };
    assert!(register_account(conn, &row, &changes, Stamp(1)).unwrap().is_some());
    insert_token(conn, &token(&format!("first of {uid}"), uid)).unwrap();
}

fn on_both(test: impl Fn(DbConn)) {
    let folder = tempfile::tempdir().unwrap();
    let mut lite = SqliteConnection::establish(folder.path().join("i.db").to_str().unwrap()).unwrap();
    lite.run_pending_migrations(MIGRATIONS.sqlite).unwrap();
    let database = fresh_database();
    let mut pg = PgConnection::establish(&database.url()).unwrap();
    pg.run_pending_migrations(MIGRATIONS.postgres).unwrap();
    test(DbConn::Sqlite(lite));
    test(DbConn::Pg(pg));
}

#[test]
fn accounts_that_are_read_together_are_each_of_its_app() {
    on_both(|mut conn| {
        let keys = [("kith", "a"), ("other", "a"), ("kith", "b"), ("other", "c")].map(|(app, uid)| key(app, uid));
        for key in &keys {
            let row =
                AccountRow { name: format!("{}/{}", key.app_id, key.uid), ..AccountRow::empty(key, false, Stamp(1)) };
            assert!(insert_account(&mut conn, &row).unwrap());
        }
        let mut asked = keys.to_vec();
        asked.extend([("kith", "c"), ("other", "b"), ("third", "a")].map(|(app, uid)| key(app, uid)));
        let found: HashMap<_, _> = list_by_key(&mut conn, &asked).unwrap().into_iter().collect();
        assert_eq!(found.len(), keys.len());
        for key in keys {
            assert_eq!(found[&key].name, format!("{}/{}", key.app_id, key.uid));
        }
    });
}

#[test]
fn registering_and_asking_for_a_token_prepare_nothing_anew() {
    on_both(|mut conn| {
        assert_eq!(counted(&mut conn, |conn| register(conn, "a")), (2, 2), "all that is sent is kept");
        assert_eq!(counted(&mut conn, |conn| register(conn, "b")), (2, 0), "and sent again");
        let again = |conn: &mut DbConn| assert!(insert_token_of_registered(conn, &token("second", "a")).unwrap());
        assert_eq!(counted(&mut conn, again), (1, 1), "user_token");
    });
}
