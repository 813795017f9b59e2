//! Contract §2: sockets that have to leave: for a later one of the same user and platform, and by log-out.

use crate::groups::execute;
use crate::socket::{End, Socket};
use crate::stack::{Stack, name, shared};
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_later_socket_of_the_same_platform_replaces_the_older_one() {
    let kith = shared().await;
    let uid = name("u");
    let older_token = kith.user(&uid, 1).await;
    let (unused, other_platform, newer_token) =
        (kith.token(&uid, 1).await, kith.token(&uid, 2).await, kith.token(&uid, 1).await);
    let mut older = Socket::open(&kith.url, &older_token).await;
    let mut beside = Socket::open(&kith.url, &other_platform).await;
    let mut newer = Socket::open(&kith.url, &newer_token).await;
    // Every other token of the platform is dead before the older socket hears of it.
    assert_eq!(older.end().await, (vec![json!({"type": "kicked", "code": 706})], End::Closed(4706)));
    kith.parse(&older_token).await.fails_b(706, "token kicked");
    kith.parse(&unused).await.fails_b(706, "token kicked");
    kith.parse(&newer_token).await.ok_b();
    kith.parse(&other_platform).await.ok_b();
    newer.lives().await;
    beside.lives().await;
    kith.until_platforms(&uid, &["IOS", "Android"], SOON).await;
    let Err(answer) = Socket::try_open(&kith.url, &format!("token={older_token}")).await else { panic!("opened") };
    assert_eq!((answer.status, answer.json()), (401, json!({"errCode": 706, "errMsg": "token kicked"})));
}

#[tokio::test]
async fn the_same_token_again_replaces_its_own_older_socket_and_stays_alive() {
    let kith = shared().await;
    let uid = name("u");
    let token = kith.user(&uid, 1).await;
    let mut older = Socket::open(&kith.url, &token).await;
    let mut newer = Socket::open(&kith.url, &token).await;
    assert_eq!(older.end().await, (vec![json!({"type": "kicked", "code": 706})], End::Closed(4706)));
    newer.lives().await;
    kith.parse(&token).await.ok_b();
    kith.until_platforms(&uid, &["IOS"], SOON).await;
}

#[tokio::test]
async fn after_the_older_socket_closed_its_token_stays_alive() {
    let kith = shared().await;
    let uid = name("u");
    let first = kith.user(&uid, 1).await;
    let second = kith.token(&uid, 1).await;
    Socket::open(&kith.url, &first).await.close().await;
    kith.until_platforms(&uid, &[], SOON).await;
    Socket::open(&kith.url, &second).await.lives().await;
    kith.parse(&first).await.ok_b();
}

#[tokio::test]
async fn of_many_at_once_exactly_one_socket_and_one_live_token_remain() {
    let kith = shared().await;
    for _ in 0..5 {
        kith.of_many_at_once_one_remains(&name("u"), &[&kith.url], 8).await;
    }
}

#[tokio::test]
async fn force_logout_closes_sockets_with_4702() {
    let kith = shared().await;
    let uid = name("u");
    let (ios, android) = (kith.user(&uid, 1).await, kith.user(&uid, 2).await);
    let (mut first, mut second) = (Socket::open(&kith.url, &ios).await, Socket::open(&kith.url, &android).await);
    kith.force_logout(&uid, 1).await.ok_b();
    assert_eq!(first.end().await, (vec![], End::Closed(4702)));
    second.lives().await;
    kith.until_platforms(&uid, &["Android"], SOON).await;
    kith.force_logout(&uid, 0).await.ok_b();
    assert_eq!(second.end().await, (vec![], End::Closed(4702)));
    kith.until_platforms(&uid, &[], SOON).await;
}

#[tokio::test]
async fn no_socket_survives_a_log_out_that_came_while_it_opened() {
    let kith = shared().await;
    let once = async || {
        let uid = name("u");
        let token = kith.user(&uid, 1).await;
        let query = format!("token={token}");
        let (opened, _) = tokio::join!(Socket::try_open(&kith.url, &query), kith.force_logout(&uid, 0));
        match opened {
            Err(answer) => assert_eq!((answer.status, &answer.json()["errCode"]), (401, &json!(702))),
            Ok(mut socket) => assert_eq!(socket.end().await.1, End::Closed(4702)),
        }
        kith.until_platforms(&uid, &[], SOON).await;
    };
    // Many at once, so that the two meet in every order.
    for _ in 0..10 {
        join_all((0..32).map(|_| once())).await;
    }
}

/// Rows of expired tokens are deleted after a day, and a socket outlives its token; here the rows go at once.
#[tokio::test]
async fn sockets_whose_tokens_are_deleted_are_still_replaced_and_logged_out() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    let (ios, android) = (kith.user("alice", 1).await, kith.user("alice", 2).await);
    let (mut first, mut second) = (Socket::open(&kith.url, &ios).await, Socket::open(&kith.url, &android).await);
    let db = stack.im_auth_db().await;
    execute(&db, "DELETE FROM tokens WHERE uid = 'alice'").await;
    db.close().await;
    first.lives().await;
    second.lives().await;

    let newer = kith.token("alice", 2).await;
    let mut third = Socket::open(&kith.url, &newer).await;
    assert_eq!(second.end().await, (vec![json!({"type": "kicked", "code": 706})], End::Closed(4706)));
    kith.parse(&newer).await.ok_b();
    kith.force_logout("alice", 1).await.ok_b();
    assert_eq!(first.end().await, (vec![], End::Closed(4702)));
    kith.until_platforms("alice", &["Android"], SOON).await;
    third.lives().await;
    kith.force_logout("alice", 0).await.ok_b();
    assert_eq!(third.end().await, (vec![], End::Closed(4702)));
    kith.until_platforms("alice", &[], SOON).await;
}
