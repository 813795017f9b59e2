//! Presence across processes (design §4): what one node knows the other says, and nodes that die.

use crate::cluster::{Cluster, RIGHT, SOON};
use crate::socket::{End, Socket};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_to_one_node_is_online_through_the_other() {
    let Some(cluster) = Cluster::of_run().await else { return };
    let (kith, a, b) = (cluster.kith(), cluster.at(0), cluster.at(1));
    let (ios, web) = (kith.user("alice", 1).await, kith.user("alice", 5).await);
    let mut first = Socket::open(&cluster.urls[0], &ios).await;
    for client in [&kith, &a, &b] {
        client.until_platforms("alice", &["IOS"], SOON).await;
    }
    let second = Socket::open(&cluster.urls[1], &web).await;
    for client in [&kith, &a, &b] {
        client.until_platforms("alice", &["IOS", "Web"], SOON).await;
    }
    second.close().await;
    for client in [&kith, &a, &b] {
        client.until_platforms("alice", &["IOS"], SOON).await;
    }
    // A log-out that one node hears closes the socket on the other.
    b.force_logout("alice", 0).await.ok_b();
    assert_eq!(first.end().await, (vec![], End::Closed(4702)));
    a.until_platforms("alice", &[], SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_socket_on_the_other_node_replaces_the_older_one() {
    let Some(cluster) = Cluster::of_run().await else { return };
    let kith = cluster.kith();
    let (older, newer) = (kith.user("alice", 1).await, kith.token("alice", 1).await);
    let mut first = Socket::open(&cluster.urls[0], &older).await;
    let mut second = Socket::open(&cluster.urls[1], &newer).await;
    assert_eq!(first.end().await, (vec![json!({"type": "kicked", "code": 706})], End::Closed(4706)));
    second.lives().await;
    for client in [cluster.at(0), cluster.at(1)] {
        client.parse(&older).await.fails_b(706, "token kicked");
        client.parse(&newer).await.ok_b();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_nodes_at_once_over_and_over_leave_one_socket_and_one_live_token() {
    let Some(cluster) = Cluster::of_run().await else { return };
    let urls: Vec<&str> = cluster.urls.iter().map(String::as_str).collect();
    for round in 0..15 {
        cluster.kith().of_many_at_once_one_remains(&format!("user-{round}"), &urls, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_a_node_takes_its_users_offline_within_5_s_and_nobody_else() {
    let Some(mut cluster) = Cluster::of_run().await else { return };
    let kith = cluster.kith();
    let (a, b) = (kith.user("alice", 1).await, kith.user("bob", 1).await);
    let mut alice = Socket::open(&cluster.urls[0], &a).await;
    let mut bob = Socket::open(&cluster.urls[1], &b).await;
    let other = cluster.at(1);
    other.until_platforms("alice", &["IOS"], SOON).await;
    cluster.nodes[0].kill();
    let killed = Instant::now();
    other.until_platforms("alice", &[], RIGHT).await;
    // A new start under the same address revives nothing.
    cluster.restart(0).await;
    while killed.elapsed() < Duration::from_secs(8) {
        for client in [&kith, &other] {
            let answer = client.online(json!(["alice", "bob"])).await.json();
            if answer["errCode"] == 0 {
                assert_eq!(answer["successResult"][0]["status"], json!("offline"));
                assert_eq!(answer["successResult"][1]["status"], json!("online"));
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(alice.end().await.1, End::Cut);
    bob.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_nodes_users_are_offline_meanwhile_and_right_within_5_s_of_its_return() {
    let Some(cluster) = Cluster::of_run().await else { return };
    let kith = cluster.kith();
    let (a, b) = (kith.user("alice", 1).await, kith.user("bob", 1).await);
    let mut alice = Socket::open(&cluster.urls[0], &a).await;
    let mut bob = Socket::open(&cluster.urls[1], &b).await;
    let other = cluster.at(1);
    other.until_platforms("alice", &["IOS"], SOON).await;
    cluster.nodes[0].signal("STOP");
    other.until_platforms("alice", &[], RIGHT).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(other.platforms("bob").await, ["IOS"]);
    cluster.nodes[0].signal("CONT");
    other.until_platforms("alice", &["IOS"], RIGHT).await;
    alice.lives().await;
    bob.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_of_a_node_closes_its_sockets_with_1001_and_leaves_presence_clean() {
    let Some(mut cluster) = Cluster::of_run().await else { return };
    let kith = cluster.kith();
    let mut sockets = Vec::new();
    for n in 0..40 {
        let token = kith.user(&format!("u{n}"), 1).await;
        // Half of them through the gateway, which spreads them over both nodes.
        let url = if n % 2 == 0 { &cluster.urls[0] } else { &kith.url };
        sockets.push((n, Socket::open(url, &token).await));
    }
    cluster.nodes[0].signal("TERM");
    let status = cluster.nodes[0].ended(Duration::from_secs(30)).await;
    assert!(status.success(), "{status}");
    let (mut closed, mut living) = (0, 0);
    for (n, mut socket) in sockets {
        let end = tokio::time::timeout(Duration::from_millis(200), socket.end_within(Duration::from_secs(9))).await;
        let platforms = cluster.at(1).platforms(&format!("u{n}")).await;
        match end {
            Ok((_, end)) => {
                assert_eq!(end, End::Closed(1001), "u{n}");
                assert!(platforms.is_empty(), "u{n} is online without a socket");
                closed += 1;
            }
            Err(_) => {
                socket.lives().await;
                assert_eq!(platforms, ["IOS"], "u{n}");
                living += 1;
            }
        }
    }
    assert!(closed >= 20 && living >= 5, "{closed} closed, {living} on the other node");
}

/// A way to a server that can be cut.
async fn way_to(port: u16) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let way = tokio::spawn(async move {
        let mut passing = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            passing.spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (here, way)
}

/// The other node's connection is good all the time, so nothing tells it that it missed something.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_heard_by_a_node_that_cannot_reach_redis_closes_the_other_nodes_sockets() {
    let Some(mut cluster) = Cluster::of_run().await else { return };
    let (port, way) = way_to(cluster.redis.port()).await;
    cluster.move_behind(0, &format!("redis://127.0.0.1:{port}")).await;
    let (a, b) = (cluster.at(0), cluster.at(1));
    let (ios, web) = (b.user("alice", 1).await, b.user("alice", 5).await);
    let (mut logged_out, mut stays) =
        (Socket::open(&cluster.urls[1], &ios).await, Socket::open(&cluster.urls[1], &web).await);
    way.abort();
    tokio::time::sleep(Duration::from_secs(1)).await;
    a.force_logout("alice", 1).await.ok_b();
    assert_eq!(logged_out.end_within(Duration::from_secs(10)).await, (vec![], End::Closed(4702)));
    stays.lives().await;
    b.parse(&ios).await.fails_b(702, "token invalid");
    b.parse(&web).await.ok_b();
    assert_eq!(a.online(json!(["alice"])).await.json()["errCode"], 503, "it still does not reach Redis");
}
