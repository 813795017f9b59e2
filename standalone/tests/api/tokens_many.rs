//! Users with thousands of tokens, and log-outs that are repeated (contract §2).

use crate::groups::{execute, number};
use crate::socket::{End, Socket};
use crate::stack::{Stack, name, shared};
use serde_json::json;

/// More than one transaction ends: at 2000 the service goes on with the next.
const MANY: i64 = 9000;

#[tokio::test]
async fn thousands_of_tokens_are_replaced_and_logged_out_to_the_last() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    let older = kith.user("alice", 1).await;
    let db = stack.im_auth_db().await;
    // On two platforms by turns.
    let more = format!(
        "INSERT INTO tokens (id, app_id, uid, platform, issued_at, expires_at, state)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
         SELECT 'many-' || i, 'kith', 'alice', 1 + i % 2, 1, 9999999999, 0 FROM n"
    );
    execute(&db, &more).await;
    let live = async |platform: i64| {
        let sql =
            format!("SELECT count(*) AS n FROM tokens WHERE uid = 'alice' AND state = 0 AND platform = {platform}");
        number(&db, &sql).await
    };
    let newer = kith.token("alice", 1).await;
    let mut first = Socket::open(&kith.url, &older).await;
    let mut second = Socket::open(&kith.url, &newer).await;
    assert_eq!(first.end().await, (vec![json!({"type": "kicked", "code": 706})], End::Closed(4706)));
    assert_eq!((live(1).await, live(2).await), (1, MANY / 2));
    kith.parse(&newer).await.ok_b();
    let third = kith.token("alice", 1).await;
    kith.force_logout("alice", 2).await.ok_b();
    assert_eq!((live(1).await, live(2).await), (2, 0));
    second.lives().await;
    execute(&db, &more.replace("many", "again")).await;
    kith.force_logout("alice", 0).await.ok_b();
    assert_eq!((live(1).await, live(2).await), (0, 0));
    assert_eq!(second.end().await, (vec![], End::Closed(4702)));
    kith.parse(&newer).await.fails_b(702, "token invalid");
    kith.parse(&third).await.fails_b(702, "token invalid");
    db.close().await;
}

/// As if a first call had ended the token, and its caller had gone before what is remembered of it was overwritten.
#[tokio::test]
async fn what_a_call_that_was_cut_off_left_behind_the_next_one_ends() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    let (revoked, kicked) = (kith.user("alice", 1).await, kith.user("bob", 1).await);
    let db = stack.im_auth_db().await;
    for token in [&revoked, &kicked] {
        kith.parse(token).await.ok_b();
    }
    execute(&db, "UPDATE tokens SET state = 2 WHERE uid = 'alice'").await;
    execute(&db, "UPDATE tokens SET state = 1 WHERE uid = 'bob'").await;
    for token in [&revoked, &kicked] {
        // Otherwise this test shows nothing: it is remembered as live.
        kith.parse(token).await.ok_b();
    }
    kith.force_logout("alice", 0).await.ok_b();
    kith.parse(&revoked).await.fails_b(702, "token invalid");

    let (second, third) = (kith.token("bob", 1).await, kith.token("bob", 1).await);
    let mut older = Socket::open(&kith.url, &second).await;
    let mut newer = Socket::open(&kith.url, &third).await;
    kith.parse(&kicked).await.fails_b(706, "token kicked");
    assert_eq!(older.end().await.1, End::Closed(4706));
    newer.lives().await;
    db.close().await;
}

#[tokio::test]
async fn a_token_of_an_app_that_is_no_more_opens_no_socket() {
    let kith = shared().await;
    let token = kith.user(&name("u"), 1).await;
    let gone = crate::tokens::of_app(&token, "gone");
    let Err(answer) = Socket::try_open(&kith.url, &format!("token={gone}")).await else { panic!("opened") };
    assert_eq!((answer.status, answer.json()), (401, json!({"errCode": 702, "errMsg": "token invalid"})));
    Socket::open(&kith.url, &crate::tokens::of_app(&token, "kith")).await.lives().await;
}
