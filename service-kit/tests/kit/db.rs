//! The door on both backends, with the database in good health.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use service_kit::db::{Db, DbConn, DbSettings, Migrations, OrCode, Prepared};
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use service_kit::{Code, Error, Result, on_backend};
use std::collections::HashMap;
use std::time::Duration;
use tempfile::TempDir;

diesel::table! {
    ledger (seq) { seq -> BigInt, key -> Text, }
}
diesel::table! {
    accounts (id) { id -> BigInt, balance -> BigInt, }
}

pub const MIGRATIONS: Migrations = Migrations {
    postgres: diesel_migrations::embed_migrations!("tests/migrations/postgres"),
    sqlite: diesel_migrations::embed_migrations!("tests/migrations/sqlite"),
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Postgres,
    Sqlite,
}

/// An empty database, removed when dropped.
pub struct Home {
    pub url: String,
    _file: Option<TempDir>,
    _database: Option<FreshDatabase>,
}

impl Home {
    pub fn new(backend: Backend) -> Self {
        match backend {
            Backend::Postgres => {
                let database = fresh_database();
                Self { url: database.url(), _file: None, _database: Some(database) }
            }
            Backend::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}/new/kith.db", folder.path().display());
                Self { url, _file: Some(folder), _database: None }
            }
        }
    }

    pub async fn open(&self) -> Db {
        self.open_with(|_| {}).await
    }

    pub async fn open_with(&self, tune: impl FnOnce(&mut DbSettings)) -> Db {
        let mut settings = DbSettings::new(&self.url);
        tune(&mut settings);
        Db::open(settings, MIGRATIONS).await.unwrap()
    }
}

/// Each test twice.
#[macro_export]
macro_rules! on_both {
    ($($name:ident)*) => { $(
        mod $name {
            use $crate::db::Backend;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() { super::$name(Backend::Postgres).await; }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() { super::$name(Backend::Sqlite).await; }
        }
    )* };
}

on_both! {
    what_was_answered_is_read
    an_error_rolls_back
    conflicts_have_their_code
    concurrent_writes_are_each_there_once
    a_panic_is_an_internal_error_and_leaves_nothing
    a_job_that_leaves_a_transaction_open_has_failed
    a_swallowed_error_is_never_a_false_success
    a_write_is_one_statement
    contended_transactions_all_succeed
}

pub fn insert(conn: &mut DbConn, key: &str) -> QueryResult<usize> {
    diesel::insert_into(ledger::table).values(ledger::key.eq(key)).execute(conn)
}

pub async fn write_key(db: &Db, key: String) -> Result<()> {
    db.write(move |conn| Ok(insert(conn, &key).map(drop)?)).await
}

pub async fn transact_key(db: &Db, key: String) -> Result<()> {
    db.transaction(move |conn| Ok(insert(conn, &key).map(drop)?)).await
}

/// Every key with the number of its rows.
pub async fn keys(db: &Db) -> HashMap<String, usize> {
    let rows: Vec<String> =
        db.read(|conn| Ok(ledger::table.select(ledger::key).order(ledger::seq).load(conn)?)).await.unwrap();
    let mut count = HashMap::new();
    for key in rows {
        *count.entry(key).or_default() += 1;
    }
    count
}

async fn what_was_answered_is_read(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open().await;
    db.ping().await.unwrap();
    for n in 0..50 {
        let key = n.to_string();
        if n % 2 == 0 { write_key(&db, key.clone()).await } else { transact_key(&db, key.clone()).await }.unwrap();
        let rows: i64 = db
            .read(move |conn| Ok(ledger::table.filter(ledger::key.eq(&key)).count().get_result(conn)?))
            .await
            .unwrap();
        assert_eq!(rows, 1);
    }
    assert_eq!(db.stats().done, 101);
    assert_eq!(db.stats().backend, if backend == Backend::Sqlite { "sqlite" } else { "postgres" });
}

async fn an_error_rolls_back(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open().await;
    let failed: Result<()> = db
        .transaction(|conn| {
            insert(conn, "lost")?;
            // A transaction inside is a savepoint.
            conn.transaction(|conn| insert(conn, "lost too"))?;
            Err(Code::NotRegistered.into())
        })
        .await;
    assert_eq!(failed.unwrap_err().code(), Code::NotRegistered);
    transact_key(&db, "kept".into()).await.unwrap();
    assert_eq!(keys(&db).await, HashMap::from([("kept".into(), 1)]));
}

async fn conflicts_have_their_code(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open().await;
    let open_account = async |or_nothing: bool| {
        db.write(move |conn| {
            let values = (accounts::id.eq(1), accounts::balance.eq(0));
            if or_nothing {
                let insert = diesel::insert_into(accounts::table).values(values);
                return Ok(on_backend!(conn, c => insert.on_conflict_do_nothing().execute(c))?);
            }
            diesel::insert_into(accounts::table).values(values).execute(conn).or_conflict(Code::AlreadyRegistered)
        })
        .await
    };
    assert_eq!(open_account(false).await.unwrap(), 1);
    assert_eq!(open_account(false).await.unwrap_err().code(), Code::AlreadyRegistered);
    assert_eq!(open_account(true).await.unwrap(), 0);
    let missing: Result<i64> = db.read(|conn| Ok(accounts::table.find(7).select(accounts::balance).first(conn)?)).await;
    let missing = missing.unwrap_err();
    assert_eq!(missing.code(), Code::Internal);
    assert!(matches!(missing.source_as(), Some(diesel::result::Error::NotFound)));
}

async fn concurrent_writes_are_each_there_once(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open().await;
    let callers = (0..8).map(|caller| {
        let db = db.clone();
        tokio::spawn(async move {
            for n in 0..40 {
                let key = format!("{caller}-{n}");
                if n % 2 == 0 { write_key(&db, key).await } else { transact_key(&db, key).await }.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let keys = keys(&db).await;
    assert_eq!(keys.len(), 320);
    assert!(keys.values().all(|&rows| rows == 1));
    assert_eq!(db.stats().grouped > 0, backend == Backend::Sqlite);
}

async fn a_panic_is_an_internal_error_and_leaves_nothing(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open_with(|s| s.threads = 1).await;
    let panics = |conn: &mut DbConn| -> Result<()> {
        insert(conn, "before the panic")?;
        conn.transaction(|_| -> QueryResult<()> { panic!("a test's own") })?;
        Ok(())
    };
    // Alone, and among others.
    let alone = db.transaction(panics).await.unwrap_err();
    assert_eq!(alone.code(), Code::Internal);
    assert!(alone.chain().contains("a test's own"), "{alone:?}");
    let fine = (0..20).map(|n| transact_key(&db, n.to_string())).collect::<Vec<_>>();
    let (fine, panicked) = tokio::join!(futures_util::future::join_all(fine), db.transaction(panics));
    assert_eq!(panicked.unwrap_err().code(), Code::Internal);
    for answer in fine {
        answer.unwrap();
    }
    let read: Result<()> = db.read(|_| panic!("a test's own")).await;
    assert_eq!(read.unwrap_err().code(), Code::Internal);
    let keys = keys(&db).await;
    assert_eq!((keys.len(), keys.values().sum::<usize>()), (20, 20));
}

async fn a_job_that_leaves_a_transaction_open_has_failed(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open_with(|s| s.threads = 1).await;
    use diesel::connection::TransactionManager;
    let leaves_open = |conn: &mut DbConn| {
        <DbConn as TransactionManager<DbConn>>::begin_transaction(conn)?;
        insert(conn, "open")?;
        Ok(())
    };
    assert_eq!(db.transaction(leaves_open).await.unwrap_err().code(), Code::Internal);
    assert_eq!(db.write(leaves_open).await.unwrap_err().code(), Code::Internal);
    assert_eq!(keys(&db).await.len(), 0);
    write_key(&db, "next".into()).await.unwrap();
    assert_eq!(keys(&db).await.len(), 1);
}

async fn a_swallowed_error_is_never_a_false_success(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open().await;
    let result = db
        .transaction(|conn| {
            insert(conn, "with an error")?;
            let _ = conn.batch_execute("INSERT INTO no_such_table VALUES (1)");
            Ok(())
        })
        .await;
    // SQLite goes on after an error, PostgreSQL cannot.
    assert_eq!(result.is_ok(), backend == Backend::Sqlite);
    assert_eq!(keys(&db).await.len(), usize::from(result.is_ok()));
    // One that a savepoint contained is no obstacle.
    db.transaction(|conn| {
        let _ = conn.transaction(|conn| conn.batch_execute("INSERT INTO no_such_table VALUES (1)"));
        Ok(insert(conn, "contained")?)
    })
    .await
    .unwrap();
    assert!(keys(&db).await.contains_key("contained"));
}

/// PostgreSQL tells what its connection keeps; Diesel alone would keep no UPDATE.
#[tokio::test]
async fn what_is_prepared_once_stays_so() {
    let home = Home::new(Backend::Postgres);
    let db = home.open_with(|settings| settings.threads = 1).await;
    let set = |id: i64, balance: i64| {
        db.write(move |conn| {
            let account = diesel::update(accounts::table.find(id)).set(accounts::balance.eq(balance));
            Ok(Prepared(account.returning(accounts::balance)).row::<i64, _>(conn)?)
        })
    };
    let insert = |conn: &mut DbConn| Ok(conn.batch_execute("INSERT INTO accounts VALUES (101, 0), (102, 0)")?);
    db.transaction(insert).await.unwrap();
    for (id, balance) in [(101, 1), (102, 2), (101, 3)] {
        assert_eq!(set(id, balance).await.unwrap(), Some(balance));
    }
    let kept = db.read(|conn| {
        #[derive(QueryableByName)]
        struct Kept {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        let sql = "SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE 'UPDATE%'";
        Ok(diesel::sql_query(sql).get_result::<Kept>(conn)?.n)
    });
    assert_eq!(kept.await.unwrap(), 1);
}

async fn a_write_is_one_statement(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open().await;
    let two = db
        .write(|conn| {
            insert(conn, "one")?;
            Ok(insert(conn, "two")?)
        })
        .await;
    match backend {
        Backend::Postgres => assert!(two.unwrap_err().chain().contains("must be a transaction")),
        // Where Diesel itself makes several statements of one, and they are a transaction anyway.
        Backend::Sqlite => assert_eq!(two.unwrap(), 1),
    }
    let read = db.read(|conn| Ok(insert(conn, "a read that writes")?)).await;
    assert_eq!(read.is_err(), backend == Backend::Sqlite);
}

/// Transfers between the same few accounts, which lock them in either order.
async fn contended_transactions_all_succeed(backend: Backend) {
    let home = Home::new(backend);
    // A server that tests share may take a second to notice each deadlock.
    let db = home.open_with(|s| s.wait = Duration::from_secs(20)).await;
    db.transaction(|conn| {
        for id in 0..2 {
            let values = (accounts::id.eq(id), accounts::balance.eq(1000));
            diesel::insert_into(accounts::table).values(values).execute(conn)?;
        }
        Ok(())
    })
    .await
    .unwrap();
    let callers: Vec<_> = (0..4i64)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    db.transaction(move |conn| {
                        let add = |conn: &mut DbConn, id: i64, amount: i64| {
                            let row = diesel::update(accounts::table.find(id));
                            row.set(accounts::balance.eq(accounts::balance + amount)).execute(conn)
                        };
                        add(conn, n % 2, -1)?;
                        std::thread::sleep(Duration::from_millis(5));
                        add(conn, 1 - n % 2, 1)?;
                        Ok(())
                    })
                    .await?;
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    let balances: Vec<i64> = db.read(|conn| Ok(accounts::table.select(accounts::balance).load(conn)?)).await.unwrap();
    assert_eq!(balances, [1000, 1000]);
    // Otherwise this shows nothing.
    assert_eq!(db.stats().retries > 0, backend == Backend::Postgres);
}
