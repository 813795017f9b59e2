//! Where the door begins and ends: opening it, closing it, and more jobs than it takes.

use crate::db::{Backend, Home, MIGRATIONS, insert, keys, transact_key, write_key};
use crate::on_both;
use diesel::connection::SimpleConnection;
use service_kit::Code;
use service_kit::db::{Db, DbConn, DbSettings, Migrations, OpenError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

on_both! {
    a_full_queue_is_busy_at_once
    a_slow_job_is_busy_after_the_wait
    many_openers_migrate_once
    a_failing_migration_is_an_error_at_once
    a_newer_schema_is_fine
    closing_finishes_what_waits
}

async fn a_full_queue_is_busy_at_once(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open_with(|s| (s.threads, s.queue) = (1, 2)).await;
    db.ping().await.unwrap();
    let nap = |_: &mut DbConn| {
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    };
    let started = Arc::new(AtomicBool::new(false));
    let running = tokio::spawn({
        let (db, started) = (db.clone(), started.clone());
        async move {
            db.read(move |conn| {
                started.store(true, Ordering::Relaxed);
                nap(conn)
            })
            .await
        }
    });
    while !started.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let asked = Instant::now();
                (db.read(nap).await, asked.elapsed())
            })
        })
        .collect();
    let (mut fine, mut busy) = (0, 0);
    for caller in callers {
        match caller.await.unwrap() {
            (Ok(()), _) => fine += 1,
            (Err(e), took) => {
                assert_eq!(e.code(), Code::Busy);
                assert!(took < Duration::from_millis(100), "{took:?}");
                busy += 1;
            }
        }
    }
    running.await.unwrap().unwrap();
    assert_eq!((fine, busy), (2, 8));
    assert_eq!(db.stats().refused, 8);
}

async fn a_slow_job_is_busy_after_the_wait(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open_with(|s| (s.threads, s.wait) = (1, Duration::from_millis(300))).await;
    let runs = Arc::new(AtomicU32::new(0));
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (db, runs) = (db.clone(), runs.clone());
            tokio::spawn(async move {
                let asked = Instant::now();
                let result = db
                    .write(move |conn| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(700));
                        Ok(insert(conn, "slow")?)
                    })
                    .await;
                (result.unwrap_err().code(), asked.elapsed())
            })
        })
        .collect();
    for caller in callers {
        let (code, took) = caller.await.unwrap();
        assert_eq!(code, Code::Busy);
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
    db.close().await;
    // The jobs behind it had waited too long when their turn came.
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!((db.stats().timeouts, db.stats().expired), (3, 2));
}

async fn many_openers_migrate_once(backend: Backend) {
    // Whether they meet is a matter of luck.
    for _ in 0..4 {
        let home = Home::new(backend);
        let opened = futures_util::future::join_all((0..8).map(|_| home.open_with(|s| s.threads = 2))).await;
        for (n, db) in opened.iter().enumerate() {
            write_key(db, n.to_string()).await.unwrap();
        }
        assert_eq!(keys(&opened[0]).await.len(), 8);
    }
}

async fn a_failing_migration_is_an_error_at_once(backend: Backend) {
    const BROKEN: Migrations = Migrations {
        postgres: diesel_migrations::embed_migrations!("tests/migrations/broken"),
        sqlite: diesel_migrations::embed_migrations!("tests/migrations/broken"),
    };
    let home = Home::new(backend);
    let asked = Instant::now();
    let Err(e) = Db::open(DbSettings::new(&home.url), BROKEN).await else { panic!("opened") };
    assert!(matches!(&e, OpenError::Migration(why) if why.contains("TABEL")), "{e}");
    assert!(asked.elapsed() < Duration::from_secs(2));
}

async fn a_newer_schema_is_fine(backend: Backend) {
    let home = Home::new(backend);
    home.open()
        .await
        .write(|conn| {
            Ok(conn.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')")?)
        })
        .await
        .unwrap();
    write_key(&home.open().await, "old code".into()).await.unwrap();
}

async fn closing_finishes_what_waits(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open_with(|s| s.threads = 1).await;
    let callers: Vec<_> = (0..20)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { transact_key(&db, n.to_string()).await })
        })
        .collect();
    while db.stats().queued + db.stats().running + db.stats().done as usize == 0 {
        tokio::task::yield_now().await;
    }
    db.close().await;
    let mut done = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(()) => done += 1,
            Err(e) => assert_eq!(e.code(), Code::Unreachable),
        }
    }
    assert!(db.ping().await.is_err());
    let again = home.open().await;
    assert_eq!(keys(&again).await.len(), done);
}

#[tokio::test]
async fn urls_that_cannot_work_are_refused_at_once() {
    for url in ["mysql://h/d", "sqlite::memory:", "sqlite://", "postgres://h:not-a-port/d"] {
        let asked = Instant::now();
        let Err(e) = Db::open(DbSettings::new(url), MIGRATIONS).await else { panic!("{url} opened") };
        assert!(matches!(e, OpenError::Settings(_)), "{url}: {e}");
        assert!(asked.elapsed() < Duration::from_secs(1));
    }
}
