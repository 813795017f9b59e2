//! RongCloud kept in step, where it matters in which moment what happens.

use crate::helpers::{Backend, TestApp, until};
use crate::on_both;
use serde_json::json;
use service_kit::testkit::rongcloud::{FakeRongCloud, Mood};
use std::time::Duration;

on_both! {
    a_group_dismissed_while_a_sync_is_not_answered_is_dismissed_again
    a_slow_provider_that_refuses_one_of_many_is_told_all_the_others
    a_group_made_joined_and_left_while_the_provider_is_slow_is_told_in_parts
}

async fn start(backend: Backend) -> (FakeRongCloud, TestApp) {
    let fake = FakeRongCloud::start();
    let app = TestApp::start_beside(backend, &fake).await;
    (fake, app)
}

/// The sync that names the group is heard when the group has gone, and never answered.
async fn a_group_dismissed_while_a_sync_is_not_answered_is_dismissed_again(backend: Backend) {
    let (fake, app) = start(backend).await;
    let (gone, stays) = (app.create("admin").await, app.create("admin").await);
    let soon = Duration::from_secs(10);
    until("created", soon, async || fake.members(gone).is_some() && fake.members(stays).is_some()).await;
    fake.mood(Mood::HearsSyncLate(Duration::from_secs(3)));
    app.post("/im/group_sync", "admin", json!({})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    app.on(gone, "group_dismiss", "admin").await;
    until("dismissed", Duration::from_secs(2), async || fake.members(gone).is_none()).await;
    until("brought back", soon, async || fake.members(gone).is_some()).await;
    fake.mood(Mood::Kind);
    until("dismissed again", soon, async || fake.members(gone).is_none()).await;
    until("nothing is left to tell", soon, async || app.number("SELECT count(*) AS n FROM outbox").await == 0).await;
    assert_eq!((fake.members(gone), fake.members(stays)), (None, Some(vec!["admin".to_owned()])));
    app.stop().await;
}

/// 1.5 s a call, so that finding the one takes longer than a delivery may.
async fn a_slow_provider_that_refuses_one_of_many_is_told_all_the_others(backend: Backend) {
    let (mut fake, app) = start(backend).await;
    fake.stop();
    let id = app.create("admin").await;
    let mut expected = vec!["admin".to_owned()];
    for n in 0..16 {
        let uid = if n == 11 { "odd one".to_owned() } else { format!("u{n:02}") };
        app.join(id, &uid).await;
        expected.extend((n != 11).then_some(uid));
    }
    fake.start_again();
    fake.mood(Mood::Slow(Duration::from_millis(1500)));
    until("all the others", Duration::from_secs(60), async || fake.members(id).as_ref() == Some(&expected)).await;
    until("settled", Duration::from_secs(20), async || app.number("SELECT count(*) AS n FROM outbox").await == 1).await;
    assert_eq!(app.number("SELECT count(*) AS n FROM outbox WHERE dead AND key = 'odd one'").await, 1);
    app.stop().await;
}

async fn a_group_made_joined_and_left_while_the_provider_is_slow_is_told_in_parts(backend: Backend) {
    let (mut fake, app) = start(backend).await;
    fake.stop();
    let id = app.create("admin").await;
    for uid in ["stays", "leaves"] {
        app.join(id, uid).await;
    }
    app.on(id, "group_quit", "leaves").await;
    fake.start_again();
    // Three calls of 4 s in 10 s.
    fake.mood(Mood::Slow(Duration::from_secs(4)));
    until("settled", Duration::from_secs(60), async || app.number("SELECT count(*) AS n FROM outbox").await == 0).await;
    assert_eq!(fake.members(id).unwrap(), ["admin", "stays"]);
    // What was done before the time was up is not done again; the last was cut off and is.
    let mut paths: Vec<String> = fake.world().calls.iter().map(|(path, _)| path.clone()).collect();
    paths.dedup_by(|a, b| a == b && a == "/group/quit.json");
    assert_eq!(paths, ["/group/create.json", "/group/join.json", "/group/quit.json"]);
    app.stop().await;
}
