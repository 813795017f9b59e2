//! Contract §3: the identity part of family C, svc-im-auth.

use crate::client::{WRONG, escape};
use crate::stack::{Stack, name, shared};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn user_get_token_answers_a_token_of_the_caller() {
    let (kith, uid) = (shared().await, name("u"));
    kith.reg_user(&uid, "password-1").await.is(json!({"ret": "ok", "reason": ""}));
    let body = kith.sign_in(&uid, "password-1").await.ok_c();
    assert_eq!(body.as_object().unwrap().len(), 3);
    let parsed = kith.parse(body["token"].as_str().unwrap()).await.ok_b();
    assert_eq!((&parsed["data"]["uid"], &parsed["data"]["platform"]), (&json!(uid), &json!("Web")));
    let body = kith
        .form("/im/user_get_token/", &[("username", &uid), ("password", "password-1"), ("platform", "2")])
        .await
        .ok_c();
    let parsed = kith.parse(body["token"].as_str().unwrap()).await.ok_b();
    assert_eq!(parsed["data"]["platform"], json!("Android"));
}

#[tokio::test]
async fn unknown_user_and_wrong_password_have_one_wording() {
    let (kith, uid) = (shared().await, name("u"));
    kith.reg_user(&uid, "password-1").await.ok_c();
    kith.sign_in(&uid, "password-2").await.fails_c(WRONG);
    kith.sign_in(&name("nobody"), "password-1").await.fails_c(WRONG);
    kith.sign_in(&uid, "").await.fails_c(WRONG);
    // Registered by an app server without a password: none is right.
    let without = name("u");
    kith.register(&without).await.ok_b();
    kith.sign_in(&without, "").await.fails_c(WRONG);
    kith.sign_in(&without, "password-1").await.fails_c(WRONG);
}

#[tokio::test]
async fn missing_parameters_are_named() {
    let kith = shared().await;
    kith.form("/im/user_get_token/", &[("password", "x")]).await.fails_c("username: missing");
    kith.form("/im/user_get_token/", &[("username", "x")]).await.fails_c("password: missing");
    kith.form("/im/user_get_token/", &[("username", ""), ("password", "x")])
        .await
        .fails_c("username: must not be empty");
    kith.form("/im/user_get_token/", &[]).await.fails_c("username: missing");
}

#[tokio::test]
async fn a_token_is_accepted_instead_of_the_password_and_counts_when_both_are_given() {
    let (kith, uid, other) = (shared().await, name("u"), name("u"));
    kith.reg_user(&uid, "password-1").await.ok_c();
    kith.reg_user(&other, "password-1").await.ok_c();
    let token = kith.sign_in(&uid, "password-1").await.ok_c()["token"].as_str().unwrap().to_owned();
    let call = async |username: &str, more: &[(&str, &str)]| {
        let pairs: Vec<(&str, &str)> = [("username", username)].iter().chain(more).copied().collect();
        kith.form("/im/user_get_token/", &pairs).await
    };
    call(&uid, &[("token", &token)]).await.ok_c();
    call(&uid, &[("token", &token), ("password", "wrong-password")]).await.ok_c();
    call(&uid, &[("token", "bad"), ("password", "password-1")]).await.fails_c(WRONG);
    // An empty token is none.
    call(&uid, &[("token", ""), ("password", "password-1")]).await.ok_c();
    call(&other, &[("token", &token)]).await.fails_c(WRONG);
    kith.force_logout(&uid, 0).await.ok_b();
    call(&uid, &[("token", &token)]).await.fails_c(WRONG);
}

#[tokio::test]
async fn a_token_of_another_app_is_none_here() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register_with(&uid, json!({"password": "password-1"})).await.ok_b();
    let there = kith.register_with(&uid, json!({"secret": crate::client::OTHER_SECRET})).await.ok_b()["data"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    kith.form("/im/user_get_token/", &[("username", &uid), ("token", &there)]).await.fails_c(WRONG);
}

#[tokio::test]
async fn bad_tokens_are_no_lock_out_failures() {
    let (kith, uid) = (shared().await, name("u"));
    kith.reg_user(&uid, "password-1").await.ok_c();
    for _ in 0..15 {
        kith.form("/im/user_get_token/", &[("username", &uid), ("token", "bad")]).await.fails_c(WRONG);
    }
    kith.sign_in(&uid, "password-1").await.ok_c();
}

#[tokio::test]
async fn bodies_are_form_multipart_query_or_json_with_trailing_commas() {
    let (kith, uid) = (shared().await, name("u"));
    kith.reg_user(&uid, "password-1").await.ok_c();
    let (path, pairs) = ("/im/user_get_token/", [("username", uid.as_str()), ("password", "password-1")]);
    kith.form(path, &pairs).await.ok_c();
    kith.multipart(path, &pairs).await.ok_c();
    kith.raw(&format!("{path}?username={uid}&password=password-1"), None, "").await.ok_c();
    // The document's own example, whatever the type says.
    let example = format!("{{ \"username\":\"{uid}\", \"password\":\"password-1\",}}");
    for kind in [None, Some("application/json"), Some("application/x-www-form-urlencoded"), Some("text/plain")] {
        kith.raw(path, kind, example.clone()).await.ok_c();
    }
    let as_multipart = Some("multipart/form-data; boundary=x");
    kith.raw(path, as_multipart, format!("  \n{example}")).await.ok_c();
    // The body wins over the query.
    kith.raw(&format!("{path}?username=nobody&password=no-password"), None, example.clone()).await.ok_c();
    // Keys are trimmed, null is absent, scalars may be numbers, the slash is optional.
    let body =
        format!("{{\" username \": \"{uid}\", \"password\": \"password-1\", \"token\": null, \"platform\": \"3\"}}");
    kith.raw("/im/user_get_token", None, body).await.ok_c();
    kith.raw(path, None, "{\"username\": \"x\"").await.fails_c("the request's body is not JSON (line 1, column 16)");
    kith.raw(path, Some("multipart/form-data"), "x").await.fails_c("the request's body is not a readable form");
}

#[tokio::test]
async fn a_username_of_digits_may_come_as_a_number() {
    let kith = shared().await;
    let uid = format!("{}", 10_000_000_000u64 + u64::from(std::process::id()));
    kith.reg_user(&uid, "12345678").await.ok_c();
    kith.raw("/im/user_get_token/", None, format!("{{\"username\": {uid}, \"password\": 12345678}}")).await.ok_c();
    // More digits than a number holds exactly would be another user.
    kith.raw("/im/user_get_token/", None, "{\"username\": 123456789012345678901234567890, \"password\": \"x\"}")
        .await
        .fails_c("username: must be a string");
}

#[tokio::test]
async fn only_cmd_takes_get() {
    let (kith, uid) = (shared().await, name("u"));
    let answer = kith.get("/im/user_get_token/?username=a&password=b").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(answer.json(), json!({"ret": "failed", "reason": "this call does not take that method"}));
    let path = format!("/cmd?cmd=reg_user&username={uid}&password=password-1&nickname=%E5%BC%A0%E4%B8%89");
    kith.get(&path).await.ok_c();
    kith.form("/cmd/", &[("cmd", "get_userinfo"), ("username", &uid)]).await.ok_c();
    assert_eq!(kith.send(kith.request(Method::PUT, "/cmd")).await.status, 405);
}

#[tokio::test]
async fn get_userinfo_has_the_examples_fields_and_types() {
    let (kith, uid) = (shared().await, name("u"));
    kith.form("/cmd", &[("cmd", "reg_user"), ("username", &uid), ("password", "password-1"), ("nickname", "9527")])
        .await
        .ok_c();
    kith.userinfo(&uid).await.is(json!({"ret": "ok", "reason": "", "username": uid, "nickname": "9527", "desc": "",
        "thumb": "", "expert_status": 0, "point": "0", "is_public_number": false, "is_admin": false, "yue": 0,
        "jifen": 0}));
    kith.userinfo(&name("nobody")).await.fails_c("no such user");
    kith.get("/cmd/?cmd=get_userinfo").await.fails_c("username: missing");
}

#[tokio::test]
async fn reg_user_keeps_its_rules() {
    let (kith, uid) = (shared().await, name("u"));
    for (username, password, reason) in [
        ("", "password-1", "username: must not be empty".to_owned()),
        (&"x".repeat(65), "password-1", "username: longer than 64 characters".to_owned()),
        (&uid, "1234567", "password: shorter than 8 characters".to_owned()),
        (&uid, &"x".repeat(129), "password: longer than 128 characters".to_owned()),
        ("admin", "password-1", "this username cannot be registered".to_owned()),
        ("0123456789abcdef0123456789ABCDEF", "password-1", "this username cannot be registered".to_owned()),
    ] {
        kith.reg_user(username, password).await.fails_c(&reason);
    }
    let pairs = [("cmd", "reg_user"), ("username", &uid), ("password", "password-1"), ("nickname", &"x".repeat(65))];
    kith.form("/cmd", &pairs).await.fails_c("nickname: longer than 64 characters");
    kith.reg_user(&uid, "password-1").await.ok_c();
    kith.reg_user(&uid, "password-2").await.fails_c("already registered");
    kith.sign_in(&uid, "password-1").await.ok_c();
    // In any form: one that an app server registered is taken too.
    let other = name("u");
    kith.register(&other).await.ok_b();
    kith.reg_user(&other, "password-1").await.fails_c("already registered");
    kith.sign_in(&other, "password-1").await.fails_c(WRONG);
}

#[tokio::test]
async fn who_registers_himself_exists_in_family_b() {
    let (kith, uid) = (shared().await, name("u"));
    kith.reg_user(&uid, "password-1").await.ok_c();
    kith.user_token(&uid, 1).await.ok_b();
    kith.register(&uid).await.fails_b(601, "already registered");
}

#[tokio::test]
async fn unknown_commands_fail() {
    let kith = shared().await;
    kith.get("/cmd/?cmd=drop_tables").await.fails_c("cmd: unknown");
    kith.get("/cmd/").await.fails_c("cmd: missing");
}

#[tokio::test]
async fn closed_registration_refuses_everybody() {
    let stack = Stack::start(&[("KITH__IM_AUTH__OPEN_REGISTRATION", "false")]).await;
    let kith = stack.client();
    kith.reg_user("alice", "password-1").await.fails_c("self-registration is closed");
    kith.register_with("alice", json!({"password": "password-1"})).await.ok_b();
    kith.sign_in("alice", "password-1").await.ok_c();
}

#[tokio::test]
async fn admins_of_the_setting_are_administrators_and_registered_by_app_servers_only() {
    let stack = Stack::start(&[("KITH__IM_AUTH__ADMINS", "root, boss")]).await;
    let kith = stack.client();
    kith.reg_user("boss", "password-1").await.fails_c("this username cannot be registered");
    kith.register_with("boss", json!({"password": "password-1"})).await.ok_b();
    assert_eq!(kith.userinfo("boss").await.ok_c()["is_admin"], json!(true));
    // Of the system app only.
    kith.reg_user("admin", "password-1").await.ok_c();
    assert_eq!(kith.userinfo("admin").await.ok_c()["is_admin"], json!(false));
}

#[tokio::test]
async fn customer_service_answers_id_name_and_the_callers_token() {
    let (kith, uid) = (shared().await, name("u"));
    kith.reg_user(&uid, "password-1").await.ok_c();
    let pairs = [("username", uid.as_str()), ("password", "password-1")];
    let body = kith.form("/im/customer_service_get_info/", &pairs).await.ok_c();
    assert_eq!((&body["id"], &body["name"]), (&json!("haorenao_cs_001"), &json!("客服")));
    let parsed = kith.parse(body["token"].as_str().unwrap()).await.ok_b();
    assert_eq!(parsed["data"]["uid"], json!(uid));
    assert_eq!(body.as_object().unwrap().len(), 5);
    kith.form("/im/customer_service_get_info/", &[("username", &uid), ("password", "wrong")]).await.fails_c(WRONG);
}

#[tokio::test]
async fn without_a_configured_customer_service_the_call_fails() {
    let stack = Stack::start(&[
        ("KITH__APPS__KITH__ID", "kith"),
        ("KITH__APPS__KITH__SECRET", "tuoyun"),
        ("KITH__APPS__KITH__AUTH_TOKEN", "kith-dev-token"),
    ])
    .await;
    let kith = stack.client();
    kith.reg_user("alice", "password-1").await.ok_c();
    kith.form("/im/customer_service_get_info/", &[("username", "alice"), ("password", "password-1")])
        .await
        .fails_c("no customer service account is configured");
}

#[tokio::test]
async fn usernames_may_hold_anything_but_nul() {
    let kith = shared().await;
    let uid = format!("{} /?#%&=+\"'\\<张三>😀", name("u"));
    kith.reg_user(&uid, "password-1").await.ok_c();
    assert_eq!(kith.userinfo(&uid).await.ok_c()["username"], json!(uid));
    kith.sign_in(&uid, "password-1").await.ok_c();
    kith.reg_user("a\0b", "password-1").await.fails_c("username: contains a NUL character");
    kith.get("/cmd/?cmd=get_userinfo&username=%ff").await.fails_c("username: is not UTF-8");
    assert_eq!(escape("张"), "%E5%BC%A0");
}

// ---- the lock-out of design §5.4 ----

#[tokio::test]
async fn ten_failures_from_one_address_lock_a_username_there_right_password_or_not() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    kith.reg_user("alice", "password-1").await.ok_c();
    kith.reg_user("bob", "password-1").await.ok_c();
    // Verified before: the lock-out is looked at before what is remembered.
    kith.sign_in("alice", "password-1").await.ok_c();
    let token = kith.sign_in("alice", "password-1").await.ok_c()["token"].as_str().unwrap().to_owned();
    for _ in 0..9 {
        kith.sign_in("alice", "wrong-password").await.fails_c(WRONG);
    }
    kith.sign_in("alice", "password-1").await.ok_c();
    kith.sign_in("alice", "wrong-password").await.fails_c(WRONG);
    kith.sign_in("alice", "password-1").await.fails_c(WRONG);
    kith.sign_in("bob", "password-1").await.ok_c();
    // A token is never locked out.
    kith.form("/im/user_get_token/", &[("username", "alice"), ("token", &token)]).await.ok_c();
}
