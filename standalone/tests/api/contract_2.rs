//! Contract §2: family B, svc-im-auth (without the socket).

use crate::client::{OTHER_SECRET, SECRET};
use crate::stack::{Stack, name, shared};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[tokio::test]
async fn registration_answers_as_the_document_shows() {
    let (kith, uid) = (shared().await, name("u"));
    let request = json!({
        "secret": "tuoyun", "platform": 1, "uid": uid, "name": "张三", "icon": "https:oss.com.cn/head",
        "gender": 1, "mobile": "17812457845", "birth": "1998.12.15", "email": "xxxx@qq.com", "ex": "xxx"
    });
    let before = now();
    let body = kith.post("/auth/user_register", request).await.ok_b();
    let data = body["data"].as_object().unwrap();
    assert_eq!(body.as_object().unwrap().len(), 3);
    assert_eq!(data.keys().collect::<Vec<_>>(), ["expiredTime", "token", "uid"]);
    assert_eq!(data["uid"], json!(uid));
    // Absolute Unix seconds, seven days from now.
    let expires = data["expiredTime"].as_i64().unwrap();
    assert!((before + 604_800..=now() + 604_800).contains(&expires), "{expires}");
    kith.users_info(json!([uid])).await.is(json!({"errCode": 0, "errMsg": "", "data": [{
        "uid": uid, "name": "张三", "icon": "https:oss.com.cn/head", "gender": 1, "mobile": "17812457845",
        "birth": "1998.12.15", "email": "xxxx@qq.com", "ex": "xxx", "region": "", "sign": ""
    }]}));
}

#[tokio::test]
async fn the_bundled_demo_servers_registration_works() {
    // OpenIM's demo sends everything optional as "" and gender 0 (semantics C).
    let (kith, uid) = (shared().await, name("u"));
    let empty = json!({"icon": "", "mobile": "", "email": "", "birth": "", "ex": "", "gender": 0, "isAdmin": ""});
    kith.register_with(&uid, empty).await.ok_b();
}

#[tokio::test]
async fn limits_of_the_document_hold_and_name_the_field() {
    let (kith, uid) = (shared().await, name("u"));
    for (field, value, rule) in [
        ("uid", json!(""), "must not be empty"),
        ("uid", json!("x".repeat(65)), "longer than 64 characters"),
        ("name", json!("张".repeat(65)), "longer than 64 characters"),
        ("icon", json!("x".repeat(1025)), "longer than 1024 bytes"),
        ("icon", json!("张".repeat(342)), "longer than 1024 bytes"),
        ("gender", json!(3), "must be 0, 1 or 2"),
        ("gender", json!("-1"), "must be 0, 1 or 2"),
        ("mobile", json!("1".repeat(33)), "longer than 32 characters"),
        ("birth", json!("1".repeat(17)), "longer than 16 characters"),
        ("email", json!("x".repeat(65)), "longer than 64 characters"),
        ("ex", json!("x".repeat(1025)), "longer than 1024 characters"),
        ("region", json!("x".repeat(65)), "longer than 64 characters"),
        ("sign", json!("x".repeat(257)), "longer than 256 characters"),
        ("password", json!("1234567"), "shorter than 8 characters"),
        ("password", json!("x".repeat(129)), "longer than 128 characters"),
        ("isAdmin", json!("maybe"), "must be true or false"),
        ("platform", json!(0), "must be 1 to 7"),
        ("platform", json!(8), "must be 1 to 7"),
        ("platform", json!("iOS"), "must be an integer"),
        ("platform", json!(true), "must be an integer"),
        ("platform", json!(1.5), "must be an integer"),
        ("secret", json!("x".repeat(33)), "longer than 32 characters"),
        ("secret", json!(""), "must not be empty"),
        ("name", json!({"a": 1}), "must be a string"),
        ("name", json!("a\u{0}b"), "contains a NUL character"),
    ] {
        let answer = kith.register_with(&uid, json!({field: value})).await;
        answer.fails_b(400, &format!("{field}: {rule}"));
    }
    kith.users_info(json!([uid])).await.is(json!({"errCode": 0, "errMsg": "", "data": []}));
    let at_the_limit = json!({
        "name": "张".repeat(64), "icon": "x".repeat(1024), "mobile": "1".repeat(32), "birth": "1".repeat(16),
        "email": "x".repeat(64), "ex": "张".repeat(1024), "region": "x".repeat(64), "sign": "x".repeat(256),
        "password": "12345678"
    });
    kith.register_with(&uid, at_the_limit).await.ok_b();
}

#[tokio::test]
async fn required_fields_are_missed_by_name() {
    let kith = shared().await;
    let full = json!({"secret": SECRET, "platform": 1, "uid": name("u"), "name": ""});
    for field in ["secret", "platform", "uid", "name"] {
        let mut body = full.clone();
        body.as_object_mut().unwrap().remove(field);
        kith.post("/auth/user_register", body.clone()).await.fails_b(400, &format!("{field}: missing"));
        // null in a request is absent
        body[field] = Value::Null;
        kith.post("/auth/user_register", body).await.fails_b(400, &format!("{field}: missing"));
    }
    // The name is required but may be empty.
    kith.post("/auth/user_register", full).await.ok_b();
}

#[tokio::test]
async fn a_wrong_secret_is_401_on_every_call() {
    let kith = shared().await;
    for (path, body) in [
        ("/auth/user_register", json!({"secret": "wrong", "platform": 1, "uid": "a", "name": ""})),
        ("/auth/user_token", json!({"secret": "wrong", "platform": 1, "uid": "a"})),
        ("/auth/parse_token", json!({"secret": "wrong", "token": "a"})),
        ("/auth/force_logout", json!({"secret": "wrong", "uid": "a", "platform": 0})),
        ("/user/get_users_online_status", json!({"secret": "wrong", "operationID": "1", "userIDList": []})),
        ("/user/get_users_info", json!({"secret": "wrong", "userIDList": []})),
        ("/user/update_user_info", json!({"secret": "wrong", "uid": "a"})),
    ] {
        kith.post(path, body).await.fails_b(401, "not authorized");
    }
}

#[tokio::test]
async fn parameters_are_checked_before_the_secret() {
    let kith = shared().await;
    kith.post("/auth/user_token", json!({"secret": "wrong", "platform": 9, "uid": "a"}))
        .await
        .fails_b(400, "platform: must be 1 to 7");
}

#[tokio::test]
async fn registering_twice_is_601_and_changes_nothing() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register_with(&uid, json!({"name": "first", "password": "password-1"})).await.ok_b();
    kith.register_with(&uid, json!({"name": "second", "password": "password-2", "icon": "x"}))
        .await
        .fails_b(601, "already registered");
    let info = kith.users_info(json!([uid])).await.ok_b();
    assert_eq!((&info["data"][0]["name"], &info["data"][0]["icon"]), (&json!("first"), &json!("")));
    kith.sign_in(&uid, "password-1").await.ok_c();
}

#[tokio::test]
async fn of_200_registrations_of_one_uid_at_once_exactly_one_succeeds() {
    let (kith, uid) = (shared().await, name("u"));
    let answers = join_all((0..200).map(|n| {
        let (kith, uid) = (kith.clone(), uid.clone());
        async move { kith.register_with(&uid, json!({"name": n.to_string()})).await.json() }
    }))
    .await;
    let won: Vec<usize> = (0..200).filter(|&n| answers[n]["errCode"] == 0).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert!(answers.iter().all(|a| a["errCode"] == 0 || a["errCode"] == 601), "{answers:?}");
    let info = kith.users_info(json!([uid])).await.ok_b();
    assert_eq!(info["data"][0]["name"], json!(won[0].to_string()));
}

#[tokio::test]
async fn the_same_uid_in_two_apps_is_two_accounts() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register_with(&uid, json!({"name": "here"})).await.ok_b();
    kith.register_with(&uid, json!({"name": "there", "secret": OTHER_SECRET})).await.ok_b();
    let info = kith.users_info(json!([uid])).await.ok_b();
    assert_eq!(info["data"][0]["name"], json!("here"));
}

#[tokio::test]
async fn user_token_of_an_unknown_user_is_404() {
    let kith = shared().await;
    kith.user_token(&name("nobody"), 1).await.fails_b(404, "user not registered");
}

#[tokio::test]
async fn a_new_token_leaves_older_ones_valid() {
    let (kith, uid) = (shared().await, name("u"));
    let first = kith.register(&uid).await.ok_b()["data"]["token"].as_str().unwrap().to_owned();
    let second = kith.token(&uid, 1).await;
    assert_ne!(first, second);
    for token in [first, second] {
        kith.parse(&token).await.ok_b();
    }
}

#[tokio::test]
async fn a_token_is_a_jwt_with_the_documented_claims() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (kith, uid) = (shared().await, name("u"));
    let data = kith.register_with(&uid, json!({"platform": 6})).await.ok_b()["data"].clone();
    let parts: Vec<Value> = data["token"]
        .as_str()
        .unwrap()
        .split('.')
        .take(2)
        .map(|p| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(p).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({"typ": "JWT", "alg": "HS256", "kid": "dev"}));
    let claims = parts[1].as_object().unwrap();
    assert_eq!(claims.keys().collect::<Vec<_>>(), ["app", "exp", "iat", "jti", "platform", "uid"]);
    assert_eq!((&claims["uid"], &claims["platform"], &claims["app"]), (&json!(uid), &json!("MiniWeb"), &json!("kith")));
    assert_eq!(claims["exp"], data["expiredTime"]);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 604_800);
}

#[tokio::test]
async fn parse_token_tells_user_platform_and_end() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register(&uid).await.ok_b();
    for (n, platform) in
        [(1, "IOS"), (2, "Android"), (3, "Windows"), (4, "OSX"), (5, "Web"), (6, "MiniWeb"), (7, "Linux")]
    {
        let data = kith.user_token(&uid, n).await.ok_b()["data"].clone();
        kith.parse(data["token"].as_str().unwrap()).await.is(json!({"errCode": 0, "errMsg": "", "data": {
            "uid": uid, "platform": platform, "expiredTime": data["expiredTime"]
        }}));
    }
}

#[tokio::test]
async fn force_logout_ends_tokens_of_the_platform_before_it_answers() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register(&uid).await.ok_b();
    let (ios, android) = (kith.token(&uid, 1).await, kith.token(&uid, 2).await);
    kith.parse(&ios).await.ok_b();
    kith.force_logout(&uid, 1).await.is(json!({"errCode": 0, "errMsg": ""}));
    kith.parse(&ios).await.fails_b(702, "token invalid");
    kith.parse(&android).await.ok_b();
    // A token that comes after it lives.
    let later = kith.token(&uid, 1).await;
    kith.parse(&later).await.ok_b();
}

#[tokio::test]
async fn force_logout_with_platform_0_ends_all_tokens() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register(&uid).await.ok_b();
    let mut tokens = Vec::new();
    for platform in 1..=7 {
        tokens.push(kith.token(&uid, platform).await);
    }
    kith.force_logout(&uid, 0).await.ok_b();
    for token in tokens {
        kith.parse(&token).await.fails_b(702, "token invalid");
    }
}

#[tokio::test]
async fn force_logout_of_an_unknown_user_is_a_success() {
    shared().await.force_logout(&name("nobody"), 0).await.is(json!({"errCode": 0, "errMsg": ""}));
}

#[tokio::test]
async fn force_logout_takes_platforms_0_to_7() {
    let kith = shared().await;
    for bad in [-1, 8] {
        kith.force_logout("a", bad).await.fails_b(400, "platform: must be 0 to 7");
    }
    kith.post("/auth/force_logout", json!({"secret": SECRET, "uid": "a"})).await.fails_b(400, "platform: missing");
}

#[tokio::test]
async fn online_status_keeps_order_and_duplicates_and_knows_nobody_as_offline() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register(&uid).await.ok_b();
    let nobody = name("nobody");
    kith.online(json!([nobody, uid, nobody])).await.is(json!({"errCode": 0, "errMsg": "", "successResult": [
        {"userID": nobody, "status": "offline"},
        {"userID": uid, "status": "offline"},
        {"userID": nobody, "status": "offline"},
    ]}));
    kith.online(json!([])).await.is(json!({"errCode": 0, "errMsg": "", "successResult": []}));
}

#[tokio::test]
async fn online_status_takes_200_ids_and_an_operation_id() {
    let kith = shared().await;
    let ids: Vec<String> = (0..200).map(|n| format!("id-{n}")).collect();
    let body = kith.online(json!(ids)).await.ok_b();
    assert_eq!(body["successResult"].as_array().unwrap().len(), 200);
    let more: Vec<String> = (0..201).map(|n| format!("id-{n}")).collect();
    kith.online(json!(more)).await.fails_b(400, "userIDList: more than 200 entries");
    kith.post("/user/get_users_online_status", json!({"secret": SECRET, "userIDList": []}))
        .await
        .fails_b(400, "operationID: missing");
    kith.post("/user/get_users_online_status", json!({"secret": SECRET, "operationID": "1"}))
        .await
        .fails_b(400, "userIDList: missing");
    kith.online(json!("x")).await.fails_b(400, "userIDList: must be a list");
    kith.online(json!(["x", ["y"]])).await.fails_b(400, "userIDList[1]: must be a string");
}

#[tokio::test]
async fn users_info_leaves_unknown_users_out_and_keeps_the_order() {
    let (kith, a, b) = (shared().await, name("a"), name("b"));
    kith.register(&a).await.ok_b();
    kith.register(&b).await.ok_b();
    let body = kith.users_info(json!([b, name("nobody"), a, b])).await.ok_b();
    let uids: Vec<&str> = body["data"].as_array().unwrap().iter().map(|u| u["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, [b.as_str(), a.as_str(), b.as_str()]);
    let more: Vec<String> = (0..201).map(|n| format!("id-{n}")).collect();
    kith.users_info(json!(more)).await.fails_b(400, "userIDList: more than 200 entries");
}

#[tokio::test]
async fn update_changes_what_is_given_and_nothing_else() {
    let (kith, uid) = (shared().await, name("u"));
    let full = json!({"name": "n", "icon": "i", "gender": 1, "mobile": "m", "birth": "b", "email": "e", "ex": "x",
        "region": "r", "sign": "s"});
    kith.register_with(&uid, full).await.ok_b();
    kith.update(&uid, json!({"sign": "", "gender": "2", "birth": null})).await.is(json!({"errCode": 0, "errMsg": ""}));
    kith.users_info(json!([uid])).await.is(json!({"errCode": 0, "errMsg": "", "data": [{
        "uid": uid, "name": "n", "icon": "i", "gender": 2, "mobile": "m", "birth": "b", "email": "e", "ex": "x",
        "region": "r", "sign": ""
    }]}));
    kith.update(&uid, json!({})).await.ok_b();
    kith.update(&name("nobody"), json!({"name": "x"})).await.fails_b(404, "user not registered");
    kith.update(&uid, json!({"name": "x", "email": "e".repeat(65)}))
        .await
        .fails_b(400, "email: longer than 64 characters");
    let info = kith.users_info(json!([uid])).await.ok_b();
    assert_eq!(info["data"][0]["name"], json!("n"), "nothing is half-written");
}

#[tokio::test]
async fn update_sets_the_fields_of_document_003() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register(&uid).await.ok_b();
    let fields = json!({"expert_status": 1, "point": 1335, "is_public_number": true, "isAdmin": 1, "yue": "7",
        "jifen": 9, "sign": "desc", "icon": "resource.haorenao.cn/static/xx1.png", "name": "9527"});
    kith.update(&uid, fields).await.ok_b();
    kith.userinfo(&uid).await.is(json!({"ret": "ok", "reason": "", "username": uid, "nickname": "9527",
        "desc": "desc", "thumb": "resource.haorenao.cn/static/xx1.png", "expert_status": 1, "point": "1335",
        "is_public_number": true, "is_admin": true, "yue": 7, "jifen": 9}));
    // Whatever is no text and comes empty is absent, as forms and app servers send it.
    let empty = json!({"expert_status": "", "is_public_number": "", "isAdmin": " ", "yue": "", "jifen": "", "gender": "",
        "sign": "changed"});
    kith.update(&uid, empty).await.ok_b();
    kith.userinfo(&uid).await.is(json!({"ret": "ok", "reason": "", "username": uid, "nickname": "9527",
        "desc": "changed", "thumb": "resource.haorenao.cn/static/xx1.png", "expert_status": 1, "point": "1335",
        "is_public_number": true, "is_admin": true, "yue": 7, "jifen": 9}));
    kith.update(&uid, json!({"isAdmin": "0", "is_public_number": false})).await.ok_b();
    let shown = kith.userinfo(&uid).await.json();
    assert_eq!((&shown["is_admin"], &shown["is_public_number"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn a_password_change_ends_the_old_password_and_no_token() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register_with(&uid, json!({"password": "old-password"})).await.ok_b();
    let token = kith.token(&uid, 1).await;
    kith.sign_in(&uid, "old-password").await.ok_c();
    kith.update(&uid, json!({"password": "new-password"})).await.ok_b();
    kith.sign_in(&uid, "old-password").await.fails_c(crate::client::WRONG);
    kith.sign_in(&uid, "new-password").await.ok_c();
    kith.parse(&token).await.ok_b();
}

#[tokio::test]
async fn tokens_live_as_long_as_the_setting_says() {
    let stack = Stack::start(&[("KITH__IM_AUTH__TOKEN__DAYS", "30")]).await;
    let data = stack.client().register("a").await.ok_b()["data"].clone();
    let expires = data["expiredTime"].as_i64().unwrap();
    assert!((now() + 30 * 86_400 - 5..=now() + 30 * 86_400).contains(&expires));
}

#[tokio::test]
async fn an_implicit_account_can_be_registered_once_and_keeps_what_it_has() {
    let kith = shared().await;
    // An upload of document 004 makes an account that nobody has registered.
    let uid = crate::friends::user();
    let image = crate::contract_4_avatars::png(3, 2, &uid);
    let uploaded = crate::contract_4_avatars::upload(&kith, &uid, image).await.ok_d();
    let avatar = uploaded["avatar"].clone();
    let info = async || kith.users_info(json!([uid])).await.ok_b()["data"][0].clone();
    assert_eq!(info().await["icon"], avatar);
    kith.userinfo(&uid).await.ok_c();
    // Not registered, whatever is known of it.
    kith.user_token(&uid, 1).await.fails_b(404, "user not registered");
    kith.reg_user(&uid, "password-1").await.fails_c("already registered");
    // It may be changed, and stays what it is.
    kith.update(&uid, json!({"name": "implicit", "sign": "s"})).await.ok_b();
    kith.user_token(&uid, 1).await.fails_b(404, "user not registered");
    // Registered once, keeping name and icon where the registration's are empty.
    kith.register_with(&uid, json!({"name": "", "icon": "", "mobile": "1"})).await.ok_b();
    let known = info().await;
    assert_eq!((&known["name"], &known["icon"]), (&json!("implicit"), &avatar));
    assert_eq!((&known["mobile"], &known["sign"]), (&json!("1"), &json!("s")));
    kith.user_token(&uid, 1).await.ok_b();
    kith.register(&uid).await.fails_b(601, "already registered");
}
