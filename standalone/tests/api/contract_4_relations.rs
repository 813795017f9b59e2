//! Contract §4: becoming friends and ceasing to be: addFriend, friendAgree, friendRefuse, delFriend,
//! setFriendRemark, setUserVerify, getUserVerify.

use crate::friends::{full, row, user};
use crate::stack::shared;
use serde_json::json;

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
    let pair = json!({"useracc": a, "friendUseracc": a, "remarkName": "me"});
    for call in ["friendAgree", "friendRefuse", "delFriend", "setFriendRemark"] {
        kith.im(call, pair.clone()).await.fails_d("112183", "the other user is oneself");
    }
    let pair = json!({"useracc": a, "friendUseracc": full(&a)});
    kith.im("importFriends", json!({"friendsList": [pair]})).await.fails_d("112183", "the other user is oneself");
    for call in ["friendAgree", "friendRefuse", "delFriend", "setFriendRemark"] {
        let body = json!({"useracc": a, "friendUseracc": full(&a), "remarkName": "me"});
        kith.im(call, body).await.fails_d("112183", "the other user is oneself");
    }
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
    // The same remark again changes nothing: the entry's time stays.
    let again = json!({"useracc": a, "friendUseracc": b, "remarkName": "备注"});
    kith.im("setFriendRemark", again).await.ok_d();
    assert_eq!(kith.friends_of(&a).await.text, list.text);
    let longest = json!({"useracc": a, "friendUseracc": b, "remarkName": "张".repeat(64)});
    kith.im("setFriendRemark", longest).await.ok_d();
    kith.im("setFriendRemark", json!({"useracc": a, "friendUseracc": b, "remarkName": ""})).await.ok_d();
    assert_eq!(kith.friends_of(&a).await.entries("friendsList", ["remarkName"]), [row([""])]);
}
