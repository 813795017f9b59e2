//! Two servers on one PostgreSQL database, which know nothing of each other.

use crate::follower::{Follower, Load, RequestFollower};
use crate::helpers::{Client, Service, is_sqlite_run};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Whom `owner` has, as `client`'s server sees it.
async fn friends(client: &Client, owner: &str) -> BTreeSet<String> {
    let mut follower = Follower::new(owner, Load::All);
    follower.step(client, 1).await;
    follower.current().into_keys().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_writers_on_two_replicas_never_deadlock_and_lose_nothing() {
    // About PostgreSQL whatever the run's stack, so one run has it.
    if is_sqlite_run() {
        return;
    }
    let replicas = Service::replicas();
    let clients = [0, 1].map(|n| replicas[n].client.clone());
    let writer = |replica: usize, a: &'static str, b: &'static str| {
        let client = clients[replica].clone();
        async move {
            let mut done = 0;
            for round in 0..40 {
                let pair = json!({"useracc": a, "friendUseracc": b, "allDel": "1", "remarkName": round});
                for call in ["addFriend", "friendAgree", "setFriendRemark", "delFriend"] {
                    let code = client.code(call, pair.clone()).await;
                    // Which of these is right depends on the other side; a busy server is never right.
                    assert!(["000000", "112185", "112186", "112195"].contains(&code.as_str()), "{call}: {code}");
                    done += usize::from(code == "000000");
                }
            }
            done
        }
    };
    // Each side writes through both; followers read through the other one.
    let follow = |replica: usize, owner: &'static str| {
        let client = clients[replica].clone();
        async move {
            let (mut follower, mut reader) = (Follower::new(owner, Load::Pages), RequestFollower::new(owner));
            for _ in 0..100 {
                follower.step(&client, 1).await;
                reader.step(&client, 1).await;
            }
            (follower, reader)
        }
    };
    let writers = join_all([writer(0, "a", "b"), writer(1, "b", "a"), writer(1, "a", "b"), writer(0, "b", "a")]);
    let followers = join_all([follow(0, "a"), follow(1, "a"), follow(0, "b"), follow(1, "b")]);
    let (done, followers) = tokio::join!(writers, followers);
    assert!(done.iter().sum::<usize>() > 160, "too few changes to prove anything: {done:?}");

    // Both sides agree, through whichever server; whoever followed through one and goes on through the other has it.
    for client in &clients {
        assert_eq!(friends(client, "a").await.contains("b"), friends(client, "b").await.contains("a"));
    }
    for (n, (mut follower, mut reader)) in followers.into_iter().enumerate() {
        let (owner, other) = (["a", "b"][n / 2], &clients[(n + 1) % 2]);
        follower.finish(other, 1).await;
        reader.finish(other, 1).await;
        let current: BTreeSet<String> = follower.current().into_keys().collect();
        assert_eq!(current, friends(&clients[0], owner).await);
        let mut truth = RequestFollower::new(owner);
        truth.finish(&clients[0], 10).await;
        for (key, seen) in &truth.requests {
            assert_eq!(reader.requests.get(key), Some(seen), "{owner} {key:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_imports_on_two_replicas_all_land_among_other_writers() {
    if is_sqlite_run() {
        return;
    }
    let replicas = Service::replicas();
    let clients = [0, 1].map(|n| replicas[n].client.clone());
    // The same 60 users in another order each time; on both servers at once.
    let pairs = |n: usize| -> Vec<(String, String)> {
        (0..300).map(|m| ((m * 7 + n) % 60, (m * 7 + n + 1 + m % 3) % 60)).map(|(a, b)| (user(a), user(b))).collect()
    };
    let imports = join_all((0..12).map(|n| {
        let (client, pairs) = (&clients[n % 2], pairs(n));
        async move { client.import(&pairs).await }
    }));
    // Friends of the same users whom no import names.
    let adds = join_all((0..120).map(|n| {
        let client = &clients[n % 2];
        async move {
            let (from, to) = (format!("x{n}"), user(n % 60));
            [client.add(&from, &to).await, client.add(&to, &from).await]
        }
    }));
    let (imported, added) = tokio::join!(imports, adds);
    assert!(imported.iter().all(|code| code == "000000"), "{imported:?}");
    assert!(added.iter().flatten().all(|code| code == "000000"), "{added:?}");

    let mut truth: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let added = (0..120).map(|n| (format!("x{n}"), user(n % 60)));
    for (a, b) in (0..12).flat_map(pairs).chain(added) {
        truth.entry(a.clone()).or_default().insert(b.clone());
        truth.entry(b).or_default().insert(a);
    }
    for (n, (owner, expected)) in truth.into_iter().enumerate() {
        assert_eq!(friends(&clients[n % 2], &owner).await, expected, "{owner}");
    }
}

fn user(n: usize) -> String {
    format!("u{n}")
}
