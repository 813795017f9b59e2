//! Groups under parallel calls: no membership twice, none too many, none of a dead group.

use crate::groups::{Bearer, number};
use crate::stack::{Stack, shared};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

async fn bearers(kith: &crate::client::Client, n: usize) -> Vec<Bearer> {
    let mut tasks = JoinSet::new();
    for _ in 0..n {
        let kith = kith.clone();
        tasks.spawn(async move { kith.bearer(json!({})).await });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_joins_of_one_user_are_one_membership() {
    let kith = shared().await;
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let user = kith.bearer(json!({})).await;
    let id = admin.create("g").await;
    for _ in 0..5 {
        let mut joins = JoinSet::new();
        for _ in 0..50 {
            let user = user.clone();
            joins.spawn(async move { user.on(id, "group_join").await });
        }
        for answer in joins.join_all().await {
            answer.is(json!({"ret": "ok", "reason": ""}));
        }
        assert_eq!(admin.members(id).await, [admin.uid.clone(), user.uid.clone()]);
        user.on(id, "group_quit").await.ok_c();
        user.on(id, "group_quit").await.fails_c("not a member of the group");
        assert_eq!(admin.members(id).await, [admin.uid.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_place_is_given_once_to_200_who_ask_at_once() {
    let stack = Stack::start(&[("KITH__GROUPS__MAX_MEMBERS", "10"), ("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let users = bearers(&kith, 208).await;
    let id = admin.create("g").await;
    for user in &users[..8] {
        user.on(id, "group_join").await.ok_c();
    }
    let mut joins = JoinSet::new();
    for user in &users[8..] {
        let user = user.clone();
        joins.spawn(async move {
            loop {
                let answer = user.on(id, "group_join").await.json();
                // A machine that is too busy for so many at once is another matter.
                if !answer["reason"].as_str().unwrap().ends_with("try again") {
                    return answer;
                }
            }
        });
    }
    let answers = joins.join_all().await;
    let ok = answers.iter().filter(|a| a["ret"] == "ok").count();
    let full = answers.iter().filter(|a| a["reason"] == "the group is full").count();
    assert_eq!(
        (ok, full),
        (1, 199),
        "{:?}",
        answers.iter().find(|a| a["ret"] != "ok" && a["reason"] != "the group is full")
    );
    assert_eq!(admin.members(id).await.len(), 10);
    // Joins and quits at once: never more than there are places, and the count stays true.
    let mut tasks = JoinSet::new();
    for user in &users[..100] {
        let user = user.clone();
        tasks.spawn(async move {
            for _ in 0..3 {
                user.on(id, "group_join").await;
                assert!(user.members(id).await.len() <= 10);
                user.on(id, "group_quit").await;
            }
        });
    }
    tasks.join_all().await;
    let members = admin.members(id).await.len() as i64;
    let db = stack.groups_db().await;
    assert_eq!(number(&db, "SELECT members AS n FROM groups").await, members);
    assert_eq!(number(&db, "SELECT CAST(sum(members) AS BIGINT) AS n FROM membership_blocks").await, members);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_races_dismiss_leaves_no_membership_of_a_dead_group() {
    let stack = Stack::start(&[("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let users = bearers(&kith, 20).await;
    let (mut joined, mut late) = (0, 0);
    for round in 0..15 {
        let id = admin.create("g").await;
        let mut joins = JoinSet::new();
        for (n, user) in users.iter().cloned().enumerate() {
            joins.spawn(async move {
                tokio::time::sleep(Duration::from_micros(200 * n as u64)).await;
                user.on(id, "group_join").await.json()
            });
        }
        tokio::time::sleep(Duration::from_millis(round % 8)).await;
        admin.on(id, "group_dismiss").await.ok_c();
        for answer in joins.join_all().await {
            match answer["ret"].as_str().unwrap() {
                "ok" => joined += 1,
                _ => {
                    assert_eq!(answer["reason"], "no such group");
                    late += 1;
                }
            }
        }
    }
    assert!(joined > 0 && late > 0, "no race: {joined} joined, {late} came late");
    for user in &users {
        assert!(user.groups().await.is_empty());
    }
    // And what nobody can see is gone soon.
    let db = stack.groups_db().await;
    let began = Instant::now();
    for table in ["memberships", "membership_blocks", "dismissed_groups"] {
        while number(&db, &format!("SELECT count(*) AS n FROM {table}")).await > 0 {
            assert!(began.elapsed() < Duration::from_secs(5), "{table} still holds rows");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    db.close().await;
}
