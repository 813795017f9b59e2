//! What an app can do to another app's users: nothing, but for what `cross_app` names (design §2).

use crate::client::{Client, OTHER_SECRET, SECRET, WRONG};
use crate::friends::{App, DOCUMENTS, KITH, authorization, local, now, sig};
use crate::socket::Socket;
use crate::stack::{Stack, name};
use crate::tusers::{OTHER_APP, PASSWORD, done, gif, md5};
use serde_json::{Value, json};

/// Two apps, of which neither lists the other, and a user of the second.
async fn stack() -> (Stack, Client) {
    let stack = Stack::start(&[
        ("KITH__APPS__KITH__ID", KITH.id),
        ("KITH__APPS__KITH__SECRET", SECRET),
        ("KITH__APPS__KITH__AUTH_TOKEN", KITH.token),
        ("KITH__APPS__OTHER__ID", DOCUMENTS.id),
        ("KITH__APPS__OTHER__SECRET", OTHER_SECRET),
        ("KITH__APPS__OTHER__AUTH_TOKEN", DOCUMENTS.token),
        ("RUST_LOG", "warn"),
    ])
    .await;
    let kith = stack.client();
    (stack, kith)
}

async fn of_other(kith: &Client, path: &str, mut body: Value) -> Value {
    body["secret"] = json!(OTHER_SECRET);
    kith.post(path, body).await.ok_b()
}

fn full(account: &str) -> String {
    format!("{}#{account}", DOCUMENTS.id)
}

#[tokio::test]
async fn in_family_b_another_apps_users_are_unknown_and_untouched() {
    let (_stack, kith) = stack().await;
    let victim = json!({"platform": 1, "uid": "victim", "name": "Victim", "password": PASSWORD});
    let token = of_other(&kith, "/auth/user_register", victim).await["data"]["token"].as_str().unwrap().to_owned();
    let _socket = Socket::open(&kith.url, &token).await;
    let info = async || of_other(&kith, "/user/get_users_info", json!({"userIDList": ["victim"]})).await;
    let before = info().await;

    kith.user_token("victim", 1).await.fails_b(404, "user not registered");
    kith.parse(&token).await.fails_b(702, "token invalid");
    kith.force_logout("victim", 0).await.ok_b();
    kith.users_info(json!(["victim"])).await.is(json!({"errCode": 0, "errMsg": "", "data": []}));
    kith.update("victim", json!({"name": "Mallory", "password": "stolen-password"}))
        .await
        .fails_b(404, "user not registered");
    let online = kith.online(json!(["victim"])).await.ok_b();
    assert_eq!(online["successResult"], json!([{"userID": "victim", "status": "offline"}]));
    // A namesake is somebody else.
    kith.register_with("victim", json!({"name": "Namesake"})).await.ok_b();
    kith.force_logout("victim", 0).await.ok_b();
    kith.update("victim", json!({"name": "Mallory"})).await.ok_b();

    assert_eq!(info().await, before);
    of_other(&kith, "/auth/parse_token", json!({"token": token})).await;
    let online = json!({"operationID": "1", "userIDList": ["victim"]});
    let online = of_other(&kith, "/user/get_users_online_status", online).await;
    assert_eq!(online["successResult"][0]["status"], json!("online"));
}

#[tokio::test]
async fn family_c_and_the_binding_page_know_the_system_apps_accounts_only() {
    let (_stack, kith) = stack().await;
    let victim = json!({"platform": 1, "uid": "victim", "name": "Victim", "password": PASSWORD, "isAdmin": true});
    let token = of_other(&kith, "/auth/user_register", victim).await["data"]["token"].as_str().unwrap().to_owned();
    for call in ["user_get_token", "user_get_group_list", "group_create", "group_sync", "customer_service_get_info"] {
        let path = format!("/im/{call}/");
        kith.form(&path, &[("username", "victim"), ("password", PASSWORD), ("name", "g")]).await.fails_c(WRONG);
        kith.form(&path, &[("username", "victim"), ("token", &token), ("name", "g")]).await.fails_c(WRONG);
    }
    kith.userinfo("victim").await.fails_c("no such user");
    // A namesake of the system app is not opened by the other's token or password.
    kith.register_with("victim", json!({"password": "another password"})).await.ok_b();
    kith.sign_in("victim", PASSWORD).await.fails_c(WRONG);
    kith.form("/im/user_get_token/", &[("username", "victim"), ("token", &token)]).await.fails_c(WRONG);
}

#[tokio::test]
async fn in_family_a_an_apps_data_are_its_own() {
    let (_stack, kith) = stack().await;
    let key = name("key");
    let in_other = [("tuser_key", key.as_str()), ("app_id", OTHER_APP)];
    let course = "0".repeat(32);
    kith.sync_basics(&key, &[("name", "Here")]).await.is(done());
    kith.a("tu_rc_sync_urb_from_hp", &[&in_other[..], &[("name", "There")]].concat()).await.is(done());
    let token = kith.a("tu_rc_get_urt_from_hp", &in_other).await.ok_a()["token"].as_str().unwrap().to_owned();
    let (from, to) = ("2016-04-01 01:01:01", "2017-04-01 01:01:01");
    kith.sync_course(&key, OTHER_APP, &course, from, to).await.is(done());

    let here = kith.usr(&[("tuser_key", &key)]).await.ok_a();
    assert_eq!((&here["name"], &here["token"]), (&json!("Here"), &json!("")));
    assert_eq!(kith.rs(&key).await, "-2");
    let asked = [("tuser_key", key.as_str()), ("type", "lnvalidth"), ("ln_md5", &course)];
    assert_eq!(kith.info(&asked).await.ok_a()["isExisted"], json!("0"));
    // Replacing here moves nothing there.
    let new = name("new");
    kith.replace(&[("tuser_key_d", &new), ("tuser_key_s", &key)]).await.is(done());
    let asked = [&asked[..], &[("app_id", OTHER_APP)]].concat();
    assert_eq!(kith.info(&asked).await.ok_a()["isExisted"], json!("1"));
    let there = kith.usr(&[&in_other[..], &[]].concat()).await.ok_a();
    assert_eq!((&there["name"], &there["token"]), (&json!("There"), &json!(token)));
    // The token is the other app's.
    kith.parse(&token).await.fails_b(702, "token invalid");
    let parsed = of_other(&kith, "/auth/parse_token", json!({"token": token})).await;
    assert_eq!(parsed["data"]["uid"], json!(md5(&key)));
}

/// Every call of family D: its name, its body with `me` acting on `other`, and the field that names the other.
fn calls(me: &str, other: &str) -> Vec<(&'static str, Value, Option<&'static str>)> {
    let pair = json!({"useracc": me, "friendUseracc": other});
    let with = |more: Value| {
        let mut body = pair.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    vec![
        ("getFriends", json!({"useracc": me}), None),
        ("friendMessage", json!({"useracc": me}), None),
        ("addFriend", pair.clone(), Some("friendUseracc")),
        ("friendAgree", pair.clone(), Some("friendUseracc")),
        ("friendRefuse", pair.clone(), Some("friendUseracc")),
        ("delFriend", with(json!({"allDel": "1"})), Some("friendUseracc")),
        ("setFriendRemark", with(json!({"remarkName": "x"})), Some("friendUseracc")),
        ("setUserVerify", json!({"useracc": me, "addVerify": "0"}), None),
        ("getUserVerify", json!({"useracc": me}), None),
        ("importFriends", json!({"friendsList": [pair.clone()]}), Some("friendsList[0].friendUseracc")),
        ("getPersonInfo", json!({"useracc": me, "searchContent": other}), Some("searchContent")),
        ("getFriendInfo", pair.clone(), Some("friendUseracc")),
        ("getUserAvatar", json!({"useracc": me}), None),
        ("batchGetUserAvatar", json!({"useraccList": [other]}), Some("useraccList")),
    ]
}

#[tokio::test]
async fn in_family_d_an_operator_of_another_app_is_refused_on_every_call() {
    let (_stack, kith) = stack().await;
    kith.im_of(DOCUMENTS, "addFriend", json!({"useracc": "victim", "friendUseracc": "friend"})).await.done();
    kith.im_of(DOCUMENTS, "friendAgree", json!({"useracc": "friend", "friendUseracc": "victim"})).await.done();
    kith.im_of(DOCUMENTS, "addFriend", json!({"useracc": "asker", "friendUseracc": "victim"})).await.done();
    let all = json!({"useracc": "victim", "isUpdate": "1", "isAllPage": "1"});
    let picture = async || {
        let mut seen = Vec::new();
        for call in ["getFriends", "friendMessage", "getUserVerify", "getUserAvatar"] {
            seen.push(kith.im_of(DOCUMENTS, call, all.clone()).await.ok_d());
        }
        seen
    };
    let before = picture().await;

    let mut refused = 0;
    for (call, body, _) in calls(&full("victim"), &full("asker")) {
        let answer = kith.im(call, body.clone()).await.json();
        let code = answer["statusCode"].as_str().unwrap();
        // Where the operator counts it is he who is refused; an import and an avatar have none.
        assert!(["112181", "112182"].contains(&code), "{call}: {answer}");
        assert_eq!(answer.as_object().unwrap().len(), 2, "{call}: {answer}");
        refused += 1;
        // Nor does a signature of one app open the other's path.
        kith.send(misdirected(&kith, call, &body, KITH))
            .await
            .fails_d("111107", "Authorization: the id is not that of the path");
        kith.send(misdirected(&kith, call, &body, DOCUMENTS)).await.fails_d("111109", "sig is wrong");
    }
    let image = gif(7);
    let upload = kith.signed(KITH, "uploadAvatar", &format!("&useracc={}%23victim", DOCUMENTS.id)).body(image);
    kith.send(upload).await.fails_d("112181", "useracc: not of this app");
    assert_eq!(refused + 1, 15, "every call of the document");
    assert_eq!(picture().await, before);
}

#[tokio::test]
async fn in_family_d_another_apps_users_are_refused_on_every_call_that_names_them() {
    let (_stack, kith) = stack().await;
    kith.im_of(DOCUMENTS, "setUserVerify", json!({"useracc": "victim", "addVerify": "0"})).await.done();
    for (call, body, field) in calls("me", &full("victim")) {
        let answer = kith.im(call, body).await;
        match field {
            None => drop(answer.ok_d()),
            Some(field) => {
                let text = answer.json()["statusMsg"].as_str().unwrap().to_owned();
                assert_eq!(answer.json()["statusCode"], json!("112182"), "{call}: {text}");
                assert!(text.starts_with(field), "{call}: {text}");
            }
        }
    }
    let theirs = kith.im_of(DOCUMENTS, "getFriends", json!({"useracc": "victim", "isUpdate": "1"})).await;
    assert!(theirs.friends().is_empty());
}

/// A call on the other app's path, with an Authorization of the app that calls, or of the path's with the caller's
/// own signature.
fn misdirected(kith: &Client, call: &str, body: &Value, claimed: App) -> reqwest::RequestBuilder {
    let time = local(now());
    let forged = App { id: claimed.id, token: KITH.token };
    let path = format!("/2013-12-26/Application/{}/IM/{call}?sig={}", DOCUMENTS.id, sig(forged, &time));
    kith.request(reqwest::Method::POST, &path)
        .header("Authorization", authorization(claimed.id, &time))
        .body(body.to_string())
}
