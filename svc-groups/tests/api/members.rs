//! The counts that pages and limits live by.

use crate::helpers::{Backend, TestApp};
use crate::on_both;
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};
use shared_models::Stamp;
use std::rc::Rc;
use std::time::{Duration, Instant};

on_both! {
    parallel_joins_and_quits_of_one_user_leave_true_counts
    pages_are_the_list_wherever_members_left_gaps
    pages_are_the_list_while_members_come_and_go
    a_join_that_has_to_wait_for_a_dismissal_finds_no_group
    a_join_that_has_to_wait_for_the_last_place_finds_the_group_full
    a_join_that_has_to_wait_for_the_same_join_is_one_with_it
    whoever_is_a_member_and_whoever_finds_no_room_wait_for_nobody
    a_group_that_is_gone_has_no_list_while_its_members_are_swept_away
}

async fn parallel_joins_and_quits_of_one_user_leave_true_counts(backend: Backend) {
    let app = Rc::new(TestApp::start(backend).await);
    let id = app.create("admin").await;
    for call in ["group_join", "group_quit", "group_join"] {
        let tasks: Vec<_> = (0..30)
            .map(|_| {
                let app = app.clone();
                actix_web::rt::spawn(async move { app.on(id, call, "u").await["ret"] == "ok" })
            })
            .collect();
        let mut ok = 0;
        for task in tasks {
            ok += usize::from(task.await.unwrap());
        }
        assert_eq!(ok, if call == "group_quit" { 1 } else { 30 });
        app.is_consistent().await;
    }
    assert_eq!(app.members(id).await, ["admin", "u"]);
    Rc::into_inner(app).unwrap().stop().await;
}

/// Past the API: the places from 2 to `last` that are among `which` have members, and the counts say so.
async fn fill(app: &TestApp, backend: Backend, id: i64, last: usize, which: &str) {
    let numbers = TestApp::numbers(backend, last);
    for sql in [
        format!(
            "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT {id}, 'u' || n, n, 1 FROM {numbers} AS s \
             WHERE n > 1 AND {which}"
        ),
        format!("DELETE FROM membership_blocks WHERE group_id = {id}"),
        format!(
            "INSERT INTO membership_blocks SELECT {id}, place / 512, count(*) FROM memberships WHERE group_id = {id} \
             GROUP BY place / 512"
        ),
        format!(
            "UPDATE groups SET last_place = {last}, members = (SELECT count(*) FROM memberships WHERE group_id = {id}) \
             WHERE id = {id}"
        ),
    ] {
        app.execute(&sql).await;
    }
}

async fn pages_are_the_list_wherever_members_left_gaps(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.create("admin").await;
    // 12,000 places: of the first half every third and two whole blocks are empty, of the second half nearly all.
    fill(&app, backend, id, 12_000, "n % 3 > 0 AND n / 512 NOT IN (2, 3) AND (n < 6000 OR n % 100 = 1)").await;
    // Some leave and some come through the API.
    for n in [2, 511, 513, 2560, 2999] {
        app.on(id, "group_quit", &format!("u{n}")).await;
    }
    app.join(id, "late").await;
    app.is_consistent().await;
    let all = app.members(id).await;
    assert!(all.len() > 3_300 && all.last().unwrap() == "late");
    for size in [1, 7, 100, 600, 1000] {
        let pages = all.len().div_ceil(size);
        for page in [1, 2, pages / 3, pages / 2, pages - 1, pages, pages + 1].into_iter().filter(|p| *p > 0) {
            let expected = all.chunks(size).nth(page - 1).unwrap_or_default();
            assert_eq!(app.page(id, page, size).await, expected, "page {page} of {size}");
        }
    }
    app.stop().await;
}

async fn a_join_that_has_to_wait_for_a_dismissal_finds_no_group(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.create("admin").await;
    app.join(id, "early").await;
    // Still sees the group when it looks, and comes to joining when it is gone.
    let dismissal = format!("DELETE FROM groups WHERE id = {id}; INSERT INTO dismissed_groups (id) VALUES ({id})");
    assert_eq!(join_behind(&app, id, dismissal).await["reason"], "no such group");
    assert_eq!(app.number("SELECT count(*) AS n FROM memberships WHERE uid = 'u'").await, 0);
    app.stop().await;
}

async fn a_join_that_has_to_wait_for_the_last_place_finds_the_group_full(backend: Backend) {
    let app = TestApp::start_with(backend, |_, settings| settings.max_members = 2).await;
    let id = app.create("admin").await;
    // By another replica.
    let last = format!(
        "UPDATE groups SET members = 2, last_place = 2 WHERE id = {id}; \
         UPDATE membership_blocks SET members = 2 WHERE group_id = {id}; \
         INSERT INTO memberships (group_id, uid, place, joined_at) VALUES ({id}, 'first', 2, 1)"
    );
    assert_eq!(join_behind(&app, id, last).await["reason"], "the group is full");
    assert_eq!(app.members(id).await, ["admin", "first"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn a_join_that_has_to_wait_for_the_same_join_is_one_with_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.create("admin").await;
    // By another replica.
    let same = format!(
        "UPDATE groups SET members = 2, last_place = 2 WHERE id = {id}; \
         UPDATE membership_blocks SET members = 2 WHERE group_id = {id}; \
         INSERT INTO memberships (group_id, uid, place, joined_at) VALUES ({id}, 'u', 2, 1)"
    );
    assert_eq!(join_behind(&app, id, same).await, json!({"ret": "ok", "reason": ""}));
    assert_eq!(app.members(id).await, ["admin", "u"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn whoever_is_a_member_and_whoever_finds_no_room_wait_for_nobody(backend: Backend) {
    let app = TestApp::start_with(backend, |_, settings| settings.max_members = 3).await;
    let (open, full) = (app.create("admin").await, app.create("admin").await);
    for (id, uid) in [(open, "u"), (full, "u"), (full, "other")] {
        app.join(id, uid).await;
    }
    app.groups("late").await;
    // By another replica, which holds the groups.
    let db = app.db.clone();
    let held = actix_web::rt::spawn(async move {
        db.transaction(move |conn| {
            conn.batch_execute("UPDATE groups SET name = 'held'")?;
            std::thread::sleep(Duration::from_millis(1_500));
            Ok(())
        })
        .await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    assert_eq!(app.on(open, "group_join", "u").await, json!({"ret": "ok", "reason": ""}));
    assert_eq!(app.on(full, "group_join", "late").await["reason"], "the group is full");
    assert!(began.elapsed() < Duration::from_millis(1_000), "{:?}", began.elapsed());
    held.await.unwrap().unwrap();
    app.is_consistent().await;
    app.stop().await;
}

/// A join of `u` that begins while a transaction is open that did `sql` to the group, and ends after it.
async fn join_behind(app: &TestApp, id: i64, sql: String) -> Value {
    // Remembered by the credential check before.
    app.groups("u").await;
    let db = app.db.clone();
    let before = actix_web::rt::spawn(async move {
        db.transaction(move |conn| {
            conn.batch_execute(&sql)?;
            std::thread::sleep(Duration::from_millis(600));
            Ok(())
        })
        .await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = app.on(id, "group_join", "u").await;
    before.await.unwrap().unwrap();
    answer
}

async fn pages_are_the_list_while_members_come_and_go(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.create("admin").await;
    // Nobody has left so far: everybody stands at his number.
    fill(&app, backend, id, 1_800, "n > 0").await;
    app.is_consistent().await;
    let mut all = app.members(id).await;
    assert_eq!(all.len(), 1_800);
    // Each page is asked for again and again, before and after others, so that what is remembered of one change must
    // not be believed after the next.
    const SIZE: usize = 120;
    let are_right = async |all: &[String], pages: &[usize]| {
        for &page in pages {
            let expected = all.chunks(SIZE).nth(page - 1).unwrap_or_default();
            assert_eq!(app.page(id, page, SIZE).await, expected, "page {page}");
        }
    };
    are_right(&all, &[15, 6, 7, 5, 14, 16]).await;
    for step in 0..12 {
        if step % 3 == 2 {
            let late = format!("late{step}");
            app.join(id, &late).await;
            all.push(late);
        } else {
            // From anywhere, and the last one: the next one does not get his place.
            let at = [all.len() - 1, 3, 700, 1_100][step % 4];
            assert_eq!(app.on(id, "group_quit", &all.remove(at)).await["ret"], "ok");
        }
        // Twice: as it is found, and as it is remembered, also by the page before.
        are_right(&all, &[6, 7, 8, 15, 6, 8, 9, 14, 15, 16]).await;
    }
    assert_eq!(app.members(id).await, all);
    app.is_consistent().await;
    // Where two become one, one leaves.
    app.execute(&format!("UPDATE memberships SET joined_at = {} WHERE uid = '{}'", i64::MAX, all[20])).await;
    app.rekey("op", &all[10], &all[20], Stamp(i64::MAX - 1)).await;
    let kept = app.members(id).await;
    assert_eq!(kept.len(), all.len() - 1);
    are_right(&kept, &[6, 7, 8, 15]).await;
    app.is_consistent().await;
    app.stop().await;
}

async fn a_group_that_is_gone_has_no_list_while_its_members_are_swept_away(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.create("admin").await;
    app.join(id, "u").await;
    // Not written down as dismissed, so that nobody sweeps.
    app.execute(&format!("DELETE FROM groups WHERE id = {id}")).await;
    assert_eq!(app.number("SELECT count(*) AS n FROM memberships").await, 2);
    let nothing = json!({"ret": "failed", "reason": "no such group"});
    assert_eq!(app.on(id, "group_get_user_list", "somebody").await, nothing);
    for page in [1, 2, 3] {
        let path = format!("/im/{id}/group_get_user_list");
        assert_eq!(app.post(&path, "somebody", json!({"page": page, "size": 1})).await, nothing);
    }
    app.stop().await;
}
