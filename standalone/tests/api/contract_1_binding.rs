//! Contract §1: binding codes, mappings, and the page's sessions and forms, without a browser's help.

use crate::stack::{Stack, name, shared};
use crate::tusers::{OTHER_APP, PASSWORD, Page, code_of, done, hidden, md5};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

const UNUSABLE: &str = "the code is unknown, used or expired";
const WRONG_ON_PAGE: &str = "Wrong username or password, or too many attempts: try again in 15 minutes.";

fn none() -> serde_json::Value {
    json!({"rc": "1", "rm": "", "type": "tuserurms", "isExisted": "0"})
}

#[tokio::test]
async fn a_scanned_code_binds_key_and_account_to_each_other() {
    let (kith, key) = (shared().await, name("key"));
    let user = kith.account().await;
    let mut page = Page::signed_in(&kith, &user).await;
    let content = page.content("/bind").await;
    let code = code_of(&content);
    assert_eq!(content, format!("{}/?matrix_tuserurms={code}", kith.url), "the code is last");
    // 128 bits at least, of characters that the shipped apps send as they are.
    assert!(code.len() >= 32 && code.bytes().all(|b| b.is_ascii_alphanumeric()), "{code}");
    kith.info(&[("user_id", &user), ("type", "tuserurms"), ("app_id", "")]).await.is(none());
    assert_eq!(page.state().await, json!({"session": true, "mapping": ""}));

    kith.scan(&key, &code).await.is(done());
    assert_eq!(kith.rs(&key).await, "-2", "registers");
    let found = json!({"rc": "1", "rm": "", "type": "tuserurms", "isExisted": "1", "tuser_key": key, "user_id": user});
    kith.info(&[("user_id", &user), ("type", "tuserurms"), ("app_id", "")]).await.is(found.clone());
    kith.info(&[("tuser_key", &key), ("type", "tuserurms")]).await.is(found.clone());
    kith.info(&[("tuser_key", &key), ("user_id", &user), ("type", "tuserurms"), ("app_id", OTHER_APP)]).await.is(found);
    kith.info(&[("tuser_key", &key), ("user_id", "another"), ("type", "tuserurms")]).await.is(none());
    kith.info(&[("tuser_key", "another"), ("user_id", &user), ("type", "tuserurms")]).await.is(none());
    assert!(page.state().await["mapping"].as_str().unwrap().parse::<i64>().is_ok());
}

#[tokio::test]
async fn a_code_is_good_once_and_again_only_for_the_key_that_used_it() {
    let (kith, key, thief) = (shared().await, name("key"), name("thief"));
    let user = kith.account().await;
    let mut page = Page::signed_in(&kith, &user).await;
    let code = page.code().await;
    for _ in 0..3 {
        kith.scan(&key, &code).await.is(done());
    }
    kith.scan(&thief, &code).await.fails_a(UNUSABLE);
    assert_eq!(kith.rs(&thief).await, "-1");
    assert_eq!(kith.mapping_of(&user).await, Some(key.clone()));
    // Replayed after its effect was undone, it says what it said and does nothing.
    assert_eq!(page.unbind().await.status, 303);
    assert_eq!(kith.mapping_of(&user).await, None);
    kith.scan(&key, &code).await.is(done());
    assert_eq!(kith.mapping_of(&user).await, None);
    // The page has a new one.
    let next = page.code().await;
    assert_ne!(next, code);
    assert_eq!(page.code().await, next, "one code while it is good, however many windows");
    kith.scan(&key, &next).await.is(done());
    assert_eq!(kith.mapping_of(&user).await, Some(key));
}

#[tokio::test]
async fn of_50_scans_of_one_code_by_different_keys_one_binds() {
    let kith = shared().await;
    let user = kith.account().await;
    let code = Page::signed_in(&kith, &user).await.code().await;
    let scans = (0..50).map(|_| {
        let (kith, code, key) = (kith.clone(), code.clone(), name("key"));
        async move {
            let answer = kith.scan(&key, &code).await.json();
            (key, answer)
        }
    });
    let answers = futures_util::future::join_all(scans).await;
    let winners: Vec<&String> = answers.iter().filter(|(_, a)| a["rc"] == "1").map(|(key, _)| key).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert_eq!(kith.mapping_of(&user).await.as_ref(), Some(winners[0]));
    for (key, answer) in &answers {
        if key != winners[0] {
            assert_eq!(*answer, json!({"rc": "0", "rm": UNUSABLE}));
            assert_eq!(kith.rs(key).await, "-1");
        }
    }
}

#[tokio::test]
async fn guessed_codes_and_wrong_scenes_do_nothing() {
    let (kith, key) = (shared().await, name("key"));
    for code in ["0".repeat(32), "x".repeat(200), "a b".into(), "../x".into(), "码".into(), "*".into()] {
        kith.scan(&key, &code).await.fails_a(UNUSABLE);
    }
    let call = async |pairs: &[(&str, &str)]| kith.a("tu_ua_send_matrix_info_from_tn", pairs).await;
    call(&[("tuser_key", &key), ("type", "tuserurms")]).await.fails_a("para1: missing");
    call(&[("tuser_key", &key), ("type", "tuserurms"), ("para1", "")]).await.fails_a("para1: must not be empty");
    call(&[("tuser_key", &key), ("type", "other"), ("para1", "x")]).await.fails_a("type: must be tuserurms");
    call(&[("tuser_key", &key), ("para1", "x")]).await.fails_a("type: missing");
    let user = kith.account().await;
    let code = Page::signed_in(&kith, &user).await.code().await;
    let scan = [("tuser_key", key.as_str()), ("type", "tuserurms"), ("para1", &code), ("app_id", "nobody")];
    call(&scan).await.fails_a("app_id: no such app");
    assert_eq!(kith.rs(&key).await, "-1");
    call(&[("tuser_key", &key), ("type", "tuserurms"), ("para1", &code), ("app_id", OTHER_APP)]).await.is(done());
}

#[tokio::test]
async fn binding_replaces_an_earlier_mapping_of_either_side() {
    let (kith, one, two) = (shared().await, name("one"), name("two"));
    let first = kith.bound_account(&one).await;
    // The same key, another account.
    let second = kith.bound_account(&one).await;
    assert_eq!((kith.mapping_of(&first).await, kith.mapping_of(&second).await), (None, Some(one.clone())));
    // The same account, another key.
    let mut page = Page::signed_in(&kith, &second).await;
    let again = code_of(&page.content("/bind?again").await);
    kith.scan(&two, &again).await.is(done());
    assert_eq!(kith.mapping_of(&second).await, Some(two.clone()));
    kith.info(&[("tuser_key", &one), ("type", "tuserurms")]).await.is(none());
    // Both sides at once, many times, in parallel: always one to one.
    let users = [kith.account().await, kith.account().await];
    let mut codes = Vec::new();
    for n in 0..12 {
        codes.push(Page::signed_in(&kith, &users[n % 2]).await.code().await);
    }
    let scans = codes.iter().enumerate().map(|(n, code)| {
        let (kith, key) = (kith.clone(), if n / 2 % 2 == 0 { &one } else { &two });
        async move { kith.scan(key, code).await.is(done()) }
    });
    futures_util::future::join_all(scans).await;
    let mapped = [kith.mapping_of(&users[0]).await, kith.mapping_of(&users[1]).await];
    assert!(mapped.iter().any(Option::is_some) && mapped[0] != mapped[1], "{mapped:?}");
}

#[tokio::test]
async fn an_expired_code_does_nothing() {
    let stack = Stack::start(&[("KITH__TERMINAL_USER__CODE_LIFE", "1"), ("RUST_LOG", "info")]).await;
    let (kith, key) = (stack.client(), name("key"));
    let user = kith.account().await;
    let mut page = Page::signed_in(&kith, &user).await;
    let code = page.code().await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    kith.scan(&key, &code).await.fails_a(UNUSABLE);
    assert_eq!(kith.rs(&key).await, "-1");
    let next = page.code().await;
    assert_ne!(next, code);
    kith.scan(&key, &next).await.is(done());
    // In its time the same key may send it again, and not afterwards.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    kith.scan(&key, &next).await.fails_a(UNUSABLE);
}

#[tokio::test]
async fn the_page_shows_a_mapping_by_name_and_the_keys_end_and_its_owner_unbinds() {
    let (kith, key) = (shared().await, name("a-long-key"));
    let user = kith.bound_account(&key).await;
    kith.sync_basics(&key, &[("name", "<b>小明</b> & Co")]).await.is(done());
    let mut page = Page::signed_in(&kith, &user).await;
    let shown = page.get("/bind").await;
    assert!(!shown.text.contains(&key) && !shown.text.contains(&md5(&key)), "{}", shown.text);
    assert!(shown.text.contains(&format!("<code>{}</code>", &key[key.len() - 4..])), "{}", shown.text);
    assert!(!shown.text.contains(&key[key.len() - 5..]), "{}", shown.text);
    assert!(shown.text.contains("小明") && !shown.text.contains("<b>小明"), "{}", shown.text);
    // A form of an older mapping ends no newer one.
    let (form, bound_at) = (hidden(&shown.text, "form"), hidden(&shown.text, "bound_at"));
    let older = (bound_at.parse::<i64>().unwrap() - 1).to_string();
    assert_eq!(page.post("/bind/unbind", &[("form", &form), ("bound_at", &older)]).await.status, 303);
    assert_eq!(kith.mapping_of(&user).await, Some(key.clone()));
    assert_eq!(page.unbind().await.status, 303);
    assert_eq!(kith.mapping_of(&user).await, None);
    // Of a short key less than half is shown.
    let short = name("").chars().skip(1).take(5).collect::<String>();
    let user = kith.bound_account(&short).await;
    let shown = Page::signed_in(&kith, &user).await.get("/bind").await.text;
    assert!(shown.contains(&format!("<code>{}</code>", &short[3..])) && !shown.contains(&short), "{shown}");
}

#[tokio::test]
async fn sessions_that_are_guessed_stolen_after_use_or_replayed_do_nothing() {
    let (kith, key) = (shared().await, name("key"));
    let user = kith.account().await;
    let mut page = Page::signed_in(&kith, &user).await;
    let code = page.code().await;
    let text = page.get("/bind").await.text;
    let form = hidden(&text, "form");
    assert!(text.contains(&user));
    let mut guess = page.clone();
    for id in ["0".repeat(64), "f".repeat(64), "x".into(), "../../x".into()] {
        guess.cookies.insert("kith_bind".into(), id);
        let shown = guess.get("/bind").await;
        assert!(shown.text.contains("name=\"password\"") && !shown.text.contains(&user), "{}", shown.text);
        assert_eq!(guess.state().await, json!({"session": false}));
        assert_eq!(guess.post("/bind/unbind", &[("form", &form), ("bound_at", "1")]).await.status, 403);
    }
    let mut stolen = page.clone();
    assert_eq!(page.post("/bind/sign-out", &[("form", &form)]).await.status, 303);
    assert_eq!(stolen.state().await, json!({"session": false}));
    assert!(stolen.get("/bind").await.text.contains("name=\"password\""));
    assert_eq!(stolen.post("/bind/sign-out", &[("form", &form)]).await.status, 403);
    kith.scan(&key, &code).await.fails_a(UNUSABLE);
}

#[tokio::test]
async fn a_password_change_ends_sessions_and_their_codes() {
    let (kith, key) = (shared().await, name("key"));
    let user = kith.account().await;
    let mut page = Page::signed_in(&kith, &user).await;
    let code = page.code().await;
    kith.update(&user, json!({"password": "password-2"})).await.ok_b();
    let start = tokio::time::Instant::now();
    while page.state().await["session"] == true {
        assert!(start.elapsed() < Duration::from_secs(3), "within 3 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(page.get("/bind").await.text.contains("Your session has ended"));
    kith.scan(&key, &code).await.fails_a(UNUSABLE);
    assert_eq!(page.sign_in(&user, "password-2").await.status, 303);
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let stack = Stack::start(&[("KITH__TERMINAL_USER__SESSION_LIFE", "2"), ("RUST_LOG", "info")]).await;
    let kith = stack.client();
    let user = kith.account().await;
    let mut page = Page::signed_in(&kith, &user).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(800)).await;
        page.state().await;
    }
    assert_eq!(page.state().await, json!({"session": false}), "looking does not prolong it");
}

#[tokio::test]
async fn forms_need_their_own_pages_token() {
    let (kith, key, others) = (shared().await, name("key"), name("key"));
    let (user, other) = (kith.bound_account(&key).await, kith.bound_account(&others).await);
    let credentials = [("username", user.as_str()), ("password", PASSWORD)];
    // Signing in: from elsewhere there is no cookie of ours, or not the form's.
    let mut page = Page::new(&kith);
    let form = hidden(&page.get("/bind").await.text, "form");
    let mut elsewhere = Page::new(&kith);
    for form in [Some(form.as_str()), Some(""), None] {
        let mut pairs = credentials.to_vec();
        pairs.extend(form.map(|f| ("form", f)));
        let answer = elsewhere.post("/bind/sign-in", &pairs).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text.contains("That page was out of date"), "{}", answer.text);
        assert!(!elsewhere.cookies.contains_key("kith_bind"));
        elsewhere.cookies.clear();
    }
    // Signed in: no token, the sign-in page's, another session's.
    let mut page = Page::signed_in(&kith, &user).await;
    let bound_at = hidden(&page.get("/bind").await.text, "bound_at");
    let mut theirs = Page::signed_in(&kith, &other).await;
    let their_form = hidden(&theirs.get("/bind").await.text, "form");
    for form in ["", form.as_str(), their_form.as_str()] {
        for path in ["/bind/unbind", "/bind/sign-out"] {
            assert_eq!(page.post(path, &[("form", form), ("bound_at", &bound_at)]).await.status, 403, "{path}");
        }
    }
    assert_eq!(page.post("/bind/unbind", &[]).await.status, 400);
    for path in ["/bind/unbind", "/bind/sign-out", "/bind/sign-in"] {
        assert_eq!(page.get(path).await.status, 405);
    }
    assert_eq!(page.state().await["session"], true);
    assert_eq!(kith.mapping_of(&user).await, Some(key));
    // With its own token a session unbinds its own account only.
    let their_bound_at = hidden(&theirs.get("/bind").await.text, "bound_at");
    let own = hidden(&page.get("/bind").await.text, "form");
    page.post("/bind/unbind", &[("form", &own), ("bound_at", &their_bound_at)]).await;
    assert_eq!(kith.mapping_of(&other).await, Some(others));
}

#[tokio::test]
async fn wrong_password_unknown_user_and_lock_out_are_one_wording() {
    let kith = shared().await;
    let user = kith.account().await;
    let mut page = Page::new(&kith);
    let long = "x".repeat(300);
    for (user, password) in [(user.as_str(), "wrong"), (&name("nobody"), PASSWORD), ("", ""), (long.as_str(), &long)] {
        let answer = page.sign_in(user, password).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text.contains(WRONG_ON_PAGE), "{}", answer.text);
    }
    for _ in 0..10 {
        page.sign_in(&user, "wrong").await;
    }
    let locked = page.sign_in(&user, PASSWORD).await;
    assert!(locked.status == 403 && locked.text.contains(WRONG_ON_PAGE), "{}", locked.text);
    assert!(!page.cookies.contains_key("kith_bind"));
}

#[tokio::test]
async fn cookies_and_headers_guard_the_page() {
    let kith = shared().await;
    let user = kith.account().await;
    let mut page = Page::new(&kith);
    let shown = page.get("/bind").await;
    let cookie = shown.header("set-cookie").unwrap().to_owned();
    assert!(
        cookie.starts_with("kith_bind_form=") && cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/bind"),
        "{cookie}"
    );
    let signed_in = page.sign_in(&user, PASSWORD).await;
    assert_eq!(signed_in.header("location"), Some("/bind"));
    let cookie = signed_in.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/bind", "; Max-Age=1800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    for path in ["/bind", "/bind?again", "/bind/state"] {
        let answer = page.get(path).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(!answer.text.contains(" style=") && !answer.text.contains(" onclick="), "{}", answer.text);
        assert!(!answer.text.contains("://"), "nothing from elsewhere: {}", answer.text);
    }
    for (path, kind) in
        [("/bind/bind.css", "text/css; charset=utf-8"), ("/bind/bind.js", "text/javascript; charset=utf-8")]
    {
        let answer = page.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
    }
    assert_eq!(page.get("/bind/").await.status, 200);
    assert_eq!(page.get("/bind/nothing").await.status, 404);
    assert_eq!(page.send(Method::PUT, "/bind", None).await.status, 405);
}

#[tokio::test]
async fn behind_https_cookies_are_secure_and_the_code_leads_to_the_public_address() {
    let base = "https://im.example:8443/kith";
    let stack = Stack::start(&[("KITH__PUBLIC_BASE_URL", base), ("RUST_LOG", "info")]).await;
    let kith = stack.client();
    let user = kith.account().await;
    let mut page = Page::new(&kith);
    let signed_in = page.sign_in(&user, PASSWORD).await;
    assert_eq!(signed_in.header("location"), Some("/kith/bind"));
    let cookie = signed_in.header("set-cookie").unwrap();
    assert!(cookie.contains("; Secure") && cookie.contains("; Path=/kith/bind"), "{cookie}");
    assert!(page.content("/bind").await.starts_with("https://im.example:8443/kith/?matrix_tuserurms="));
    let uploaded = kith.upload(&name("k"), &[], "portrait", &crate::tusers::gif(1)).await.ok_a();
    assert!(uploaded["portraitUri"].as_str().unwrap().starts_with(&format!("{base}/media/")), "{uploaded}");
}

#[tokio::test]
async fn the_page_speaks_chinese_and_english() {
    let kith = shared().await;
    let user = kith.account().await;
    let mut page = Page::signed_in(&kith, &user).await;
    for (language, lang, word) in
        [("zh-CN,zh;q=0.9,en;q=0.8", "zh", "请扫描二维码"), ("de,en;q=0.5", "en", "Scan this code")]
    {
        page.language = language;
        let answer = page.get("/bind").await;
        assert_eq!(answer.header("content-language"), Some(lang));
        assert!(
            answer.text.contains(word) && answer.text.contains(&format!("<html lang=\"{lang}\">")),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn the_gateways_page_at_the_codes_address_says_to_scan_with_the_app() {
    let kith = shared().await;
    let user = kith.account().await;
    let content = Page::signed_in(&kith, &user).await.content("/bind").await;
    let answer = kith.get(content.strip_prefix(&kith.url).unwrap()).await;
    assert!(answer.text.contains("Scan this code with the app"), "{}", answer.text);
    assert!(!answer.text.contains(&code_of(&content)), "{}", answer.text);
}
