//! Many at once: nothing is lost, nobody waits in a circle.

use crate::follower::{Follower, Load, RequestFollower};
use crate::helpers::{Client, Service};
use futures_util::future::join_all;
use rand::RngExt;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn opposite_writers_on_one_pair_never_deadlock() {
    let service = Service::start();
    let client = service.client.clone();
    let writer = |a: &'static str, b: &'static str| {
        let client = client.clone();
        async move {
            for _ in 0..40 {
                let pair = json!({"useracc": a, "friendUseracc": b, "allDel": "1"});
                for call in ["addFriend", "friendAgree", "delFriend"] {
                    let code = client.code(call, pair.clone()).await;
                    // Which of these is right depends on the other side; a busy server is never right.
                    assert!(["000000", "112185", "112186", "112195"].contains(&code.as_str()), "{call}: {code}");
                }
            }
        }
    };
    join_all((0..4).flat_map(|_| [writer("a", "b"), writer("b", "a")])).await;
    client.add("a", "b").await;
    client.add("b", "a").await;
    for (owner, friend) in [("a", "b"), ("b", "a")] {
        let mut follower = Follower::new(owner, Load::All);
        follower.finish(&client, 10).await;
        assert!(follower.current().contains_key(friend));
    }
}

#[tokio::test]
async fn hundreds_of_parallel_adds_to_one_account_all_land() {
    let service = Service::start();
    let client = &service.client;
    let codes = join_all((0..400).map(|n| async move { client.add(&format!("fan{n}"), "star").await })).await;
    assert!(codes.iter().all(|code| code == "000000"), "{codes:?}");
    let mut reader = RequestFollower::new("star");
    reader.finish(client, 7).await;
    assert_eq!(reader.requests.len(), 400);
    assert_eq!(client.code("setUserVerify", json!({"useracc": "star", "addVerify": "0"})).await, "000000");
    let codes = join_all((0..400).map(|n| async move { client.add(&format!("fan{n}"), "star").await })).await;
    assert!(codes.iter().all(|code| code == "000000"), "{codes:?}");
    let mut follower = Follower::new("star", Load::Pages);
    follower.finish(client, 7).await;
    assert_eq!(follower.current().len(), 400);
}

async fn write_at_random(client: Client, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let (a, b, what) = {
            let mut rng = rand::rng();
            (rng.random_range(0..6), rng.random_range(0..6), rng.random_range(0..12))
        };
        client.move_clock(what % 3 - 1);
        let mut pair =
            json!({"useracc": format!("w{a}"), "friendUseracc": format!("w{b}"), "message": what.to_string()});
        let call = match what {
            0..=3 => "addFriend",
            4 | 5 => "friendAgree",
            6 => "friendRefuse",
            7 => {
                pair["remarkName"] = json!(rand::rng().random_range(0..1000).to_string());
                "setFriendRemark"
            }
            8 => {
                let name = |n: i64| format!("w{}", n % 6);
                let pairs: Vec<_> = (0..3).map(|n| (name(a + n), name(a + n + 1 + b % 5))).collect();
                let pairs = pairs.iter().map(|(a, b)| json!({"useracc": a, "friendUseracc": b}));
                pair = json!({"friendsList": pairs.collect::<Vec<_>>()});
                "importFriends"
            }
            9 => {
                // An open door more often than not, so that some become friends at once.
                pair["addVerify"] = json!(if b == 0 { "1" } else { "0" });
                "setUserVerify"
            }
            _ => {
                pair["allDel"] = json!(if what == 10 { "0" } else { "1" });
                "delFriend"
            }
        };
        let code = client.code(call, pair).await;
        assert!(code == "000000" || code.starts_with("1121"), "{call}: {code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_racing_writers_end_equal_to_the_truth() {
    let service = Service::start();
    let client = service.client.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(write_at_random(client.clone(), stop.clone()))).collect();
    let followers: Vec<_> = (0..6)
        .flat_map(|owner| [(owner, Load::Pages, 1), (owner, Load::Pages, 3), (owner, Load::All, 2)])
        .map(|(owner, load, size)| {
            let (client, stop) = (client.clone(), stop.clone());
            tokio::spawn(async move {
                let mut follower = Follower::new(&format!("w{owner}"), load);
                let mut reader = RequestFollower::new(&format!("w{owner}"));
                while !stop.load(Ordering::Relaxed) {
                    follower.step(&client, size).await;
                    reader.step(&client, size).await;
                }
                (owner, follower, reader)
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    for follower in followers {
        let (owner, mut follower, mut reader) = follower.await.unwrap();
        follower.finish(&client, 2).await;
        reader.finish(&client, 2).await;
        let mut truth = Follower::new(&format!("w{owner}"), Load::All);
        truth.step(&client, 1).await;
        assert_eq!(follower.current(), truth.current(), "w{owner}");
        let mut truth = RequestFollower::new(&format!("w{owner}"));
        truth.finish(&client, 100).await;
        for (key, seen) in &truth.requests {
            assert_eq!(reader.requests.get(key), Some(seen), "w{owner} {key:?}");
        }
    }
}
