//! Contract §4: getFriends.

use crate::client::Client;
use crate::friends::{DOCUMENTS, full, row, user};
use crate::stack::shared;
use serde_json::{Value, json};

#[tokio::test]
async fn entries_are_as_the_document_shows_them() {
    let (kith, a, b, c) = (shared().await, user(), user(), user());
    kith.register_with(&b, json!({"name": "测试账号", "icon": "http://url"})).await.ok_b();
    kith.befriend(&a, &b).await;
    kith.befriend(&a, &c).await;
    kith.im("setFriendRemark", json!({"useracc": a, "friendUseracc": b, "remarkName": "备注"})).await.ok_d();
    // As both demos ask.
    let answer = kith.friends_of(&a).await;
    answer.is(json!({
        "statusCode": "000000", "statusMsg": "success", "timestamp": answer.timestamp(), "friendsList": [
            // Nobody need be registered; what is not known is empty.
            {"useracc": full(&c), "remarkName": "", "nickName": "", "avatar": "", "friendState": "1"},
            {"useracc": full(&b), "remarkName": "备注", "nickName": "测试账号", "avatar": "http://url", "friendState": "1"}
        ]
    }));
}

#[tokio::test]
async fn nothing_there_is_a_success() {
    let (kith, a) = (shared().await, user());
    kith.friends_of(&a).await.is(json!({
        "statusCode": "000000", "statusMsg": "success", "timestamp": "1970-01-01 08:00:00.000", "friendsList": []
    }));
}

#[tokio::test]
async fn names_and_avatars_are_read_when_asked_and_move_no_stamp() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.register_with(&b, json!({"name": "old"})).await.ok_b();
    kith.befriend(&a, &b).await;
    let before = kith.friends_of(&a).await;
    assert_eq!(before.entries("friendsList", ["nickName"]), [row(["old"])]);
    kith.update(&b, json!({"name": "new", "icon": "http://new"})).await.ok_b();
    // Others see a change within 3 s.
    let shown = async || {
        for _ in 0..70 {
            let after = kith.friends_of(&a).await;
            if after.entries("friendsList", ["nickName", "avatar"]) == [row(["new", "http://new"])] {
                return after;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the change is not seen");
    };
    assert_eq!(shown().await.timestamp(), before.timestamp());
}

async fn get(kith: &Client, useracc: &str, more: Value) -> (Vec<[String; 2]>, String) {
    let mut body = json!({"useracc": useracc, "isSimpUseracc": "1"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = kith.im("getFriends", body).await;
    (answer.entries("friendsList", ["useracc", "friendState"]), answer.timestamp())
}

#[tokio::test]
async fn is_update_1_shows_former_friends_too() {
    let (kith, a, b, c) = (shared().await, user(), user(), user());
    kith.befriend(&a, &b).await;
    kith.befriend(&a, &c).await;
    kith.del(&a, &b, "1").await.done();
    assert_eq!(get(&kith, &a, json!({"isUpdate": "0"})).await.0, [row([&c, "1"])]);
    assert_eq!(get(&kith, &a, json!({"isUpdate": "1"})).await.0, [row([&c, "1"]), row([&b, "0"])]);
    // Only for the one who asks; the other way round it is the other's list.
    assert!(get(&kith, &b, json!({"isUpdate": "0"})).await.0.is_empty());
}

async fn with_friends(n: usize) -> (Client, String, Vec<String>) {
    let (kith, a) = (shared().await, user());
    let friends: Vec<String> = (0..n).map(|_| user()).collect();
    for friend in &friends {
        let pair = json!({"useracc": a, "friendUseracc": friend});
        kith.im("importFriends", json!({"friendsList": [pair]})).await.done();
    }
    (kith, a, friends)
}

#[tokio::test]
async fn pages_ascend_and_go_on_from_the_answers_timestamp() {
    let (kith, a, friends) = with_friends(5).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for size in [2, 2, 1, 0] {
        let (rows, next) = get(&kith, &a, json!({"size": "2", "timestamp": cursor, "isUpdate": "1"})).await;
        assert_eq!(rows.len(), size);
        seen.extend(rows.into_iter().map(|[friend, _]| friend));
        if size == 0 {
            // No entries: the one received.
            assert_eq!(next, cursor);
        }
        cursor = next;
    }
    assert_eq!(seen, friends);
    // Only what changed since.
    kith.del(&a, &friends[0], "1").await.done();
    let (rows, _) = get(&kith, &a, json!({"timestamp": cursor, "isUpdate": "1"})).await;
    assert_eq!(rows, [row([&friends[0], "0"])]);
}

#[tokio::test]
async fn sizes_default_to_20_and_end_at_100() {
    let (kith, a) = (shared().await, user());
    let pairs: Vec<_> = (0..120).map(|_| json!({"useracc": a, "friendUseracc": user()})).collect();
    kith.im("importFriends", json!({ "friendsList": pairs })).await.done();
    for (size, rows) in [
        (json!(null), 20),
        (json!(""), 20),
        (json!("abc"), 20),
        (json!("0"), 20),
        (json!("-1"), 20),
        (json!("1"), 1),
        (json!("100"), 100),
        (json!(5000), 100),
    ] {
        assert_eq!(get(&kith, &a, json!({ "size": size })).await.0.len(), rows, "{size}");
    }
    let (all, end) = get(&kith, &a, json!({"isAllPage": "1", "size": "3"})).await;
    assert_eq!(all.len(), 120);
    assert_eq!(get(&kith, &a, json!({"isAllPage": "1", "timestamp": end})).await, (vec![], end));
}

#[tokio::test]
async fn timestamps_come_with_or_without_milliseconds_and_nothing_else() {
    let (kith, a, _) = with_friends(1).await;
    for (given, rows) in [
        ("", 1),
        ("2017-07-08 12:12:12.123", 1),
        ("2017-07-08 12:12:12", 1),
        ("1969-12-31 00:00:00", 1),
        ("2999-01-01 00:00:00.000", 0),
    ] {
        assert_eq!(get(&kith, &a, json!({ "timestamp": given })).await.0.len(), rows, "{given}");
    }
    let text = "timestamp: must be yyyy-MM-dd HH:mm:ss[.SSS]";
    for bad in ["0", "2017-07-08", "2017-07-08T12:12:12", "2017-02-30 00:00:00", "1499487132123"] {
        kith.im("getFriends", json!({"useracc": a, "timestamp": bad})).await.fails_d("112180", text);
    }
}

#[tokio::test]
async fn a_timestamp_from_the_future_is_answered_with_the_lists_clock() {
    let (kith, a, friends) = with_friends(1).await;
    let (_, clock) = get(&kith, &a, json!({})).await;
    let (rows, next) = get(&kith, &a, json!({"timestamp": "2999-01-01 00:00:00"})).await;
    assert_eq!((rows, next), (vec![], clock.clone()));
    // So nothing that happens from now on is lost.
    kith.del(&a, &friends[0], "0").await.done();
    assert_eq!(get(&kith, &a, json!({"timestamp": clock, "isUpdate": "1"})).await.0, [row([&friends[0], "0"])]);
}

#[tokio::test]
async fn an_account_that_does_not_mean_itself_alone_is_written_in_full() {
    let (kith, a) = (shared().await, user());
    // A # in an account; the name of an app, of this one and of another; one that only looks like either.
    let hash = format!("kith#{}#{}", user(), user());
    let strange = [hash.clone(), "kith#kith".into(), full(DOCUMENTS.id), format!("kith#kith{}", user())];
    for other in &strange {
        let pair = json!({"useracc": a, "friendUseracc": other});
        kith.im("importFriends", json!({"friendsList": [pair]})).await.done();
        kith.im("addFriend", json!({"useracc": other, "friendUseracc": user()})).await.done();
    }
    let simple = json!({"useracc": a, "isSimpUseracc": "1"});
    let shown = kith.im("getFriends", simple).await.friends();
    let plain = strange[3].strip_prefix("kith#").unwrap().to_owned();
    assert_eq!(shown, [strange[0].clone(), strange[1].clone(), strange[2].clone(), plain]);
    // So each leads back to the same user.
    for (shown, other) in shown.iter().zip(&strange) {
        let ask = json!({"useracc": a, "friendUseracc": shown, "isSimpUseracc": "1"});
        let info = kith.im("getFriendInfo", ask).await.ok_d();
        assert_eq!(info["useracc"], json!(shown));
        kith.im("addFriend", json!({"useracc": other, "friendUseracc": a})).await.done();
        let batch = json!({"useraccList": [shown], "isSimpUseracc": "1"});
        assert_eq!(kith.im("batchGetUserAvatar", batch).await.ok_d()["avatarList"][0]["useracc"], json!(shown));
    }
    let asker = user();
    kith.im("addFriend", json!({"useracc": asker, "friendUseracc": hash})).await.done();
    let list = kith.im("friendMessage", json!({"useracc": asker, "isSimpUseracc": "1"})).await;
    assert_eq!(list.entries("inviteList", ["friendUseracc"]), [[hash]]);
}

#[tokio::test]
async fn reading_never_moves_a_clock() {
    let (kith, a, _) = with_friends(1).await;
    let first = kith.friends_of(&a).await.text;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(kith.friends_of(&a).await.text, first);
}
