//! The door on SQLite: groups in one commit, one file between several doors, `kill -9`.

use crate::db::{Backend, Home, MIGRATIONS, insert, keys, ledger, transact_key, write_key};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use service_kit::Code;
use service_kit::db::{Db, DbConn, DbSettings};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Returns while SQLite's writer is at work, so that what is sent now waits and becomes one group.
async fn hold_writer(db: &Db) {
    let held = Arc::new(AtomicBool::new(false));
    let (holder, tell) = (db.clone(), held.clone());
    tokio::spawn(async move {
        holder
            .transaction(move |_| {
                tell.store(true, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
                Ok(())
            })
            .await
    });
    while !held.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn one_failing_job_of_a_group_rolls_back_only_itself() {
    let home = Home::new(Backend::Sqlite);
    let db = home.open().await;
    let jobs = (0..40).map(|n| {
        db.transaction(move |conn| {
            insert(conn, &n.to_string())?;
            if n == 7 { Err(Code::NotRegistered.into()) } else { Ok(()) }
        })
    });
    hold_writer(&db).await;
    let answers = futures_util::future::join_all(jobs).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), n == 7);
    }
    assert_eq!(db.stats().grouped, 40);
    let rows: Vec<String> =
        db.read(|conn| Ok(ledger::table.select(ledger::key).order(ledger::seq).load(conn)?)).await.unwrap();
    let expected: Vec<String> = (0..40).filter(|n| *n != 7).map(|n| n.to_string()).collect();
    assert_eq!(rows, expected, "in the order in which they were sent");
}

/// A deferred constraint fails no earlier than at the COMMIT, which is everybody's.
#[tokio::test]
async fn one_job_that_makes_a_group_uncommittable_fails_alone() {
    let home = Home::new(Backend::Sqlite);
    let db = home.open().await;
    let jobs = (0..10).map(|n| {
        db.transaction(move |conn| {
            if n == 3 {
                conn.batch_execute("INSERT INTO debts VALUES (99)")?;
            }
            Ok(insert(conn, &n.to_string()).map(drop)?)
        })
    });
    hold_writer(&db).await;
    let answers = futures_util::future::join_all(jobs).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), n == 3, "{n}: {answer:?}");
    }
    let keys = keys(&db).await;
    assert_eq!((keys.len(), keys.values().sum::<usize>()), (9, 9));
}

/// Jobs of a group are not visible, and not answered, before all of it is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_before_the_commit() {
    let home = Home::new(Backend::Sqlite);
    let db = home.open().await;
    let early = {
        let db = db.clone();
        async move {
            transact_key(&db, "early".into()).await.unwrap();
            Instant::now()
        }
    };
    let late = {
        let db = db.clone();
        async move {
            db.transaction(|conn| {
                std::thread::sleep(Duration::from_millis(100));
                Ok((insert(conn, "late")?, Instant::now()))
            })
            .await
            .unwrap()
            .1
        }
    };
    hold_writer(&db).await;
    let (early, late) = tokio::join!(early, late);
    assert_eq!(db.stats().grouped, 2);
    assert!(early > late, "answered before the commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_doors_to_one_file_take_turns() {
    let home = Home::new(Backend::Sqlite);
    let doors = [home.open().await, home.open().await];
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let db = doors[caller % 2].clone();
            tokio::spawn(async move {
                for n in 0..30 {
                    let key = format!("{caller}-{n}");
                    // Reads before it writes: with a plain BEGIN it could then not wait for the other door's lock.
                    let insert_new = move |conn: &mut DbConn| {
                        let rows: i64 = ledger::table.filter(ledger::key.eq(&key)).count().get_result(conn)?;
                        assert_eq!(rows, 0);
                        Ok(insert(conn, &key).map(drop)?)
                    };
                    db.transaction(insert_new).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(doors[0].stats().retries + doors[1].stats().retries, 0);
    let keys = keys(&doors[0]).await;
    assert_eq!((keys.len(), keys.values().sum::<usize>()), (240, 240));
}

#[tokio::test]
async fn a_new_file_is_private() {
    let home = Home::new(Backend::Sqlite);
    let db = home.open().await;
    write_key(&db, "x".into()).await.unwrap();
    let path = home.url.strip_prefix("sqlite://").unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mode = std::fs::metadata(format!("{path}{suffix}")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}

const CHILD: &str = "KITH_TEST_CHILD_DATABASE";

/// Not a test: what the next one runs in a process of its own, and kills.
#[tokio::test]
#[ignore = "run by what_was_answered_survives_kill_9"]
#[expect(clippy::disallowed_methods, reason = "how a test speaks to its own process")]
async fn child_writes_until_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let db = Db::open(DbSettings::new(url), MIGRATIONS).await.unwrap();
    let write = async |caller: u32| {
        for n in 0.. {
            write_key(&db, format!("{caller}-{n}")).await.unwrap();
            writeln!(std::io::stdout(), "\nanswered {caller}-{n}").unwrap();
        }
    };
    futures_util::future::join_all((0..16).map(write)).await;
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let home = Home::new(Backend::Sqlite);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "db_sqlite::child_writes_until_killed", "--ignored", "--nocapture"])
        .env(CHILD, &home.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answered = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        answered.extend(line.strip_prefix("answered ").map(str::to_owned));
        if answered.len() == 300 {
            // What it had still answered is in the pipe.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(answered.len() >= 300, "{}", answered.len());
    let keys = keys(&home.open().await).await;
    for key in &answered {
        assert_eq!(keys.get(key), Some(&1), "{key} was answered");
    }
}
