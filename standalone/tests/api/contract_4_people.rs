//! Contract §4: getPersonInfo, getFriendInfo.

use crate::contract_4_avatars::{png, upload};
use crate::friends::{DOCUMENTS, full, user};
use crate::stack::{name, shared};
use crate::tusers::md5;
use serde_json::{Value, json};

fn profile() -> Value {
    json!({"name": "昵称", "icon": "http://url", "gender": 1, "mobile": "15031031254", "birth": "1998.12.15",
        "region": "北京市朝阳区", "sign": "12345"})
}

#[tokio::test]
async fn a_persons_info_is_the_accounts_and_the_operators_view_of_him() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.register_with(&b, profile()).await.ok_b();
    // As the Android demo asks.
    let ask = async || kith.im("getPersonInfo", json!({"useracc": full(&a), "searchContent": full(&b)})).await;
    let mut expected = json!({
        "statusCode": "000000", "statusMsg": "success", "useracc": full(&b), "phoneNumber": "15031031254",
        "nickName": "昵称", "region": "北京市朝阳区", "sign": "12345", "avatar": "http://url", "state": "0",
        "birthDay": "1998.12.15", "sex": "1", "remarkName": ""
    });
    ask().await.is(expected.clone());
    kith.befriend(&a, &b).await;
    kith.im("setFriendRemark", json!({"useracc": a, "friendUseracc": b, "remarkName": "备注"})).await.ok_d();
    expected["state"] = json!("1");
    expected["remarkName"] = json!("备注");
    ask().await.is(expected.clone());
    // The account itself, not a copy: a change shows at once.
    kith.update(&b, json!({"name": "neu", "gender": 2})).await.ok_b();
    expected["nickName"] = json!("neu");
    expected["sex"] = json!("2");
    ask().await.is(expected.clone());
    expected["useracc"] = json!(b);
    kith.im("getPersonInfo", json!({"useracc": a, "searchContent": b, "isSimpUseracc": "1"})).await.is(expected);
}

#[tokio::test]
async fn known_is_who_has_an_account_or_appears_among_friends() {
    let (kith, a, b) = (shared().await, user(), user());
    let ask = async |whom: &str| kith.im("getPersonInfo", json!({"useracc": a, "searchContent": whom})).await;
    ask(&b).await.fails_d("112187", "no such user");
    // A call that fails makes nobody known.
    kith.del(&b, &a, "1").await.fails_d("112186", "not a friend");
    kith.agree(&b, &a).await.fails_d("112185", "no such pending request");
    ask(&b).await.fails_d("112187", "no such user");
    kith.add(&a, &b).await.done();
    ask(&b).await.is(json!({
        "statusCode": "000000", "statusMsg": "success", "useracc": full(&b), "phoneNumber": "", "nickName": "",
        "region": "", "sign": "", "avatar": "", "state": "0", "birthDay": "", "sex": "", "remarkName": ""
    }));
    let c = user();
    kith.open_door(&c).await;
    ask(&c).await.ok_d();
    // By an import, which leaves no requests.
    let (d, e) = (user(), user());
    kith.im("importFriends", json!({"friendsList": [{"useracc": d, "friendUseracc": e}]})).await.done();
    ask(&d).await.ok_d();
    ask(&e).await.ok_d();
    kith.im("getPersonInfo", json!({"useracc": a})).await.fails_d("112180", "searchContent: missing");
}

#[tokio::test]
async fn a_friends_info_is_for_friends() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.register_with(&b, profile()).await.ok_b();
    let ask = async || kith.im("getFriendInfo", json!({"useracc": full(&a), "friendUseracc": full(&b)})).await;
    ask().await.fails_d("112186", "not a friend");
    kith.befriend(&a, &b).await;
    kith.im("setFriendRemark", json!({"useracc": a, "friendUseracc": b, "remarkName": "备注名称"})).await.ok_d();
    ask().await.is(json!({
        "statusCode": "000000", "statusMsg": "success", "useracc": full(&b), "phoneNumber": "15031031254",
        "nickName": "昵称", "region": "北京市朝阳区", "sign": "12345", "remarkName": "备注名称", "avatar": "http://url",
        "birthDay": "1998.12.15", "sex": "1"
    }));
    kith.update(&b, json!({"name": "neu"})).await.ok_b();
    assert_eq!(ask().await.ok_d()["nickName"], json!("neu"));
    kith.del(&a, &b, "0").await.done();
    ask().await.fails_d("112186", "not a friend");
}

#[tokio::test]
async fn across_apps_phone_and_birthday_are_for_friends_only() {
    let (kith, a, b) = (shared().await, user(), user());
    let other = format!("{}#{b}", DOCUMENTS.id);
    kith.register_with(&b, json!({"secret": "tuoyun-2", "mobile": "1", "birth": "2", "sign": "3"})).await.ok_b();
    let info = async || {
        let body = kith.im("getPersonInfo", json!({"useracc": a, "searchContent": other})).await.ok_d();
        ["phoneNumber", "birthDay", "sign"].map(|f| body[f].as_str().unwrap().to_owned())
    };
    assert_eq!(info().await, ["", "", "3"]);
    kith.im("addFriend", json!({"useracc": a, "friendUseracc": other})).await.done();
    assert_eq!(info().await, ["", "", "3"]);
    kith.im_of(DOCUMENTS, "friendAgree", json!({"useracc": b, "friendUseracc": full(&a)})).await.done();
    assert_eq!(info().await, ["1", "2", "3"]);
    // Whoever has taken the operator off his list is no friend of his, though still on the operator's.
    kith.im_of(DOCUMENTS, "delFriend", json!({"useracc": b, "friendUseracc": full(&a), "allDel": "0"})).await.done();
    assert_eq!(info().await, ["", "", "3"]);
    let held = kith.im("getFriendInfo", json!({"useracc": a, "friendUseracc": other})).await.ok_d();
    assert_eq!((&held["phoneNumber"], &held["birthDay"], &held["sign"]), (&json!(""), &json!(""), &json!("3")));
    kith.im("delFriend", json!({"useracc": a, "friendUseracc": other, "allDel": "1"})).await.done();
    assert_eq!(info().await, ["", "", "3"]);
}

/// Its md5 is public, the key itself is the terminal user's only credential (contract §1).
#[tokio::test]
async fn no_answer_about_a_terminal_user_has_its_key() {
    let (kith, a, key) = (shared().await, user(), name("secret-key"));
    let t = md5(&key);
    let info = json!({"useracc": a, "searchContent": t});
    let mut answers = Vec::new();
    // Without a name, with one, and named as its md5: the ways in which one appears.
    for basics in [("br_intro", "x"), ("name", "张"), ("name", t.as_str())] {
        kith.sync_basics(&key, &[basics]).await.ok_a();
        kith.urt(&key, &[]).await.ok_a();
        answers.push(kith.im("getPersonInfo", info.clone()).await);
        answers.push(kith.add(&a, &t).await);
        answers.push(kith.add(&a, &t).await);
        for who in [&a, &t] {
            for order in ["1", "2"] {
                answers.push(kith.im("friendMessage", json!({"useracc": who, "order": order})).await);
            }
        }
        answers.push(kith.im("friendRefuse", json!({"useracc": t, "friendUseracc": a, "message": "no"})).await);
        answers.push(kith.im("friendMessage", json!({"useracc": a, "isSimpUseracc": "1"})).await);
        answers.push(kith.add(&t, &a).await);
        answers.push(kith.agree(&a, &t).await);
        answers.push(kith.agree(&a, &t).await);
        answers.push(kith.im("getPersonInfo", info.clone()).await);
        for (me, other) in [(&a, &t), (&t, &a)] {
            let pair = json!({"useracc": me, "friendUseracc": other, "remarkName": "r", "isSimpUseracc": "1"});
            answers.push(kith.im("getFriendInfo", pair.clone()).await);
            answers.push(kith.im("setFriendRemark", pair.clone()).await);
            answers.push(kith.im("setUserVerify", json!({"useracc": me, "addVerify": "1"})).await);
            answers.push(kith.im("getUserVerify", json!({"useracc": me})).await);
            for all in ["0", "1"] {
                let list = json!({"useracc": me, "isAllPage": all, "isUpdate": all, "isSimpUseracc": all});
                answers.push(kith.im("getFriends", list).await);
            }
            answers.push(kith.im("importFriends", json!({"friendsList": [pair]})).await);
            answers.push(kith.im("getUserAvatar", json!({"useracc": me})).await);
            answers.push(kith.im("batchGetUserAvatar", json!({"useraccList": [me, other]})).await);
        }
        answers.push(upload(&kith, &t, png(1, 1, &t)).await);
        answers.push(kith.im("getUserAvatar", json!({"useracc": t})).await);
        answers.push(kith.del(&a, &t, "1").await);
        answers.push(kith.im("getFriendInfo", json!({"useracc": a, "friendUseracc": t})).await);
    }
    // Whoever takes the key for an account is told nothing of whose it is.
    answers.push(kith.im("getUserAvatar", json!({"useracc": t, "updateTime": key})).await);
    for answer in &answers {
        assert_eq!(answer.status, 200);
        let headers = format!("{:?}", answer.headers);
        assert!(!answer.text.contains(&key) && !headers.contains(&key), "{headers} {}", answer.text);
    }
    // It was about that user.
    let about = answers.iter().filter(|answer| answer.text.contains(&t)).count();
    assert!(about >= 20, "only {about} answers name the user");
}
