//! Many imports at once.

use crate::follower::{Follower, Load};
use crate::helpers::{Client, Service};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn parallel_imports_over_the_same_few_users_all_land() {
    let service = Service::start();
    let client = &service.client;
    // Every import locks the same users, named in another order.
    let import = |n: usize| {
        let mut pairs: Vec<_> =
            (0..30).map(|m| (format!("u{}", (m * 7 + n) % 31), format!("u{}", (m * 7 + n + 1) % 31))).collect();
        pairs.rotate_left(n % 30);
        async move { client.import(&pairs).await }
    };
    let codes = join_all((0..24).map(import)).await;
    assert!(codes.iter().all(|code| code == "000000"), "{codes:?}");
    for n in 0..31 {
        let mut follower = Follower::new(&format!("u{n}"), Load::Pages);
        follower.finish(client, 100).await;
        assert_eq!(follower.current().len(), 2, "u{n}");
    }
}

/// Pairs of import `n`: every one names about half of 2,000 users, in an order of its own.
fn large(n: usize) -> Vec<(String, String)> {
    (0..1000)
        .map(|m| {
            let at = (m * 7 + n * 131) % 2000;
            (format!("u{at}"), format!("u{}", (at + 1 + n % 3) % 2000))
        })
        .collect()
}

/// Reads until told to stop; how often, and what it was told but a list.
async fn read(client: Client, n: usize, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut reads, mut refused) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let body = json!({"useracc": format!("u{}", (n * 397 + reads) % 2000)});
        let code = client.code(if n.is_multiple_of(2) { "getFriends" } else { "getUserVerify" }, body).await;
        reads += 1;
        if code != "000000" {
            refused.push(code);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    (reads, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_imports_of_1000_pairs_all_land_and_nobody_who_reads_is_told_busy() {
    let service = Service::start();
    let client = &service.client;
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..8).map(|n| tokio::spawn(read(client.clone(), n, stop.clone()))).collect();
    let began = std::time::Instant::now();
    let codes = join_all((0..24).map(|n| async move { client.import(&large(n)).await })).await;
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    assert!(codes.iter().all(|code| code == "000000"), "after {took:?}: {codes:?}");
    for reader in readers {
        let (reads, refused) = reader.await.unwrap();
        assert!(refused.is_empty(), "{} of {reads}: {refused:?}", refused.len());
    }

    let mut truth: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (a, b) in (0..24).flat_map(large) {
        truth.entry(a.clone()).or_default().insert(b.clone());
        truth.entry(b).or_default().insert(a);
    }
    // Not of all: thousands of calls take their time.
    for (user, friends) in truth.iter().step_by(13) {
        let mut follower = Follower::new(user, Load::All);
        follower.step(client, 1).await;
        assert!(follower.current().keys().eq(friends), "{user}: {:?} instead of {friends:?}", follower.current());
    }
}
