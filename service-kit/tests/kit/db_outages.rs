//! The door on PostgreSQL, with a server that restarts, freezes, hangs up and deadlocks.

use crate::db::{MIGRATIONS, insert, keys, write_key};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use service_kit::db::{Db, DbSettings, OpenError};
use service_kit::testkit::postgres::{PostgresServer, fresh_database};
use service_kit::{Code, Result};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What callers may wait at most, with some slack for a busy machine.
const AT_MOST: Duration = Duration::from_millis(2600);

async fn open(url: &str) -> Db {
    Db::open(DbSettings::new(url), MIGRATIONS).await.unwrap()
}

/// Callers that write all the time, and what they were told.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
    log: Arc<Mutex<Vec<Answer>>>,
}

struct Answer {
    key: String,
    code: Option<Code>,
    at: Instant,
    took: Duration,
}

impl Load {
    fn start(db: &Db) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let log = Arc::new(Mutex::new(Vec::new()));
        let callers = (0..16)
            .map(|caller| {
                let (db, stop, log) = (db.clone(), stop.clone(), log.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let key = format!("{caller}-{n}");
                        let asked = Instant::now();
                        let result: Result<()> = match n % 3 {
                            0 => write_key(&db, key.clone()).await,
                            1 => {
                                let key = key.clone();
                                db.transaction(move |conn| Ok(insert(conn, &key).map(drop)?)).await
                            }
                            _ => db.ping().await,
                        };
                        let code = result.err().map(|e| e.code());
                        let key = if n % 3 == 2 { String::new() } else { key };
                        log.lock().unwrap().push(Answer { key, code, at: Instant::now(), took: asked.elapsed() });
                        // A thousand calls a second are load enough.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                })
            })
            .collect();
        Self { stop, callers, log }
    }

    /// Stops and checks: every call was answered in time and with a sensible code, what was answered well is there
    /// exactly once, nothing is there twice, and `healed_within` after `back` all is well.
    async fn check(self, db: &Db, back: Instant, healed_within: Duration) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        let slowest = log.iter().map(|a| a.took).max().unwrap();
        assert!(slowest < AT_MOST, "an answer took {slowest:?}");
        let failures: Vec<_> = log.iter().filter_map(|a| a.code).collect();
        assert!(!failures.is_empty(), "the outage was not felt: this shows nothing");
        assert!(failures.iter().all(|c| matches!(c, Code::Busy | Code::Unreachable)), "{failures:?}");
        let healed = log.iter().filter(|a| a.code.is_some()).map(|a| a.at).max().unwrap();
        let took = healed.saturating_duration_since(back);
        assert!(took < healed_within, "the last failure came {took:?} after the server was back");
        assert!(log.iter().filter(|a| a.at > back + healed_within).count() > 100, "no load after healing");

        let there = keys(db).await;
        assert!(there.values().all(|&rows| rows == 1), "committed twice");
        for answer in log.iter().filter(|a| a.code.is_none() && !a.key.is_empty()) {
            assert!(there.contains_key(&answer.key), "{} was answered and is lost", answer.key);
        }
        let asked: HashSet<_> = log.iter().map(|a| &a.key).collect();
        assert!(there.keys().all(|key| asked.contains(key)));
    }
}

async fn pause(seconds: f32) {
    tokio::time::sleep(Duration::from_secs_f32(seconds)).await;
}

/// Runs what blocks without stopping the load.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_costs_no_answered_write() {
    let mut server = aside(PostgresServer::start).await;
    let db = open(&server.create_database("kith")).await;
    let load = Load::start(&db);
    let mut back = Instant::now();
    for down in [0.1, 3.2] {
        pause(1.0).await;
        server = aside(move || {
            server.kill();
            std::thread::sleep(Duration::from_secs_f32(down));
            server.start_again();
            server
        })
        .await;
        back = Instant::now();
    }
    pause(2.5).await;
    load.check(&db, back, Duration::from_millis(1200)).await;
    assert!(db.stats().lost > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_keeps_nobody_waiting() {
    let server = aside(PostgresServer::start).await;
    let db = open(&server.create_database("kith")).await;
    let load = Load::start(&db);
    pause(1.0).await;
    server.pause();
    pause(5.5).await;
    server.resume();
    let back = Instant::now();
    pause(2.5).await;
    load.check(&db, back, Duration::from_millis(1200)).await;
}

/// While nobody called, the server went and came back: that costs no caller anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_connections_cost_no_failed_write() {
    let mut server = aside(PostgresServer::start).await;
    let db = open(&server.create_database("kith")).await;
    // Each thread has a connection, with the statement prepared.
    let all = || futures_util::future::join_all((0..64).map(|n| write_key(&db, n.to_string())));
    for answer in all().await {
        answer.unwrap();
    }
    for politely in [true, false] {
        server = aside(move || {
            if politely {
                server.stop()
            } else {
                server.kill()
            }
            server.start_again();
            server
        })
        .await;
        for answer in all().await {
            answer.unwrap();
        }
    }
    assert_eq!(keys(&db).await.values().sum::<usize>(), 3 * 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_are_answered_quickly() {
    let mut server = aside(PostgresServer::start).await;
    let db = open(&server.create_database("kith")).await;
    db.ping().await.unwrap();
    server.stop();
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(db.ping().await.unwrap_err().code(), Code::Unreachable);
        assert!(asked.elapsed() < Duration::from_millis(700), "{:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_waits_for_the_server() {
    let mut server = aside(PostgresServer::start).await;
    let url = server.create_database("kith");
    server.stop();
    let mut settings = DbSettings::new(&url);
    settings.patience = Duration::from_millis(500);
    let asked = Instant::now();
    let Err(e) = Db::open(settings, MIGRATIONS).await else { panic!("opened") };
    assert!(matches!(e, OpenError::Unreachable(_)), "{e}");
    assert!(asked.elapsed() < Duration::from_millis(1500));
    let opening = tokio::spawn(async move { open(&url).await });
    pause(0.5).await;
    server.start_again();
    write_key(&opening.await.unwrap(), "x".into()).await.unwrap();
}

fn hang_up(conn: &mut service_kit::db::DbConn) -> QueryResult<()> {
    conn.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")
}

/// Hangs up the first time it runs.
fn hang_up_once(runs: &AtomicU32, conn: &mut service_kit::db::DbConn) -> QueryResult<()> {
    if runs.fetch_add(1, Ordering::Relaxed) == 0 { hang_up(conn) } else { Ok(()) }
}

#[tokio::test]
async fn a_lost_connection_repeats_what_was_not_committed() {
    let database = fresh_database();
    let db = open(&database.url()).await;
    let runs = Arc::new(AtomicU32::new(0));

    let counted = runs.clone();
    db.read(move |conn| Ok(hang_up_once(&counted, conn)?)).await.unwrap();
    assert_eq!(runs.swap(0, Ordering::Relaxed), 2);

    let counted = runs.clone();
    db.transaction(move |conn| {
        insert(conn, "transaction")?;
        // The job's own error must not hide what happened.
        hang_up_once(&counted, conn).map_err(|e| service_kit::Error::from(Code::NotRegistered).because(e))
    })
    .await
    .unwrap();
    assert_eq!(runs.swap(0, Ordering::Relaxed), 2);

    let counted = runs.clone();
    let write = db.write(move |conn| Ok(hang_up_once(&counted, conn)?)).await;
    assert_eq!(write.unwrap_err().code(), Code::Unreachable);
    assert_eq!(runs.swap(0, Ordering::Relaxed), 1, "a write that was sent may have been done");

    // Hanging up every time: given up, not tried for ever.
    let always = db.read(|conn| Ok(hang_up(conn)?)).await;
    assert_eq!(always.unwrap_err().code(), Code::Unreachable);
    assert_eq!(keys(&db).await.values().sum::<usize>(), 1);
}

#[tokio::test]
async fn a_connection_lost_in_the_commit_repeats_nothing() {
    let database = fresh_database();
    let db = open(&database.url()).await;
    db.transaction(|conn| {
        Ok(conn.batch_execute(
            "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION hang_up()",
        )?)
    })
    .await
    .unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let lost = db
        .transaction(move |conn| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(insert(conn, "in the commit")?)
        })
        .await;
    assert_eq!(lost.unwrap_err().code(), Code::Unreachable);
    assert_eq!(runs.load(Ordering::Relaxed), 1, "it may have been committed");
}

#[tokio::test]
async fn a_slow_statement_frees_its_thread() {
    let database = fresh_database();
    let mut settings = DbSettings::new(database.url());
    (settings.threads, settings.wait) = (1, Duration::from_millis(300));
    let db = Db::open(settings, MIGRATIONS).await.unwrap();
    db.ping().await.unwrap();
    let slow = db.read(|conn| Ok(conn.batch_execute("SELECT pg_sleep(30)")?)).await;
    assert_eq!(slow.unwrap_err().code(), Code::Busy);
    // The server stops it a second after the caller has gone.
    pause(1.2).await;
    db.ping().await.unwrap();
}

#[tokio::test]
async fn a_changed_schema_under_prepared_statements_is_not_felt() {
    let database = fresh_database();
    let mut settings = DbSettings::new(database.url());
    settings.threads = 1;
    let db = Db::open(settings, MIGRATIONS).await.unwrap();
    write_key(&db, "x".into()).await.unwrap();
    assert_eq!(keys(&db).await.len(), 1);
    let other = PgConnection::establish(&database.url());
    other.unwrap().batch_execute("ALTER TABLE ledger ALTER COLUMN key TYPE VARCHAR(100)").unwrap();
    assert_eq!(keys(&db).await.len(), 1);
    assert_eq!(db.stats().retries, 1);
}
