//! Rows by key that many ask for at once.

use crate::db::{Backend, Home, accounts};
use crate::on_both;
use diesel::prelude::*;
use service_kit::Code;
use service_kit::db::{Db, DbConn, Gathered};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

on_both! {
    each_has_the_row_of_his_key
    nobody_is_answered_from_before_he_asked
    whoever_asked_first_may_leave
    a_read_that_fails_fails_for_those_who_waited_for_it
    no_more_may_wait_than_the_limit
}

fn find(conn: &mut DbConn, id: &i64) -> QueryResult<Option<i64>> {
    accounts::table.find(id).select(accounts::balance).first(conn).optional()
}

fn slow(conn: &mut DbConn, id: &i64) -> QueryResult<Option<i64>> {
    std::thread::sleep(Duration::from_millis(100));
    find(conn, id)
}

fn list(conn: &mut DbConn, ids: &[i64]) -> QueryResult<Vec<(i64, i64)>> {
    accounts::table.filter(accounts::id.eq_any(ids)).select((accounts::id, accounts::balance)).load(conn)
}

/// Accounts 0 to 99, each with ten times its number.
async fn filled(home: &Home) -> Db {
    // Some of these reads are slow on purpose.
    let db = home.open_with(|s| s.wait = Duration::from_secs(20)).await;
    db.transaction(|conn| {
        for id in 0..100 {
            let values = (accounts::id.eq(id), accounts::balance.eq(10 * id));
            diesel::insert_into(accounts::table).values(values).execute(conn)?;
        }
        Ok(())
    })
    .await
    .unwrap();
    db
}

async fn each_has_the_row_of_his_key(backend: Backend) {
    let home = Home::new(backend);
    let db = filled(&home).await;
    let rows = Gathered::new(db.clone(), find, list);
    let before = db.stats().done;
    let mut callers = JoinSet::new();
    for n in 0..400i64 {
        let (rows, id) = (rows.clone(), n % 125);
        callers.spawn(async move { assert_eq!(rows.get(id).await.unwrap(), (id < 100).then_some(10 * id), "{id}") });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    let reads = db.stats().done - before;
    assert!(reads < 100, "{reads} reads for 400 callers");
    // One after the other nobody waits for company.
    let before = db.stats().done;
    for id in 0..20 {
        assert_eq!(rows.get(id).await.unwrap(), Some(10 * id));
    }
    assert_eq!(db.stats().done - before, 20);
}

async fn nobody_is_answered_from_before_he_asked(backend: Backend) {
    let home = Home::new(backend);
    let db = filled(&home).await;
    let rows = Gathered::new(db.clone(), find, list);
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let mut crowd = JoinSet::new();
    for _ in 0..8 {
        let (rows, over) = (rows.clone(), over.clone());
        crowd.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                rows.get(7).await.unwrap();
            }
        });
    }
    for balance in 0..200 {
        db.write(move |conn| {
            Ok(diesel::update(accounts::table.find(7)).set(accounts::balance.eq(balance)).execute(conn)?)
        })
        .await
        .unwrap();
        assert_eq!(rows.get(7).await.unwrap(), Some(balance));
    }
    over.store(true, Ordering::Relaxed);
    while let Some(member) = crowd.join_next().await {
        member.unwrap();
    }
}

async fn whoever_asked_first_may_leave(backend: Backend) {
    let home = Home::new(backend);
    let db = filled(&home).await;
    let rows = Gathered::new(db, slow, list);
    let asking = |id: i64| {
        let rows = rows.clone();
        tokio::spawn(async move { rows.get(id).await.unwrap() })
    };
    let first: Vec<_> = (0..4).map(asking).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let others: Vec<_> = (10..20).map(asking).collect();
    first.iter().for_each(|caller| caller.abort());
    for (id, caller) in (10..).zip(others) {
        assert_eq!(caller.await.unwrap(), Some(10 * id));
    }
}

async fn a_read_that_fails_fails_for_those_who_waited_for_it(backend: Backend) {
    let home = Home::new(backend);
    let db = filled(&home).await;
    // One for each backend: tests run at the same time.
    static BROKEN: [AtomicBool; 2] = [AtomicBool::new(true), AtomicBool::new(true)];
    fn broken(conn: &mut DbConn, id: &i64) -> QueryResult<Option<i64>> {
        let is_broken = &BROKEN[usize::from(matches!(conn, DbConn::Pg(_)))];
        if is_broken.load(Ordering::Relaxed) { Err(diesel::result::Error::NotFound) } else { find(conn, id) }
    }
    let rows = Gathered::new(db, broken, |_, _| Err(diesel::result::Error::NotFound));
    let mut callers = JoinSet::new();
    for id in 0..20 {
        let rows = rows.clone();
        callers.spawn(async move { rows.get(id).await });
    }
    while let Some(caller) = callers.join_next().await {
        assert_eq!(caller.unwrap().unwrap_err().code(), Code::Internal);
    }
    BROKEN[usize::from(backend == Backend::Postgres)].store(false, Ordering::Relaxed);
    assert_eq!(rows.get(3).await.unwrap(), Some(30));
}

async fn no_more_may_wait_than_the_limit(backend: Backend) {
    let home = Home::new(backend);
    let db = filled(&home).await;
    let rows = Gathered::new(db, slow, list);
    // More than all workers together may hold.
    let mut callers = JoinSet::new();
    for _ in 0..20_000 {
        let rows = rows.clone();
        callers.spawn(async move { rows.get(1).await });
    }
    let mut refused = 0;
    while let Some(caller) = callers.join_next().await {
        match caller.unwrap() {
            Ok(row) => assert_eq!(row, Some(10)),
            Err(e) => {
                assert!(e.chain().contains("too many wait"), "{}", e.chain());
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}
