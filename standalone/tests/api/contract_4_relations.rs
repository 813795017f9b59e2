//! Contract §4: becoming friends and ceasing to be: addFriend, friendAgree, friendRefuse, delFriend,
//! setFriendRemark, setUserVerify, getUserVerify, importFriends.

use crate::friends::{DOCUMENTS, KITH, full, row, user};
use crate::stack::{Stack, shared};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn by_default_the_other_must_agree() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.im("getUserVerify", json!({"useracc": full(&a)})).await.is(json!({
        "statusCode": "000000", "statusMsg": "success", "addVerify": "1"
    }));
    kith.add(&a, &b).await.done();
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "0", "hello"])]);
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "0", "hello"])]);
    assert!(kith.friends_of(&a).await.friends().is_empty());
    kith.agree(&b, &a).await.done();
    assert_eq!(kith.friends_of(&a).await.friends(), [full(&b)]);
    assert_eq!(kith.friends_of(&b).await.friends(), [full(&a)]);
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "1", "hello"])]);
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "1", "hello"])]);
}

#[tokio::test]
async fn with_an_open_door_they_are_friends_at_once_without_rows() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.open_door(&b).await;
    kith.add(&a, &b).await.done();
    assert_eq!(kith.friends_of(&a).await.friends(), [full(&b)]);
    assert_eq!(kith.friends_of(&b).await.friends(), [full(&a)]);
    assert!(kith.requests_of(&a).await.is_empty());
    assert!(kith.requests_of(&b).await.is_empty());
    // The door can be closed again.
    kith.im("setUserVerify", json!({"useracc": b, "addVerify": 1})).await.done();
    assert_eq!(kith.im("getUserVerify", json!({"useracc": b})).await.ok_d()["addVerify"], json!("1"));
    let c = user();
    kith.add(&c, &b).await.done();
    assert!(kith.friends_of(&c).await.friends().is_empty());
}

#[tokio::test]
async fn set_user_verify_requires_zero_or_one() {
    let (kith, a) = (shared().await, user());
    for bad in [json!("2"), json!(""), json!("true"), json!(true)] {
        let answer = kith.im("setUserVerify", json!({"useracc": a, "addVerify": bad})).await;
        assert_eq!(answer.json()["statusCode"], json!("112180"), "{bad}");
    }
    kith.im("setUserVerify", json!({"useracc": a})).await.fails_d("112180", "addVerify: missing");
    kith.im("setUserVerify", json!({"useracc": a, "addVerify": null})).await.fails_d("112180", "addVerify: missing");
}

#[tokio::test]
async fn crossing_requests_are_an_agreement_without_a_second_row() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.add(&a, &b).await.done();
    kith.add(&b, &a).await.done();
    assert_eq!(kith.friends_of(&a).await.friends(), [full(&b)]);
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "1", "hello"])]);
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "1", "hello"])]);
}

#[tokio::test]
async fn whoever_still_holds_me_needs_no_asking_and_only_my_list_changes() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.befriend(&a, &b).await;
    kith.del(&a, &b, "0").await.done();
    assert_eq!(kith.friends_of(&b).await.friends(), [full(&a)]);
    let (before, rows) = (kith.friends_of(&b).await.timestamp(), kith.requests_of(&b).await);
    kith.add(&a, &b).await.done();
    assert_eq!(kith.friends_of(&a).await.friends(), [full(&b)]);
    assert_eq!(kith.friends_of(&b).await.timestamp(), before);
    assert_eq!(kith.requests_of(&b).await, rows);
}

#[tokio::test]
async fn an_invitation_to_one_who_no_longer_holds_me_waits_and_is_settled_when_he_adds_me() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.befriend(&a, &b).await;
    kith.del(&a, &b, "0").await.done();
    // b holds a, a does not hold b and wants to be asked: dealState "0" again on a new invitation.
    kith.add(&b, &a).await.done();
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "1", "hello"]), row([&a, "0", "0", "hello"])]);
    kith.add(&a, &b).await.done();
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "1", "hello"]), row([&a, "0", "1", "hello"])]);
    assert_eq!(kith.friends_of(&a).await.friends(), [full(&b)]);
}

#[tokio::test]
async fn adding_a_friend_again_is_a_success_and_changes_nothing() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.befriend(&a, &b).await;
    let before = (kith.friends_of(&a).await.text, kith.friends_of(&b).await.text, kith.requests_of(&a).await);
    kith.add(&a, &b).await.done();
    kith.add(&b, &a).await.done();
    let after = (kith.friends_of(&a).await.text, kith.friends_of(&b).await.text, kith.requests_of(&a).await);
    assert_eq!(before, after);
}

#[tokio::test]
async fn texts_have_limits_and_may_be_absent() {
    let (kith, a) = (shared().await, user());
    for (call, field, max) in [
        ("addFriend", "message", 256),
        ("addFriend", "source", 64),
        ("friendRefuse", "message", 256),
        ("setFriendRemark", "remarkName", 64),
    ] {
        let text = format!("{field}: longer than {max} characters");
        let body = json!({"useracc": a, "friendUseracc": user(), field: "张".repeat(max + 1)});
        kith.im(call, body).await.fails_d("112180", &text);
    }
    let (b, c) = (user(), user());
    let longest = json!({"useracc": a, "friendUseracc": b, "message": "张".repeat(256), "source": "x".repeat(64)});
    kith.im("addFriend", longest).await.done();
    kith.im("addFriend", json!({"useracc": a, "friendUseracc": c})).await.done();
    let list = kith.im("friendMessage", json!({"useracc": a})).await;
    assert_eq!(list.entries("inviteList", ["message", "source"]), [["张".repeat(256), "x".repeat(64)], row(["", ""])]);
    kith.im("setFriendRemark", json!({"useracc": a, "friendUseracc": b}))
        .await
        .fails_d("112180", "remarkName: missing");
    kith.im("addFriend", json!({"useracc": a})).await.fails_d("112180", "friendUseracc: missing");
}

#[tokio::test]
async fn nobody_is_his_own_friend() {
    let (kith, a) = (shared().await, user());
    kith.add(&a, &a).await.fails_d("112183", "the other user is oneself");
    let pair = json!({"useracc": a, "friendUseracc": full(&a)});
    kith.im("importFriends", json!({"friendsList": [pair]})).await.fails_d("112183", "the other user is oneself");
}

#[tokio::test]
async fn agreeing_needs_a_pending_request_to_the_operator() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.agree(&b, &a).await.fails_d("112185", "no such pending request");
    kith.add(&a, &b).await.done();
    // The asker cannot agree to his own request.
    kith.agree(&a, &b).await.fails_d("112185", "no such pending request");
    kith.im("friendAgree", json!({"useracc": b, "friendUseracc": a})).await.done();
    kith.agree(&b, &a).await.fails_d("112195", "already handled");
    let refuse = json!({"useracc": b, "friendUseracc": a});
    kith.im("friendRefuse", refuse).await.fails_d("112195", "already handled");
}

#[tokio::test]
async fn a_refused_request_is_gone_for_the_refuser_and_tells_the_asker_why() {
    let (kith, a, b, c) = (shared().await, user(), user(), user());
    for asker in [&a, &c] {
        kith.add(asker, &b).await.done();
    }
    kith.im("friendRefuse", json!({"useracc": b, "friendUseracc": a, "message": "拒绝原因"})).await.done();
    kith.im("friendRefuse", json!({"useracc": b, "friendUseracc": c})).await.done();
    assert!(kith.requests_of(&b).await.is_empty());
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "0", "拒绝原因"])]);
    assert_eq!(kith.requests_of(&c).await, [row([&b, "0", "0", ""])]);
    kith.agree(&b, &a).await.fails_d("112185", "no such pending request");
    // It is no longer pending: a crossing request is a request of its own.
    kith.add(&b, &a).await.done();
    assert!(kith.friends_of(&b).await.friends().is_empty());
    assert_eq!(kith.requests_of(&b).await, [row([&a, "0", "0", "hello"])]);
    // However they become friends, all rows of the pair say so.
    kith.agree(&a, &b).await.done();
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "1", "拒绝原因"]), row([&b, "1", "1", "hello"])]);
}

#[tokio::test]
async fn asking_again_after_a_refusal_is_pending_again() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.add(&a, &b).await.done();
    kith.im("friendRefuse", json!({"useracc": b, "friendUseracc": a, "message": "no"})).await.done();
    kith.add(&a, &b).await.done();
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "0", "hello"])]);
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "0", "hello"])]);
    kith.agree(&b, &a).await.done();
}

#[tokio::test]
async fn deleting_takes_one_side_or_both_and_leaves_deal_state() {
    let (kith, a, b, c) = (shared().await, user(), user(), user());
    kith.befriend(&a, &b).await;
    kith.befriend(&a, &c).await;
    kith.del(&a, &b, "0").await.done();
    kith.del(&a, &c, "1").await.done();
    assert_eq!(kith.whole_list(&a).await, [row([&b, "0"]), row([&c, "0"])]);
    assert_eq!(kith.whole_list(&b).await, [row([&a, "1"])]);
    assert_eq!(kith.whole_list(&c).await, [row([&a, "0"])]);
    assert_eq!(kith.requests_of(&a).await, [row([&b, "0", "1", "hello"]), row([&c, "0", "1", "hello"])]);
    kith.del(&a, &b, "0").await.fails_d("112186", "not a friend");
    kith.del(&a, &b, "1").await.fails_d("112186", "not a friend");
    kith.del(&a, &user(), "").await.fails_d("112186", "not a friend");
    assert_eq!(kith.whole_list(&b).await, [row([&a, "1"])]);
}

#[tokio::test]
async fn a_former_friends_remark_is_cleared() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.befriend(&a, &b).await;
    kith.im("setFriendRemark", json!({"useracc": a, "friendUseracc": b, "remarkName": "备注"})).await.ok_d();
    kith.del(&a, &b, "1").await.done();
    let list = json!({"useracc": a, "isUpdate": "1"});
    let remark = async || kith.im("getFriends", list.clone()).await.entries("friendsList", ["remarkName"]);
    assert_eq!(remark().await, [row([""])]);
    kith.befriend(&a, &b).await;
    assert_eq!(remark().await, [row([""])]);
}

#[tokio::test]
async fn a_remark_is_the_operators_and_its_time_is_the_entrys_to_the_second() {
    let (kith, a, b) = (shared().await, user(), user());
    let body = json!({"useracc": a, "friendUseracc": b, "remarkName": "备注"});
    kith.im("setFriendRemark", body.clone()).await.fails_d("112186", "not a friend");
    kith.befriend(&a, &b).await;
    let answer = kith.im("setFriendRemark", body).await;
    let list = kith.friends_of(&a).await;
    answer.is(json!({"statusCode": "000000", "statusMsg": "success", "timestamp": list.timestamp()[..19]}));
    assert_eq!(list.entries("friendsList", ["remarkName"]), [row(["备注"])]);
    assert_eq!(kith.friends_of(&b).await.entries("friendsList", ["remarkName"]), [row([""])]);
    let longest = json!({"useracc": a, "friendUseracc": b, "remarkName": "张".repeat(64)});
    kith.im("setFriendRemark", longest).await.ok_d();
    kith.im("setFriendRemark", json!({"useracc": a, "friendUseracc": b, "remarkName": ""})).await.ok_d();
    assert_eq!(kith.friends_of(&a).await.entries("friendsList", ["remarkName"]), [row([""])]);
}

fn pairs(list: &[(&str, &str)]) -> Value {
    let pairs: Vec<_> = list.iter().map(|(a, b)| json!({"useracc": a, "friendUseracc": full(b)})).collect();
    json!({ "friendsList": pairs })
}

#[tokio::test]
async fn an_import_makes_friends_both_ways_without_asking_and_again_changes_nothing() {
    let (kith, a, b, c) = (shared().await, user(), user(), user());
    kith.add(&a, &b).await.done();
    // The same pair twice, and the other way round.
    let list = pairs(&[(&a, &b), (&a, &c), (&b, &a), (&a, &b)]);
    kith.im("importFriends", list.clone()).await.done();
    let mut friends = kith.friends_of(&a).await.friends();
    friends.sort();
    let mut expected = [full(&b), full(&c)];
    expected.sort();
    assert_eq!(friends, expected);
    assert_eq!(kith.friends_of(&c).await.friends(), [full(&a)]);
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "1", "hello"])]);
    assert!(kith.requests_of(&c).await.is_empty());
    let before = (kith.friends_of(&a).await.text, kith.friends_of(&b).await.text);
    tokio::time::sleep(Duration::from_millis(5)).await;
    kith.im("importFriends", list).await.done();
    assert_eq!((kith.friends_of(&a).await.text, kith.friends_of(&b).await.text), before);
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_takes_1_to_1000_pairs_of_its_own_app() {
    let (kith, a, b) = (shared().await, user(), user());
    let foreign = json!({"useracc": a, "friendUseracc": format!("{}#x", DOCUMENTS.id)});
    let good = json!({"useracc": a, "friendUseracc": b});
    let import = async |list: Value| kith.im("importFriends", json!({ "friendsList": list })).await;
    import(json!([good, foreign]))
        .await
        .fails_d("112182", "friendsList[1].friendUseracc: users of that app are not allowed here");
    import(json!([good, {"useracc": a}])).await.fails_d("112180", "friendsList[1].friendUseracc: missing");
    import(json!([good, {"useracc": a, "friendUseracc": a}])).await.fails_d("112183", "the other user is oneself");
    import(json!([])).await.fails_d("112180", "friendsList: must not be empty");
    import(json!("x")).await.fails_d("112180", "friendsList: must be a list");
    kith.im("importFriends", json!({})).await.fails_d("112180", "friendsList: missing");
    import(json!(vec![good.clone(); 1001])).await.fails_d("112188", "friendsList: more than 1000 entries");
    assert!(kith.whole_list(&a).await.is_empty());
    import(json!(vec![good; 1000])).await.done();
    assert_eq!(kith.whole_list(&a).await, [row([&b, "1"])]);
}

#[tokio::test]
async fn across_apps_only_those_that_the_paths_app_lists_are_reached() {
    // `shop` lists `kith`, which lists nobody.
    let stack = Stack::start(&[
        ("KITH__APPS__KITH__ID", "kith"),
        ("KITH__APPS__KITH__SECRET", "a"),
        ("KITH__APPS__KITH__AUTH_TOKEN", KITH.token),
        ("KITH__APPS__SHOP__ID", DOCUMENTS.id),
        ("KITH__APPS__SHOP__SECRET", "b"),
        ("KITH__APPS__SHOP__AUTH_TOKEN", DOCUMENTS.token),
        ("KITH__APPS__SHOP__CROSS_APP", "kith"),
    ])
    .await;
    let kith = stack.client();
    let shopper = format!("{}#s", DOCUMENTS.id);
    kith.add("a", "b").await.done();
    let answer = kith.im("addFriend", json!({"useracc": "a", "friendUseracc": shopper})).await;
    answer.fails_d("112182", "friendUseracc: users of that app are not allowed here");
    let answer = kith.im("addFriend", json!({"useracc": "a", "friendUseracc": "nobody#s"})).await;
    answer.fails_d("112182", "friendUseracc: users of that app are not allowed here");
    kith.im_of(DOCUMENTS, "addFriend", json!({"useracc": shopper, "friendUseracc": "kith#a"})).await.done();
    kith.open_door("a").await;
    kith.im_of(DOCUMENTS, "addFriend", json!({"useracc": "s", "friendUseracc": "kith#a"})).await.done();
    // A full useracc across apps, the account alone within: whoever asks, and whatever `cross_app` says of him.
    let simple = json!({"useracc": "a", "isUpdate": "0", "isSimpUseracc": "1"});
    assert_eq!(kith.im("getFriends", simple).await.friends(), [shopper]);
    let simple = json!({"useracc": "s", "isUpdate": "0", "isSimpUseracc": "1"});
    assert_eq!(kith.im_of(DOCUMENTS, "getFriends", simple).await.friends(), ["kith#a"]);
}

#[tokio::test]
async fn both_sides_limits_hold_and_a_full_side_changes_nothing() {
    let stack = Stack::start(&[("KITH__FRIENDS__MAX_FRIENDS", "2"), ("KITH__FRIENDS__MAX_PENDING", "2")]).await;
    let kith = stack.client();
    // Requests: the asked one is full, then the asker.
    for asker in ["a1", "a2"] {
        kith.add(asker, "full").await.done();
    }
    kith.add("a3", "full").await.fails_d("112188", "too many pending requests");
    assert!(kith.requests_of("a3").await.is_empty());
    assert_eq!(kith.requests_of("full").await.len(), 2);
    kith.add("full", "a4").await.fails_d("112188", "too many pending requests");
    // The same invitation again is no further one.
    kith.add("a1", "full").await.done();
    // A refusal makes room; the asker's own row still counts for him.
    kith.im("friendRefuse", json!({"useracc": "full", "friendUseracc": "a1"})).await.done();
    kith.add("a3", "full").await.done();
    kith.add("a1", "x1").await.done();
    kith.add("a1", "x2").await.fails_d("112188", "too many pending requests");
    // Friends: by agreement, open door, import.
    kith.im("importFriends", pairs(&[("p", "q1"), ("p", "q2")])).await.done();
    kith.add("p", "r").await.done();
    kith.agree("r", "p").await.fails_d("112188", "too many friends");
    assert_eq!(kith.requests_of("r").await, [row(["p", "1", "0", "hello"])]);
    kith.open_door("p").await;
    kith.add("s", "p").await.fails_d("112188", "too many friends");
    kith.im("importFriends", pairs(&[("t", "u"), ("t", "p")])).await.fails_d("112188", "too many friends");
    assert!(kith.whole_list("t").await.is_empty() && kith.whole_list("s").await.is_empty());
    // A former friend's row does not count.
    kith.del("p", "q1", "1").await.done();
    kith.agree("r", "p").await.done();
}
