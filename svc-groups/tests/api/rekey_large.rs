//! Re-keys of users of many groups, and re-keys that cross each other.

use crate::helpers::{Backend, TestApp, moment, now, until};
use crate::on_both;
use serde_json::Value;
use service_kit::testkit::rongcloud::FakeRongCloud;
use shared_models::internal::RekeyRequest;
use shared_models::{Stamp, Text, Uid};
use std::rc::Rc;
use std::time::Duration;

on_both! {
    a_user_of_thousands_of_groups_moves_in_one_call
    rekeys_in_opposite_directions_beside_joins_and_syncs_meet_no_deadlock
}

/// Both are in some of 2,400 groups of nearly as many owners; every 7th is the old one's own, every 11th the new one's.
async fn a_user_of_thousands_of_groups_moves_in_one_call(backend: Backend) {
    const GROUPS: usize = 2_400;
    let mut fake = FakeRongCloud::start();
    let app = TestApp::start_beside(backend, &fake).await;
    // What is to be told is looked at in the outbox.
    fake.stop();
    let n = TestApp::numbers(backend, GROUPS);
    let owner = "CASE WHEN n % 7 = 0 THEN 'old' WHEN n % 11 = 0 THEN 'new' ELSE 'owner' || n END";
    for sql in [
        format!("INSERT INTO groups (name, owner, members, last_place, created_at) SELECT 'g', {owner}, 1, 600, 1 FROM {n} AS s"),
        // Members in the first block, some of the old one's in the second.
        "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT id, owner, 1, 10 FROM groups".to_owned(),
        "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT id, 'old', CASE WHEN id % 2 = 0 THEN 5 ELSE 512 END, 20 \
         FROM groups WHERE id % 3 > 0 AND owner <> 'old'"
            .to_owned(),
        // Half of the new one's are older than the replacement.
        "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT id, 'new', 513, CASE WHEN id % 4 > 1 THEN 30 ELSE 900 END \
         FROM groups WHERE id % 5 > 1 AND owner <> 'new'"
            .to_owned(),
        "UPDATE groups SET members = (SELECT count(*) FROM memberships m WHERE m.group_id = groups.id)".to_owned(),
        "INSERT INTO membership_blocks SELECT group_id, place / 512, count(*) FROM memberships GROUP BY group_id, place / 512"
            .to_owned(),
    ] {
        app.execute(&sql).await;
    }
    app.is_consistent().await;
    let count = async |what: &str| app.number(&format!("SELECT count(*) AS n FROM {what}")).await;
    let of_old = "SELECT group_id FROM memberships WHERE uid = 'old'";
    let of_new = "SELECT m.group_id FROM memberships m JOIN groups g ON g.id = m.group_id WHERE m.uid = 'new' AND \
                  (m.joined_at >= 100 OR g.owner = 'new')";
    // What the contract says: groups of the old one, and those that the new one keeps.
    let expected = count(&format!("({of_old} UNION {of_new}) AS s")).await;
    let kept = count(&format!("({of_new}) AS s")).await;
    let changed = count(&format!(
        "({of_old} UNION SELECT group_id FROM memberships WHERE uid = 'new' AND group_id NOT IN ({of_new})) AS s"
    ))
    .await;
    assert!(expected > 1_500 && kept > 500 && changed > 1_000, "{expected} {kept} {changed}");
    // A caller who gave up waiting repeats it.
    let request = RekeyRequest {
        operation_id: Text::new("op").unwrap(),
        old_uid: Uid::new("old").unwrap(),
        new_uid: Uid::new("new").unwrap(),
        before: Stamp(100),
    };
    until("done", Duration::from_secs(15), async || {
        app.client.call::<Value>("/internal/memberships/rekey", &request).await.is_ok()
    })
    .await;
    assert_eq!(count("memberships WHERE uid = 'old'").await, 0);
    assert_eq!(count("memberships WHERE uid = 'new'").await, expected);
    assert_eq!(count("groups WHERE owner = 'old'").await, 0);
    // Those that it kept stand where they stood, the others where the old one stood.
    let stood = "joined_at = 900 OR (joined_at = 10 AND group_id % 7 > 0)";
    assert_eq!(count(&format!("memberships WHERE uid = 'new' AND ({stood})")).await, kept);
    app.is_consistent().await;
    assert_eq!(count("outbox WHERE kind = 'rongcloud.group'").await, 2 * changed);
    app.stop().await;
}

async fn rekeys_in_opposite_directions_beside_joins_and_syncs_meet_no_deadlock(backend: Backend) {
    let fake = FakeRongCloud::start();
    let app = Rc::new(TestApp::start_beside(backend, &fake).await);
    let mut ids = Vec::new();
    // Their numbers' order is another one as text.
    for _ in 0..12 {
        ids.push(app.create("admin").await);
    }
    for &id in &ids {
        app.join(id, "a").await;
    }
    moment().await;
    let mut tasks = Vec::new();
    for task in 0..6_usize {
        let (app, mut ids) = (app.clone(), ids.clone());
        tasks.push(actix_web::rt::spawn(async move {
            for round in 0..12 {
                let (old, new) = if (task + round) % 2 == 0 { ("a", "b") } else { ("b", "a") };
                match task {
                    0..3 => app.rekey(&format!("op {task} {round}"), old, new, now()).await,
                    3 => {
                        // All together, in an order of its own.
                        ids.reverse();
                        let joins = ids.iter().map(|id| app.on(*id, "group_join", "c"));
                        futures_util::future::join_all(joins).await;
                    }
                    4 => drop(app.post("/im/group_sync", "a", serde_json::json!({})).await),
                    _ => app.rekey(&format!("op {task} {round}"), "c", "a", now()).await,
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    app.is_consistent().await;
    // Not even one that the door repeated.
    assert_eq!(app.metric("kith_db_retries_total").await, 0.0);
    let mut members = Vec::new();
    for &id in &ids {
        let mut of_group = app.members(id).await;
        of_group.sort();
        members.push(Some(of_group));
    }
    until("RongCloud has what we have", Duration::from_secs(30), async || {
        ids.iter().map(|id| fake.members(*id)).collect::<Vec<_>>() == members
    })
    .await;
    Rc::into_inner(app).unwrap().stop().await;
}
