//! Groups of one user.

use crate::helpers::{Backend, TestApp, moment, now};
use crate::on_both;
use std::rc::Rc;

on_both! {
    a_user_joins_no_more_groups_than_the_setting_allows
    parallel_joins_of_one_user_in_many_groups_do_not_exceed_it
    groups_made_and_groups_that_came_with_a_key_count_and_are_not_refused
    a_limit_far_above_what_most_reach_holds_to_the_last_group
}

const FULL: &str = "this user is in as many groups as one may be in";

async fn start(backend: Backend) -> TestApp {
    TestApp::start_with(backend, |_, settings| settings.max_groups_per_user = 3).await
}

async fn a_user_joins_no_more_groups_than_the_setting_allows(backend: Backend) {
    let app = start(backend).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(app.create(&format!("admin{n}")).await);
    }
    for &id in &ids[..3] {
        app.join(id, "u").await;
    }
    let refused = app.on(ids[3], "group_join", "u").await;
    assert_eq!(refused, serde_json::json!({"ret": "failed", "reason": FULL}));
    // Where he is already he is ok; what is no group is none.
    app.join(ids[2], "u").await;
    assert_eq!(app.on(9999, "group_join", "u").await["reason"], "no such group");
    assert_eq!(app.groups("u").await, ids[..3]);
    // Others are not concerned.
    app.join(ids[3], "v").await;
    // A place is free when he quits, or when a group ends, before its memberships are swept away.
    app.on(ids[0], "group_quit", "u").await;
    app.join(ids[3], "u").await;
    app.execute(&format!("DELETE FROM groups WHERE id = {}", ids[1])).await;
    app.join(ids[4], "u").await;
    assert_eq!(app.on(ids[0], "group_join", "u").await["reason"], FULL);
    app.stop().await;
}

async fn parallel_joins_of_one_user_in_many_groups_do_not_exceed_it(backend: Backend) {
    let app = Rc::new(start(backend).await);
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(app.create(&format!("admin{n}")).await);
    }
    // Remembered by the credential check before.
    app.groups("u").await;
    let joins: Vec<_> = ids
        .iter()
        .map(|&id| {
            let app = app.clone();
            actix_web::rt::spawn(async move { app.on(id, "group_join", "u").await })
        })
        .collect();
    let mut ok = 0;
    for join in joins {
        let answer = join.await.unwrap();
        assert!(answer["ret"] == "ok" || answer["reason"] == FULL, "{answer}");
        ok += usize::from(answer["ret"] == "ok");
    }
    assert_eq!((ok, app.groups("u").await.len()), (3, 3));
    app.is_consistent().await;
    Rc::into_inner(app).unwrap().stop().await;
}

async fn groups_made_and_groups_that_came_with_a_key_count_and_are_not_refused(backend: Backend) {
    let app = start(backend).await;
    for _ in 0..4 {
        app.create("admin").await;
    }
    let other = app.create("admin-other").await;
    assert_eq!(app.on(other, "group_join", "admin").await["reason"], FULL);
    for uid in ["admin-old", "admin-new"] {
        for _ in 0..3 {
            app.create(uid).await;
        }
    }
    moment().await;
    app.rekey("op", "admin-old", "admin-new", now()).await;
    assert_eq!(app.groups("admin-new").await.len(), 6);
    assert_eq!(app.on(other, "group_join", "admin-new").await["reason"], FULL);
    app.join(other, "admin-old").await;
    app.is_consistent().await;
    app.stop().await;
}

/// Who has few memberships is counted while he joins, who comes near the limit under a lock: this one does both.
async fn a_limit_far_above_what_most_reach_holds_to_the_last_group(backend: Backend) {
    const LIMIT: u32 = 1_002;
    let app = TestApp::start_with(backend, |_, settings| settings.max_groups_per_user = LIMIT).await;
    let numbers = TestApp::numbers(backend, LIMIT as usize + 2);
    for sql in [
        format!(
            "INSERT INTO groups (name, owner, members, last_place, created_at) SELECT 'g', 'owner' || n, 1, 1, 1 \
             FROM {numbers} AS s"
        ),
        "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT id, owner, 1, 1 FROM groups".to_owned(),
        "INSERT INTO membership_blocks SELECT id, 0, 1 FROM groups".to_owned(),
    ] {
        app.execute(&sql).await;
    }
    for id in 1..=3 {
        app.join(id, "u").await;
    }
    // All the others but three.
    for sql in [
        format!(
            "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT id, 'u', 2, 1 FROM groups \
             WHERE id BETWEEN 4 AND {}",
            LIMIT - 1
        ),
        "UPDATE groups SET members = 2, last_place = 2 WHERE members = 1 AND id IN \
         (SELECT group_id FROM memberships WHERE uid = 'u')"
            .to_owned(),
        "UPDATE membership_blocks SET members = 2 WHERE members = 1 AND group_id IN \
         (SELECT group_id FROM memberships WHERE uid = 'u')"
            .to_owned(),
    ] {
        app.execute(&sql).await;
    }
    app.join(LIMIT.into(), "u").await;
    for id in [LIMIT + 1, LIMIT + 2] {
        assert_eq!(app.on(id.into(), "group_join", "u").await["reason"], FULL);
    }
    assert_eq!(app.groups("u").await.len(), LIMIT as usize);
    app.is_consistent().await;
    app.stop().await;
}
