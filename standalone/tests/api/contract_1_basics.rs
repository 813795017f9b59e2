//! Contract §1: name, portrait, introduction and token of a terminal user (document 000).

use crate::client::{SECRET, escape};
use crate::groups::execute;
use crate::stack::{Kind, Stack, name, shared};
use crate::tusers::{OTHER_APP, done, gif, md5};
use serde_json::json;

/// 1 × 1, a PNG whose content says so.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde";

#[tokio::test]
async fn the_shipped_ios_apps_calls_work_one_after_another() {
    let (kith, key) = (shared().await, name("OpenUDID"));
    let token = kith.urt(&key, &[]).await.ok_a()["token"].as_str().unwrap().to_owned();
    let uploaded = kith.upload(&key, &[], "portrait", PNG).await.ok_a();
    assert_eq!(uploaded.as_object().unwrap().len(), 3);
    let portrait = uploaded["portraitUri"].as_str().unwrap().to_owned();
    // It sends back at once what it was given, as portrait_uri.
    kith.sync_basics(&key, &[("name", "张 三&+%"), ("portrait_uri", &portrait), ("br_intro", "你好")]).await.is(done());
    let answer = kith.usr(&[("tuser_key", &key)]).await;
    assert_eq!(
        answer.text,
        json!({"rc": "1", "rm": ""}).to_string().trim_end_matches('}').to_owned()
            + &format!(
                ",\"userId\":\"{}\",\"token\":\"{token}\",\"name\":\"张 三&+%\",\"br_intro\":\"你好\",\"portraitUri\":\"{portrait}\",\"tuser_key\":\"{key}\"}}",
                md5(&key)
            )
    );
    kith.usr(&[("user_id", &md5(&key))]).await.is(answer.json());
}

#[tokio::test]
async fn a_success_of_usr_may_be_kept_for_a_day_and_nothing_else_of_this_family() {
    let (kith, key) = (shared().await, name("k"));
    for answer in [
        kith.sync_basics(&key, &[("name", "n")]).await,
        kith.urt(&key, &[]).await,
        kith.upload(&key, &[], "portrait", PNG).await,
        kith.status(&key, &[]).await,
        kith.info(&[("tuser_key", &key), ("type", "tuserurms")]).await,
        kith.usr(&[("tuser_key", "nobody-at-all")]).await,
        kith.usr(&[("tuser_key", &key), ("type", "wrong")]).await,
        kith.a("ua_reg_user_from_hp", &[("user_key", &key), ("type", "reg")]).await,
        kith.get("/tu_nothing.action").await,
        kith.send(kith.request(reqwest::Method::DELETE, "/tu_rc_get_usr_from_hp.action")).await,
    ] {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.text);
    }
    let answer = kith.usr(&[("tuser_key", &key)]).await;
    assert_eq!(answer.header("cache-control"), Some("private, max-age=86400"));
}

#[tokio::test]
async fn get_form_and_multipart_are_merged_and_the_body_wins() {
    let (kith, key) = (shared().await, name("k"));
    let path = "/tu_rc_sync_urb_from_hp.action";
    // Unescaped ':' and '/' of the old Android app; '+' is a space.
    kith.get(&format!("{path}?tuser_key={key}&name=a+b&portrait_uri=http://h.example:81/p/q.png?x=1")).await.is(done());
    let shown = kith.usr(&[("tuser_key", &key)]).await.ok_a();
    assert_eq!((&shown["name"], &shown["portraitUri"]), (&json!("a b"), &json!("http://h.example:81/p/q.png?x=1")));
    kith.form(&format!("{path}?tuser_key={key}&name=query"), &[("name", "form")]).await.is(done());
    assert_eq!(kith.usr(&[("tuser_key", &key), ("type", "name")]).await.ok_a()["name"], "form");
    kith.multipart(&format!("{path}?name=query"), &[("tuser_key", &key), ("name", "multi 张")]).await.is(done());
    assert_eq!(kith.usr(&[("tuser_key", &key), ("type", "name")]).await.ok_a()["name"], "multi 张");
    kith.form("/tu_rc_get_usr_from_hp.action", &[("tuser_key", &key), ("type", "name")])
        .await
        .is(json!({"rc": "1", "rm": "", "name": "multi 张"}));
    kith.get(&format!("{path}?tuser_key={key}&name=%ff")).await.fails_a("name: is not UTF-8");
}

#[tokio::test]
async fn present_is_stored_absent_is_untouched_present_but_empty_clears() {
    let (kith, key) = (shared().await, name("k"));
    kith.sync_basics(&key, &[("name", "n"), ("br_intro", "i"), ("portrait_url", "http://p")]).await.is(done());
    let shown = async |part: &str| kith.usr(&[("tuser_key", &key), ("type", part)]).await.ok_a();
    kith.sync_basics(&key, &[("br_intro", "j")]).await.is(done());
    assert_eq!(shown("name").await, json!({"rc": "1", "rm": "", "name": "n"}));
    assert_eq!(shown("br_intro").await, json!({"rc": "1", "rm": "", "br_intro": "j"}));
    kith.sync_basics(&key, &[("name", ""), ("portrait_url", ""), ("br_intro", "k")]).await.is(done());
    assert_eq!(shown("name").await["name"], "");
    assert_eq!(shown("portrait_url").await, json!({"rc": "1", "rm": "", "portraitUri": ""}));
    kith.sync_basics(&key, &[("name", "m"), ("br_intro", "")]).await.is(done());
    assert_eq!(shown("br_intro").await["br_intro"], "");
}

#[tokio::test]
async fn portrait_uri_is_portrait_url_and_portrait_url_wins() {
    let (kith, key) = (shared().await, name("k"));
    kith.sync_basics(&key, &[("portrait_uri", "http://uri")]).await.is(done());
    let portrait = async |part: &str| kith.usr(&[("tuser_key", &key), ("type", part)]).await.ok_a();
    assert_eq!(portrait("portrait_uri").await, json!({"rc": "1", "rm": "", "portraitUri": "http://uri"}));
    kith.sync_basics(&key, &[("portrait_uri", "http://uri"), ("portrait_url", "http://url")]).await.is(done());
    assert_eq!(portrait("portrait_url").await["portraitUri"], "http://url");
}

#[tokio::test]
async fn a_failing_call_registers_nothing() {
    let kith = shared().await;
    let nothing = "name: name, br_intro and portrait_url must not all be empty";
    let long = |n: usize| "张".repeat(n);
    for (pairs, rm) in [
        (vec![], nothing),
        (vec![("name", String::new()), ("br_intro", String::new()), ("portrait_uri", String::new())], nothing),
        (vec![("name", long(65))], "name: longer than 64 characters"),
        (vec![("br_intro", long(513))], "br_intro: longer than 512 characters"),
        (vec![("portrait_url", long(1025))], "portrait_url: longer than 1024 characters"),
        (vec![("portrait_uri", long(1025))], "portrait_uri: longer than 1024 characters"),
        (vec![("name", "a\0".into())], "name: contains a NUL character"),
        (vec![("name", "n".into()), ("app_id", "nobody".into())], "app_id: no such app"),
    ] {
        let key = name("k");
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (*k, v.as_str())).collect();
        kith.sync_basics(&key, &pairs).await.fails_a(rm);
        assert_eq!(kith.rs(&key).await, "-1");
        kith.users_info(json!([md5(&key)])).await.is(json!({"errCode": 0, "errMsg": "", "data": []}));
    }
    let key = name("k");
    kith.urt(&key, &[("app_id", "nobody")]).await.fails_a("app_id: no such app");
    kith.urt(&key, &[("platform", "8")]).await.fails_a("platform: must be 1 to 7");
    kith.upload(&key, &[("app_id", "nobody")], "portrait", PNG).await.fails_a("app_id: no such app");
    kith.usr(&[("tuser_key", &key)]).await.fails_a("no such terminal user");
    assert_eq!(kith.rs(&key).await, "-1");
    // At the limits.
    let (n, i, p) = (long(64), long(512), long(1024));
    kith.sync_basics(&key, &[("name", &n), ("br_intro", &i), ("portrait_url", &p)]).await.is(done());
}

/// Account and token are one change: where the token cannot be written there is no account either.
#[tokio::test]
async fn a_token_that_cannot_be_written_leaves_no_account() {
    let stack = Stack::start(&[("RUST_LOG", "info")]).await;
    let (kith, key) = (stack.client(), name("k"));
    let im_auth = stack.im_auth_db().await;
    let (make, drop) = match stack.kind {
        Kind::Sqlite => (
            "CREATE TRIGGER no_token BEFORE INSERT ON tokens BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER no_token",
        ),
        Kind::Postgres => (
            "CREATE FUNCTION no_token() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER no_token BEFORE INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION no_token()",
            "DROP TRIGGER no_token ON tokens",
        ),
    };
    execute(&im_auth, make).await;
    kith.urt(&key, &[]).await.fails_a("internal error");
    execute(&im_auth, drop).await;
    im_auth.close().await;
    assert_eq!(kith.rs(&key).await, "-1");
    kith.users_info(json!([md5(&key)])).await.is(json!({"errCode": 0, "errMsg": "", "data": []}));
    kith.urt(&key, &[]).await.ok_a();
    assert_eq!(kith.users_info(json!([md5(&key)])).await.ok_b()["data"][0]["uid"], md5(&key).as_str());
}

#[tokio::test]
async fn a_key_has_1_to_128_characters() {
    let kith = shared().await;
    for call in ["tu_rc_sync_urb_from_hp", "tu_rc_get_urt_from_hp", "tu_ua_get_status_from_tn"] {
        kith.a(call, &[("name", "n")]).await.fails_a("tuser_key: missing");
        kith.a(call, &[("name", "n"), ("tuser_key", "")]).await.fails_a("tuser_key: must not be empty");
        let long = "张".repeat(129);
        kith.a(call, &[("name", "n"), ("tuser_key", &long)]).await.fails_a("tuser_key: longer than 128 characters");
    }
    let longest = format!("{}{}", "张".repeat(110), name("k").chars().take(18).collect::<String>());
    kith.urt(&longest, &[]).await.ok_a();
    assert_eq!(
        kith.usr(&[("tuser_key", &longest), ("type", "user_id")]).await.ok_a()["userId"],
        md5(&longest).as_str()
    );
}

#[tokio::test]
async fn name_and_portrait_are_the_accounts_and_shown_in_all_dialects() {
    let (kith, key) = (shared().await, name("k"));
    kith.sync_basics(&key, &[("name", "first"), ("portrait_uri", "http://first")]).await.is(done());
    let uid = md5(&key);
    let info = kith.users_info(json!([uid])).await.ok_b()["data"][0].clone();
    assert_eq!((&info["name"], &info["icon"]), (&json!("first"), &json!("http://first")));
    let seen = kith.userinfo(&uid).await.ok_c();
    assert_eq!((&seen["nickname"], &seen["thumb"]), (&json!("first"), &json!("http://first")));
    // Later changes there show here; another process sees them within 3 s.
    kith.update(&uid, json!({"name": "second", "icon": "http://second"})).await.ok_b();
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(3);
    loop {
        let shown = kith.usr(&[("tuser_key", &key)]).await.ok_a();
        if shown["name"] == "second" && shown["portraitUri"] == "http://second" {
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "{shown}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // The account is implicit: an app server may register it once, and it keeps its name.
    kith.register_with(&uid, json!({"name": ""})).await.ok_b();
    assert_eq!(kith.users_info(json!([uid])).await.ok_b()["data"][0]["name"], "second");
}

#[tokio::test]
async fn apps_have_their_own_name_introduction_and_token_and_one_user() {
    let (kith, key) = (shared().await, name("k"));
    kith.sync_basics(&key, &[("name", "here"), ("br_intro", "i")]).await.is(done());
    let other = [("tuser_key", key.as_str()), ("app_id", OTHER_APP)];
    let empty = json!({"rc": "1", "rm": "", "userId": md5(&key), "token": "", "name": "", "br_intro": "",
                       "portraitUri": "", "tuser_key": key});
    kith.usr(&other).await.is(empty);
    kith.sync_basics(&key, &[("app_id", OTHER_APP), ("name", "there"), ("br_intro", "j")]).await.is(done());
    assert_eq!(kith.usr(&other).await.ok_a()["name"], "there");
    // Absent, empty and the system app's id are one.
    for app in ["", "kith"] {
        assert_eq!(kith.usr(&[("tuser_key", &key), ("app_id", app)]).await.ok_a()["br_intro"], "i");
    }
    kith.usr(&[("tuser_key", &key), ("app_id", "nobody")]).await.fails_a("app_id: no such app");
}

#[tokio::test]
async fn a_portrait_is_served_as_it_came_and_its_link_is_recognised() {
    let (kith, key) = (shared().await, name("k"));
    let picture = gif(7);
    let uri = kith.upload(&key, &[], "portrait", &picture).await.ok_a()["portraitUri"].as_str().unwrap().to_owned();
    assert!(uri.starts_with(&format!("{}/media/", kith.url)), "{uri}");
    let served = kith.http.get(&uri).send().await.unwrap();
    assert_eq!(served.headers()["content-type"], "image/gif");
    assert_eq!(served.bytes().await.unwrap(), picture);
    assert_eq!(kith.usr(&[("tuser_key", &key), ("type", "portrait_url")]).await.ok_a()["portraitUri"], uri.as_str());
    assert_eq!(kith.users_info(json!([md5(&key)])).await.ok_b()["data"][0]["icon"], uri.as_str());
    // Android's own file name, other parts around it, an app.
    kith.upload(&key, &[("app_id", OTHER_APP), ("junk", "x")], "portrait", &gif(8)).await.ok_a();
    kith.sync_basics(&key, &[("portrait_uri", &uri)]).await.is(done());
    assert_eq!(kith.usr(&[("tuser_key", &key), ("type", "portrait_url")]).await.ok_a()["portraitUri"], uri.as_str());
}

#[tokio::test]
async fn no_file_no_image_or_a_large_one_is_refused_and_registers_nothing() {
    let (kith, key) = (shared().await, name("k"));
    let no_image = "not an image of type jpg, png, gif or bmp of at most 5 MiB";
    kith.upload(&key, &[], "picture", PNG).await.fails_a("portrait: missing");
    kith.a("tu_rc_sync_urp_from_hp", &[("tuser_key", &key)]).await.fails_a("portrait: missing");
    kith.multipart("/tu_rc_sync_urp_from_hp.action", &[("tuser_key", &key)]).await.fails_a("portrait: missing");
    kith.upload(&key, &[], "portrait", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>").await.fails_a(no_image);
    kith.upload(&key, &[], "portrait", b"").await.fails_a(no_image);
    let mut large = PNG.to_vec();
    large.resize((5 << 20) + 1, 0);
    kith.upload(&key, &[], "portrait", &large).await.fails_a("the image is larger than 5 MiB");
    assert_eq!(kith.rs(&key).await, "-1");
    large.truncate(5 << 20);
    kith.upload(&key, &[], "portrait", &large).await.ok_a();
    // The gateway's own limit, in this family's words.
    large.resize(9 << 20, 0);
    let answer = kith.upload(&key, &[], "portrait", &large).await;
    answer.fails_a("the request's body is too large");
    assert_eq!(answer.header("x-kith-failure"), Some("413"));
}

#[tokio::test]
async fn the_token_is_the_users_and_one_that_lives_may_come_again_but_never_a_dead_one() {
    let (kith, key) = (shared().await, name("k"));
    let token = async |pairs: &[(&str, &str)]| kith.urt(&key, pairs).await.ok_a()["token"].as_str().unwrap().to_owned();
    let first = token(&[]).await;
    let parsed = kith.parse(&first).await.ok_b()["data"].clone();
    assert_eq!((&parsed["uid"], &parsed["platform"]), (&json!(md5(&key)), &json!("IOS")));
    let of_android = token(&[("platform", "2")]).await;
    assert_eq!(kith.parse(&of_android).await.ok_b()["data"]["platform"], "Android");
    kith.force_logout(&md5(&key), 0).await.ok_b();
    kith.parse(&first).await.fails_b(702, "token invalid");
    // A dead token is as none.
    assert_eq!(kith.usr(&[("tuser_key", &key), ("type", "token")]).await.ok_a()["token"], "");
    let second = token(&[]).await;
    assert_ne!(second, first);
    kith.parse(&second).await.ok_b();
    assert_eq!(kith.usr(&[("tuser_key", &key), ("type", "token")]).await.ok_a()["token"], second.as_str());
    // An account without a name keeps having none.
    assert_eq!(kith.users_info(json!([md5(&key)])).await.ok_b()["data"][0]["name"], "");
    // Of another app: another token.
    let there = token(&[("app_id", OTHER_APP)]).await;
    kith.post("/auth/parse_token", json!({"secret": SECRET, "token": there})).await.fails_b(702, "token invalid");
}

#[tokio::test]
async fn usr_takes_the_key_the_md5_or_both_if_they_are_one_user() {
    let (kith, key, other) = (shared().await, name("k"), name("k"));
    kith.sync_basics(&key, &[("name", "n")]).await.is(done());
    kith.sync_basics(&other, &[("name", "o")]).await.is(done());
    let (uid, others) = (md5(&key), md5(&other));
    let by_key = kith.usr(&[("tuser_key", &key)]).await.ok_a();
    kith.usr(&[("tuser_key", &key), ("user_id", &uid)]).await.is(by_key.clone());
    kith.usr(&[("user_id", &uid.to_uppercase())]).await.is(by_key);
    kith.usr(&[("tuser_key", &key), ("user_id", &others)]).await.fails_a("no such terminal user");
    kith.usr(&[("user_id", &md5("never seen"))]).await.fails_a("no such terminal user");
    kith.usr(&[("user_id", "no md5")]).await.fails_a("no such terminal user");
    kith.usr(&[]).await.fails_a("tuser_key: tuser_key or user_id must be given");
    kith.usr(&[("tuser_key", ""), ("user_id", "")]).await.fails_a("tuser_key: tuser_key or user_id must be given");
    // A look-up registers nobody; an account alone is no terminal user.
    assert_eq!(kith.rs("never seen").await, "-1");
    kith.register(&md5("an account alone")).await.json();
    kith.usr(&[("user_id", &md5("an account alone"))]).await.fails_a("no such terminal user");
}

#[tokio::test]
async fn usr_answers_the_one_field_that_is_asked_for() {
    let (kith, key) = (shared().await, name("k"));
    kith.sync_basics(&key, &[("name", "n"), ("br_intro", "i"), ("portrait_url", "p")]).await.is(done());
    for (part, field, value) in [
        ("user_id", "userId", md5(&key).as_str()),
        ("token", "token", ""),
        ("name", "name", "n"),
        ("br_intro", "br_intro", "i"),
        ("portrait_url", "portraitUri", "p"),
        ("portrait_uri", "portraitUri", "p"),
    ] {
        let answer = kith.usr(&[("tuser_key", &key), ("type", part)]).await;
        answer.is(json!({"rc": "1", "rm": "", field: value}));
    }
    let rule = "type: must be all, user_id, token, name, br_intro or portrait_url";
    kith.usr(&[("tuser_key", &key), ("type", "tuser_key")]).await.fails_a(rule);
    let all = kith.usr(&[("tuser_key", &key), ("type", "all")]).await.ok_a();
    kith.usr(&[("tuser_key", &key), ("type", "")]).await.is(all);
}

#[tokio::test]
async fn bodies_and_queries_that_nobody_sends_fail_clearly() {
    let kith = shared().await;
    let pairs: Vec<String> = (0..300).map(|n| format!("p{n}=1")).collect();
    kith.get(&format!("/tu_rc_get_urt_from_hp.action?{}", pairs.join("&"))).await.fails_a("too many parameters");
    let form = format!("tuser_key=k&name={}", "x".repeat(3 << 20));
    let kind = Some("application/x-www-form-urlencoded");
    kith.raw("/tu_rc_sync_urb_from_hp.action", kind, form).await.fails_a("the request's body is too large");
    let broken = kith.raw("/tu_rc_sync_urb_from_hp.action", Some("multipart/form-data; boundary=x"), "no form").await;
    broken.fails_a("the request's body is not a readable form");
    let unknown = kith.get(&format!("/tu_rc_get_urt_from_hp.action?tuser_key={}&more=1", escape(&name("k")))).await;
    unknown.ok_a();
}
