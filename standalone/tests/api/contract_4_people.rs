//! Contract §4: getPersonInfo, getFriendInfo.

use crate::friends::{DOCUMENTS, full, user};
use crate::stack::shared;
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
    kith.im("delFriend", json!({"useracc": a, "friendUseracc": other, "allDel": "1"})).await.done();
    assert_eq!(info().await, ["", "", "3"]);
}
