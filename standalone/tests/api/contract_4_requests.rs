//! Contract §4: friendMessage.

use crate::client::SECRET;
use crate::friends::{KITH, full, row, user};
use crate::stack::{Stack, shared};
use serde_json::{Value, json};

#[tokio::test]
async fn entries_are_as_the_document_shows_them() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.register_with(&b, json!({"name": "测试账号", "icon": "http://url"})).await.ok_b();
    let body = json!({"useracc": full(&a), "friendUseracc": full(&b), "message": "请求的信息", "source": "1"});
    kith.im("addFriend", body).await.done();
    let answer =
        kith.im("friendMessage", json!({"useracc": full(&a), "timestamp": "", "size": "6", "order": "2"})).await;
    answer.is(json!({
        "statusCode": "000000", "statusMsg": "success", "timestamp": answer.timestamp(), "inviteList": [{
            "friendUseracc": full(&b), "message": "请求的信息", "source": "1", "isInvited": "0", "dealState": "0",
            "avatar": "http://url"
        }]
    }));
    // Who has no account is shown without one.
    let answer = kith.im("friendMessage", json!({"useracc": b, "isSimpUseracc": "1"})).await;
    let fields = ["friendUseracc", "isInvited", "avatar"];
    assert_eq!(answer.entries("inviteList", fields), [row([&a, "1", ""])]);
}

#[tokio::test]
async fn apps_of_the_2017_ios_demo_get_no_avatar() {
    let stack = Stack::start(&[
        ("KITH__APPS__KITH__ID", "kith"),
        ("KITH__APPS__KITH__SECRET", SECRET),
        ("KITH__APPS__KITH__AUTH_TOKEN", KITH.token),
        ("KITH__APPS__KITH__LEGACY_INVITE_LIST", "true"),
    ])
    .await;
    let kith = stack.client();
    kith.add("a", "b").await.done();
    let answer = kith.im("friendMessage", json!({"useracc": "b"})).await;
    let entry = json!({
        "friendUseracc": "kith#a", "message": "hello", "source": "1", "isInvited": "1", "dealState": "0"
    });
    assert_eq!(answer.ok_d()["inviteList"], json!([entry]));
}

#[tokio::test]
async fn a_pair_has_one_row_per_direction_with_the_newest_text() {
    let (kith, a, b) = (shared().await, user(), user());
    for message in ["one", "two"] {
        let body = json!({"useracc": a, "friendUseracc": b, "message": message, "source": "2"});
        kith.im("addFriend", body).await.done();
    }
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "0", "two"])]);
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "0", "two"])]);
}

async fn asked(n: usize) -> (crate::client::Client, String, Vec<String>) {
    let (kith, a) = (shared().await, user());
    let mut askers = Vec::new();
    for _ in 0..n {
        let asker = user();
        kith.add(&asker, &a).await.done();
        askers.push(asker);
    }
    (kith, a, askers)
}

async fn page(kith: &crate::client::Client, body: Value) -> (Vec<String>, String) {
    let answer = kith.im("friendMessage", body).await;
    let rows = answer.entries("inviteList", ["friendUseracc"]);
    (rows.into_iter().map(|[u]| u).collect(), answer.timestamp())
}

#[tokio::test]
async fn ascending_pages_go_on_from_the_answers_timestamp() {
    let (kith, a, askers) = asked(5).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for size in [2, 2, 1, 0] {
        let body = json!({"useracc": a, "size": "2", "timestamp": cursor, "isSimpUseracc": "1", "order": "0"});
        let (rows, next) = page(&kith, body).await;
        assert_eq!(rows.len(), size);
        seen.extend(rows);
        cursor = next;
    }
    assert_eq!(seen, askers);
    // What changes is found by going on.
    kith.agree(&a, &askers[1]).await.done();
    let body = json!({"useracc": a, "timestamp": cursor, "isSimpUseracc": "1"});
    assert_eq!(page(&kith, body).await.0, [askers[1].clone()]);
}

#[tokio::test]
async fn descending_pages_go_back_as_the_android_demos_more_button_does() {
    let (kith, a, mut askers) = asked(5).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for size in [2, 2, 1] {
        let body = json!({"useracc": a, "size": 2, "timestamp": cursor, "isSimpUseracc": "1", "order": "2"});
        let (rows, next) = page(&kith, body).await;
        assert_eq!(rows.len(), size);
        seen.extend(rows);
        cursor = next;
    }
    askers.reverse();
    assert_eq!(seen, askers);
    let body = json!({"useracc": a, "size": "2", "timestamp": cursor, "order": "2"});
    assert_eq!(page(&kith, body).await, (Vec::new(), cursor));
}

#[tokio::test]
async fn without_rows_the_timestamp_is_the_lists_clock_or_what_was_received() {
    let (kith, a) = (shared().await, user());
    let ask = async |timestamp: &str, order: &str| {
        page(&kith, json!({"useracc": a, "timestamp": timestamp, "order": order})).await.1
    };
    let epoch = "1970-01-01 08:00:00.000";
    for order in ["1", "2"] {
        assert_eq!(ask("", order).await, epoch);
        // Never later than the list's clock, which is 0.
        assert_eq!(ask("2017-07-08 12:12:12.123", order).await, epoch);
    }
    // Friends are another list with another clock.
    kith.im("importFriends", json!({"friendsList": [{"useracc": a, "friendUseracc": user()}]})).await.done();
    assert_eq!(ask("", "1").await, epoch);
}
