//! Memberships follow a terminal user who changed his key (contract §1, `tu_rk_replace_from_tn`).

use crate::helpers::{Backend, TestApp, moment, now};
use crate::on_both;
use serde_json::json;

use std::rc::Rc;

on_both! {
    memberships_move_with_place_date_and_ownership
    older_memberships_of_the_new_one_are_deleted_except_groups_it_owns
    nothing_happens_if_the_old_one_is_in_no_group
    delivered_twice_it_is_done_once
    delivered_late_it_keeps_newer_joins
    both_in_one_group_are_one_member_afterwards
    a_chain_of_replacements_ends_at_the_last
    racing_joins_quits_and_repeated_deliveries_leave_one_truth
    only_services_may_call_it
}

async fn memberships_move_with_place_date_and_ownership(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (owned, joined, other) = (app.create("admin-old").await, app.create("admin").await, app.create("admin").await);
    app.join(owned, "x").await;
    for uid in ["a", "admin-old", "b"] {
        app.join(joined, uid).await;
    }
    app.join(other, "a").await;
    moment().await;
    app.rekey("op", "admin-old", "new", now()).await;
    assert_eq!(app.members(joined).await, ["admin", "a", "new", "b"]);
    assert_eq!(app.members(owned).await, ["new", "x"]);
    assert_eq!(app.groups("new").await, [owned, joined]);
    assert!(app.groups("admin-old").await.is_empty());
    // Ownership included.
    assert_eq!(app.on(owned, "group_quit", "new").await["reason"], "the owner cannot quit the group, only dismiss it");
    assert_eq!(app.on(owned, "group_dismiss", "new").await["ret"], "ok");
    app.is_consistent().await;
    app.stop().await;
}

async fn older_memberships_of_the_new_one_are_deleted_except_groups_it_owns(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (owned, before, after) = (app.create("admin-new").await, app.create("admin").await, app.create("admin").await);
    let of_old = app.create("admin").await;
    app.join(before, "admin-new").await;
    app.join(of_old, "old").await;
    moment().await;
    let replaced = now();
    moment().await;
    app.join(after, "admin-new").await;
    app.rekey("op", "old", "admin-new", replaced).await;
    assert_eq!(app.members(before).await, ["admin"]);
    assert_eq!(app.members(after).await, ["admin", "admin-new"]);
    assert_eq!(app.members(owned).await, ["admin-new"]);
    assert_eq!(app.members(of_old).await, ["admin", "admin-new"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn nothing_happens_if_the_old_one_is_in_no_group(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.create("admin").await;
    app.join(id, "new").await;
    moment().await;
    app.rekey("op", "old", "new", now()).await;
    assert_eq!(app.members(id).await, ["admin", "new"]);
    // Nor when the two are one.
    app.rekey("other", "new", "new", now()).await;
    assert_eq!(app.members(id).await, ["admin", "new"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn delivered_twice_it_is_done_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (first, second) = (app.create("admin").await, app.create("admin").await);
    app.join(first, "old").await;
    moment().await;
    let replaced = now();
    app.rekey("op", "old", "new", replaced).await;
    assert_eq!(app.members(first).await, ["admin", "new"]);
    // Somebody uses the old key again, and the operation is delivered again.
    app.join(second, "old").await;
    app.join(first, "old").await;
    for _ in 0..3 {
        app.rekey("op", "old", "new", replaced).await;
    }
    assert_eq!(app.members(first).await, ["admin", "new", "old"]);
    assert_eq!(app.members(second).await, ["admin", "old"]);
    // One that had nothing to do is done, too.
    app.rekey("empty", "nobody", "new", replaced).await;
    app.join(second, "nobody").await;
    app.rekey("empty", "nobody", "new", replaced).await;
    assert_eq!(app.members(second).await, ["admin", "old", "nobody"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn delivered_late_it_keeps_newer_joins(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (older, newer, both) = (app.create("admin").await, app.create("admin").await, app.create("admin").await);
    app.join(older, "new").await;
    app.join(both, "old").await;
    moment().await;
    let replaced = now();
    moment().await;
    app.join(newer, "new").await;
    app.join(both, "new").await;
    app.rekey("op", "old", "new", replaced).await;
    assert_eq!(app.groups("new").await, [newer, both]);
    assert_eq!(app.members(both).await, ["admin", "new"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn both_in_one_group_are_one_member_afterwards(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (plain, of_new, of_old) =
        (app.create("admin").await, app.create("admin-new").await, app.create("admin-old").await);
    for uid in ["admin-new", "x", "admin-old"] {
        app.join(plain, uid).await;
    }
    app.join(of_new, "admin-old").await;
    app.join(of_old, "admin-new").await;
    moment().await;
    app.rekey("op", "admin-old", "admin-new", now()).await;
    // The old one's place: the new one's own membership was older than the replacement and is gone.
    assert_eq!(app.members(plain).await, ["admin", "x", "admin-new"]);
    assert_eq!(app.members(of_new).await, ["admin-new"]);
    assert_eq!(app.members(of_old).await, ["admin-new"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn a_chain_of_replacements_ends_at_the_last(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.create("admin-1").await;
    for n in 1..5 {
        moment().await;
        app.rekey(&format!("op{n}"), &format!("admin-{n}"), &format!("admin-{}", n + 1), now()).await;
    }
    assert_eq!(app.members(id).await, ["admin-5"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn racing_joins_quits_and_repeated_deliveries_leave_one_truth(backend: Backend) {
    let app = Rc::new(TestApp::start(backend).await);
    for round in 0..4 {
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        let mut ids = Vec::new();
        for _ in 0..6 {
            ids.push(app.create("admin").await);
        }
        // In the first three groups is the old one, in all but the last the new one, since before the replacement.
        for &id in &ids[..3] {
            app.join(id, &old).await;
        }
        for &id in &ids[..5] {
            app.join(id, &new).await;
        }
        moment().await;
        let replaced = now();
        moment().await;
        let mut tasks = Vec::new();
        for n in 0..4 {
            let (app, old, new) = (app.clone(), old.clone(), new.clone());
            tasks.push(actix_web::rt::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(2 * n)).await;
                app.rekey(&format!("op{round}"), &old, &new, replaced).await;
            }));
        }
        for (n, id) in ids.clone().into_iter().enumerate() {
            let (app, new) = (app.clone(), new.clone());
            tasks.push(actix_web::rt::spawn(async move {
                for other in ["x", "y"] {
                    app.join(id, other).await;
                }
                app.join(id, &new).await;
                if n % 2 == 0 {
                    app.on(id, "group_quit", "x").await;
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        for (n, &id) in ids.iter().enumerate() {
            let members = app.members(id).await;
            let is_in = |uid: &str| members.iter().filter(|m| *m == uid).count();
            assert_eq!(is_in(&old), 0);
            assert_eq!(is_in("x"), n % 2);
            assert_eq!(is_in("y"), 1);
            // A join that was answered before the operation came to the group was as old as the others; one after
            // it is kept. Where the old one was, the new one is in any case.
            assert!(is_in(&new) == 1 || (n >= 3 && is_in(&new) == 0), "{n}: {members:?}");
        }
        // The sixth was joined only after the replacement.
        assert!(app.members(ids[5]).await.contains(&new));
        app.is_consistent().await;
    }
    Rc::into_inner(app).unwrap().stop().await;
}

/// A join that holds the group and has not committed when the operation comes: the operation waits, and then sees it.
#[actix_web::test]
async fn a_join_under_way_is_waited_for_and_kept() {
    let app = TestApp::start(Backend::Postgres).await;
    let id = app.create("admin").await;
    app.join(id, "old").await;
    moment().await;
    let replaced = now();
    let join = format!(
        "UPDATE groups SET members = members + 1, last_place = last_place + 1 WHERE id = {id};
         INSERT INTO memberships (group_id, uid, place, joined_at) VALUES ({id}, 'new', 3, {});
         UPDATE membership_blocks SET members = members + 1 WHERE group_id = {id} AND block = 0;
         SELECT pg_sleep(0.7)",
        replaced.0 + 1
    );
    let db = app.db.clone();
    let joining = actix_web::rt::spawn(async move {
        db.transaction(move |conn| Ok(diesel::connection::SimpleConnection::batch_execute(conn, &join)?)).await
    });
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    app.rekey("op", "old", "new", replaced).await;
    joining.await.unwrap().unwrap();
    assert_eq!(app.members(id).await, ["admin", "new"]);
    app.is_consistent().await;
    app.stop().await;
}

/// A join of the old one that comes while the operation waits: too late for it, and no reason to touch the new one.
#[actix_web::test]
async fn a_join_that_came_after_the_operation_moves_nothing_and_deletes_nothing() {
    let app = TestApp::start(Backend::Postgres).await;
    let (of_new, of_old) = (app.create("admin").await, app.create("admin").await);
    app.join(of_new, "new").await;
    app.groups("old").await;
    moment().await;
    let replaced = now();
    let db = app.db.clone();
    let holding = actix_web::rt::spawn(async move {
        let hold = format!("SELECT 1 FROM groups WHERE id = {of_new} FOR UPDATE; SELECT pg_sleep(0.8)");
        db.transaction(move |conn| Ok(diesel::connection::SimpleConnection::batch_execute(conn, &hold)?)).await
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    tokio::join!(app.rekey("op", "old", "new", replaced), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        app.join(of_old, "old").await;
    });
    holding.await.unwrap().unwrap();
    assert_eq!(app.members(of_new).await, ["admin", "new"]);
    assert_eq!(app.members(of_old).await, ["admin", "old"]);
    app.is_consistent().await;
    app.stop().await;
}

async fn only_services_may_call_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let body = json!({"operation_id": "op", "old_uid": "a", "new_uid": "b", "before": 1}).to_string();
    let url = format!("{}/internal/memberships/rekey", app.internal);
    assert_eq!(app.http.post(&url).body(body.clone()).send().await.unwrap().status(), 404);
    let wrong = app.http.post(&url).header("x-kith-internal-token", "wrong").body(body);
    assert_eq!(wrong.send().await.unwrap().status(), 404);
    let bad = json!({"operation_id": "", "old_uid": "a", "new_uid": "b", "before": 1});
    let refused = app.client.call::<serde_json::Value>("/internal/memberships/rekey", &bad).await.unwrap_err();
    assert_eq!(refused.text(), "operation_id: must not be empty");
    app.stop().await;
}
