//! Contract §3 where the system app's IM provider is RongCloud: groups; and that its outages are nobody's concern but the
//! outbox's.

use crate::client::Client;
use crate::groups::{Bearer, PASSWORD};
use crate::process::Process;
use crate::rongcloud::{SOON, environment, outbox, stack, until};
use crate::stack::{Kind, Places, Stack, has_processes, name};
use serde_json::json;
use service_kit::testkit::rongcloud::{FakeRongCloud, Mood};
use std::time::{Duration, Instant};

/// What RongCloud was told is what we hold, of all these groups.
async fn is_equal(kith: &Client, who: &Bearer, fake: &FakeRongCloud, ids: &[i64]) -> bool {
    for &id in ids {
        let answer = who.on(id, "group_get_user_list").await;
        let body = answer.json();
        let ours = match body["ret"].as_str() {
            Some("ok") => {
                let mut uids = crate::groups::usernames(&body);
                uids.sort();
                Some(uids)
            }
            _ => None,
        };
        if body["ret"] != "ok" {
            assert_eq!(body["reason"], "no such group", "{}", kith.url);
        }
        if ours != fake.members(id) {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn create_join_quit_and_dismiss_are_sent() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let users = [kith.bearer(json!({})).await, kith.bearer(json!({})).await];
    let id = admin.create("测试 & 群").await;
    until("created", SOON, async || fake.members(id) == Some(vec![admin.uid.clone()])).await;
    assert_eq!(fake.world().groups[&id.to_string()].0, "测试 & 群");
    for user in &users {
        user.on(id, "group_join").await.ok_c();
    }
    until("joined", SOON, async || fake.members(id).is_some_and(|m| m.len() == 3)).await;
    users[0].on(id, "group_quit").await.ok_c();
    until("quit", SOON, async || is_equal(&kith, &admin, &fake, &[id]).await).await;
    admin.on(id, "group_dismiss").await.ok_c();
    until("dismissed", SOON, async || fake.members(id).is_none()).await;
    assert_eq!(fake.world().bad_signatures, 0);
}

#[tokio::test]
async fn group_sync_sends_the_callers_whole_membership() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let user = kith.bearer(json!({})).await;
    let ids = [admin.create("a&=b").await, admin.create("第二").await];
    for id in ids {
        user.on(id, "group_join").await.ok_c();
    }
    until("equal", SOON, async || is_equal(&kith, &admin, &fake, &ids).await).await;
    // Somebody else made a mess of it.
    {
        let mut world = fake.world();
        for (_, members) in world.groups.values_mut() {
            members.remove(&user.uid);
        }
        world.groups.insert("99".into(), ("gone".into(), [user.uid.clone()].into()));
    }
    user.call("/im/group_sync/", &[]).await.is(json!({"ret": "ok", "reason": ""}));
    until("equal again", SOON, async || is_equal(&kith, &admin, &fake, &ids).await).await;
    assert!(fake.world().groups["99"].1.is_empty());
    assert_eq!(fake.world().groups[&ids[0].to_string()].0, "a&=b");
}

/// Everybody does something, now and then, until told to stop; every call must be ok and quick.
async fn busy(users: &[Bearer], admin: &Bearer, ids: &mut Vec<i64>, rounds: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let began = Instant::now();
        match round % 7 {
            0 => ids.push(admin.create(&format!("group {round}")).await),
            6 if ids.len() > 3 => admin.on(ids[round % 3], "group_dismiss").await.text.clear(),
            _ => {
                let user = &users[round % users.len()];
                let id = ids[(round * 5) % ids.len()];
                let call = if round % 3 == 0 { "group_quit" } else { "group_join" };
                let answer = user.on(id, call).await.json();
                let expected = ["", "no such group", "not a member of the group"];
                assert!(expected.contains(&answer["reason"].as_str().unwrap()), "{answer}");
                users[(round + 1) % users.len()].call("/im/group_sync/", &[]).await.ok_c();
            }
        }
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    slowest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rongcloud_is_down_slow_or_faulty_no_group_call_fails_or_slows_and_afterwards_all_is_equal() {
    let mut fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let mut users = Vec::new();
    for _ in 0..8 {
        users.push(kith.bearer(json!({})).await);
    }
    let mut ids = vec![admin.create("first").await];
    let mut slowest = Duration::ZERO;
    for mood in [Mood::Slow(Duration::from_secs(8)), Mood::Refuses(503, 503), Mood::CutsShort, Mood::Refuses(429, 1008)]
    {
        fake.mood(mood);
        slowest = slowest.max(busy(&users, &admin, &mut ids, 50).await);
    }
    fake.stop();
    slowest = slowest.max(busy(&users, &admin, &mut ids, 50).await);
    assert!(slowest < Duration::from_secs(1), "a call took {slowest:?}");
    fake.start_again();
    fake.mood(Mood::Kind);
    until("equal", Duration::from_secs(60), async || is_equal(&kith, &admin, &fake, &ids).await).await;
    // And stays so.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_equal(&kith, &admin, &fake, &ids).await);
    assert_eq!(fake.world().bad_signatures, 0);
    let listed = outbox(&stack, &["list"]);
    assert!(!listed.contains("dead"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_svc_groups_loses_nothing() {
    let fake = FakeRongCloud::start();
    let mut stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let users = [kith.bearer(json!({})).await, kith.bearer(json!({})).await, kith.bearer(json!({})).await];
    let mut ids = vec![admin.create("first").await];
    for _ in 0..2 {
        // In the middle of deliveries, which the killed process has claimed.
        fake.mood(Mood::Slow(Duration::from_millis(700)));
        busy(&users, &admin, &mut ids, 30).await;
        stack.process_of("groups").kill();
        stack.restart("groups").await;
        crate::durability::until_answering(&kith).await;
        until("svc-groups answers", SOON, async || kith.group_info(ids[0]).await.header("x-kith-failure").is_none())
            .await;
    }
    fake.mood(Mood::Kind);
    until("equal", Duration::from_secs(60), async || is_equal(&kith, &admin, &fake, &ids).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_one_of_them_killed_leave_rongcloud_equal() {
    if !has_processes() {
        return;
    }
    let fake = FakeRongCloud::start();
    let ports = [crate::process::free_port(), crate::process::free_port()];
    let both = format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
    let mut places =
        Places::fresh(Kind::Postgres).with(&[("KITH__GATEWAY__UPSTREAMS__GROUPS", &both), ("RUST_LOG", "info")]);
    places.environment.extend(environment(&fake.url()).map(|(k, v)| (k.to_owned(), v)));
    let mut stack = Stack::start_at(places).await;
    // The harness gave it a port of its own choice; this test wants its own two.
    let environment = stack.processes["groups"].environment().clone();
    stack.process_of("groups").kill();
    let mut replicas = ports.map(|port| {
        let mut environment = environment.clone();
        environment.insert("KITH__GROUPS__LISTEN".into(), format!("127.0.0.1:{port}"));
        environment.insert("KITH__GROUPS__INTERNAL_LISTEN".into(), "127.0.0.1:0".into());
        Process::start("svc-groups", environment, stack.folder.path().join(format!("replica-{port}.log")))
    });
    for (replica, port) in replicas.iter_mut().zip(ports) {
        replica.until(async |_| tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    }
    let kith = stack.client();
    until("svc-groups answers", SOON, async || kith.group_info(1).await.header("x-kith-failure").is_none()).await;
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let users = [kith.bearer(json!({})).await, kith.bearer(json!({})).await, kith.bearer(json!({})).await];
    let mut ids = vec![admin.create("first").await];
    fake.mood(Mood::Slow(Duration::from_millis(100)));
    busy(&users, &admin, &mut ids, 100).await;
    until("equal with two", Duration::from_secs(60), async || is_equal(&kith, &admin, &fake, &ids).await).await;
    fake.mood(Mood::Slow(Duration::from_millis(700)));
    busy(&users, &admin, &mut ids, 40).await;
    replicas[0].kill();
    until("svc-groups answers", SOON, async || kith.group_info(1).await.header("x-kith-failure").is_none()).await;
    fake.mood(Mood::Kind);
    until("equal with one", Duration::from_secs(60), async || is_equal(&kith, &admin, &fake, &ids).await).await;
}

#[tokio::test]
async fn what_rongcloud_refuses_is_a_dead_letter_for_kith_outbox_and_harms_no_other() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let id = admin.create("g").await;
    // RongCloud takes no such user id.
    let odd = format!("张三\t{}", name("x"));
    kith.reg_user(&odd, PASSWORD).await.ok_c();
    let odd_join = [("username", odd.as_str()), ("password", PASSWORD)];
    kith.form(&format!("/im/{id}/group_join/"), &odd_join).await.ok_c();
    let user = kith.bearer(json!({})).await;
    user.on(id, "group_join").await.ok_c();
    until("the others", SOON, async || fake.members(id).is_some_and(|m| m.contains(&user.uid))).await;
    until("a dead letter", SOON, async || outbox(&stack, &["list", "--dead"]).contains("refused with 1002")).await;
    let listed = outbox(&stack, &["list", "--dead", "--service", "groups"]);
    let row: Vec<&str> = listed.lines().nth(1).unwrap().split('\t').collect();
    assert_eq!(
        (row.len(), row[0], row[2], row[3], row[4]),
        (9, "groups", "dead", "rongcloud.group", id.to_string().as_str())
    );
    assert_eq!(row[5], odd.escape_debug().to_string());
    // Delivered again, and refused again.
    assert_eq!(
        outbox(&stack, &["retry", "--service", "groups", row[1]]),
        "groups: 1 dead letters are delivered again\n"
    );
    until("dead again", SOON, async || outbox(&stack, &["list", "--dead"]).lines().count() == 2).await;
    // When what was wrong is right, by hand.
    kith.form(&format!("/im/{id}/group_quit/"), &odd_join).await.ok_c();
    fake.mood(Mood::Refuses(401, 1001));
    user.on(id, "group_quit").await.ok_c();
    until("dead", SOON, async || outbox(&stack, &["list", "--dead"]).contains("refused with 1001")).await;
    fake.mood(Mood::Kind);
    outbox(&stack, &["retry"]);
    until("told", SOON, async || fake.members(id) == Some(vec![admin.uid.clone()])).await;
}
