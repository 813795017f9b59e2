//! Profiles that are changed by several at the same time, and images that cannot be had.

use crate::friends::{full, user};
use crate::stack::{Stack, name, shared};
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;

/// What a process keeps of a profile itself.
const KEPT: Duration = Duration::from_millis(2_100);

/// The shared copy must be that of the last change, which is what the account says, whichever was told last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_changes_at_the_same_time_all_show_the_one_that_the_account_has() {
    let (kith, me) = (shared().await, user());
    let others: Vec<String> = (0..60).map(|_| name("p")).collect();
    join_all(others.iter().map(|uid| kith.register(uid))).await;
    let pairs: Vec<_> = others.iter().map(|uid| json!({"useracc": me, "friendUseracc": full(uid)})).collect();
    kith.im("importFriends", json!({ "friendsList": pairs })).await.done();
    let changes = others.iter().flat_map(|uid| (0..6).map(move |n| (uid, format!("name {n}"))));
    join_all(changes.map(|(uid, name)| {
        let kith = kith.clone();
        async move { kith.update(uid, json!({ "name": name })).await.ok_b() }
    }))
    .await;
    tokio::time::sleep(KEPT).await;
    let shown = kith.friends_of(&me).await.ok_d();
    for friend in shown["friendsList"].as_array().unwrap() {
        let uid = friend["useracc"].as_str().unwrap().split('#').next_back().unwrap();
        let account = kith.userinfo(uid).await.ok_c();
        assert_eq!(friend["nickName"], account["nickname"], "{uid}");
    }
    assert_eq!(shown["friendsList"].as_array().unwrap().len(), others.len());
}

#[tokio::test]
async fn no_cache_keeps_that_an_image_could_not_be_had() {
    let stack = Stack::start(&[
        ("KITH__MEDIA__URL", "s3://nobody"),
        ("KITH__MEDIA__ENDPOINT", "http://127.0.0.1:1"),
        ("KITH__MEDIA__REGION", "us-east-1"),
        ("KITH__MEDIA__ACCESS_KEY_ID", "key"),
        ("KITH__MEDIA__SECRET_ACCESS_KEY", "secret"),
    ])
    .await;
    for (kith, status) in [(shared().await, 404), (stack.client(), 200)] {
        let answer = kith.get(&format!("/media/{}.png", "0".repeat(64))).await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, Some("no-store")), "{}", answer.text);
        assert_eq!(answer.header("x-kith-failure").is_some(), status == 200);
    }
}
