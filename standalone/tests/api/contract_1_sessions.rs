//! Contract §1: the binding page's sessions, forms, headers and languages, without a browser's help.

use crate::stack::{Stack, name, shared};
use crate::tusers::{PASSWORD, Page, code_of, hidden};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

const UNUSABLE: &str = "the code is unknown, used or expired";
const WRONG_ON_PAGE: &str = "Wrong username or password, or too many attempts: try again in 15 minutes.";

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
    // Nobody's, and no rule is broken by them.
    let (long, longest) = ("x".repeat(64), "x".repeat(128));
    for (user, password) in [(user.as_str(), "wrong"), (&name("nobody"), PASSWORD), (&long, &longest)] {
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
async fn what_cannot_be_a_password_is_said_and_is_no_wrong_password() {
    let kith = shared().await;
    let user = kith.account().await;
    let mut page = Page::new(&kith);
    let (name_65, password_129) = ("张".repeat(65), "张".repeat(129));
    let unusable = "A username has at most 64 characters and a password at most 128.";
    for (username, password, status, says) in [
        ("", PASSWORD, 400, "Please enter your username and your password."),
        (user.as_str(), "", 400, "Please enter your username and your password."),
        (&user, &password_129, 400, unusable),
        (&name_65, PASSWORD, 400, unusable),
        (&user, &"x".repeat(3 << 20), 413, "What was sent is too large. Please try again."),
    ] {
        // More often than the lock-out bears: none of these is counted.
        for _ in 0..3 {
            let answer = page.sign_in(username, password).await;
            assert_eq!(answer.status, status, "{}", answer.text);
            assert!(answer.text.contains(says) && !answer.text.contains("Wrong username"), "{}", answer.text);
            assert!(answer.text.contains("name=\"password\""), "one can try again: {}", answer.text);
        }
    }
    // A browser would cut what is longer, and so make it a wrong password.
    let shown = page.get("/bind").await.text;
    assert!(!shown.contains("maxlength"), "{shown}");
    assert_eq!(page.sign_in(&user, PASSWORD).await.status, 303);
    // The other forms say it too.
    let form = hidden(&page.get("/bind").await.text, "form");
    let large = page.post("/bind/sign-out", &[("form", &form), ("more", &"x".repeat(3 << 20))]).await;
    assert!(large.status == 413 && large.text.contains("What was sent is too large"), "{}", large.text);
    let stale = page.post("/bind/sign-out", &[]).await;
    assert!(stale.status == 400 && stale.text.contains("That page was out of date"), "{}", stale.text);
    let mut chinese = Page::new(&kith);
    chinese.language = "zh";
    let answer = chinese.sign_in(&user, &password_129).await;
    assert!(answer.text.contains("用户名最多 64 个字符，密码最多 128 个字符。"), "{}", answer.text);
}

#[tokio::test]
async fn a_refused_sign_in_keeps_the_username_and_shows_no_password_again() {
    let kith = shared().await;
    let (user, password) = (format!("<b>\"{}'&", name("u")), name("a wrong one"));
    let answer = Page::new(&kith).sign_in(&user, &password).await;
    assert_eq!(answer.status, 403);
    let kept = answer.text.split("name=\"username\"").nth(1).unwrap().split("value=\"").nth(1).unwrap();
    let kept = kept.split('"').next().unwrap();
    assert!(kept.contains(&user[4..18]) && !answer.text.contains("<b>"), "{}", answer.text);
    assert!(!answer.text.contains(&password), "{}", answer.text);
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
    let base = "https://im.localhost:8443/kith";
    let stack = Stack::start(&[("KITH__PUBLIC_BASE_URL", base), ("RUST_LOG", "info")]).await;
    let kith = stack.client();
    let user = kith.account().await;
    let mut page = Page::new(&kith);
    let signed_in = page.sign_in(&user, PASSWORD).await;
    assert_eq!(signed_in.header("location"), Some("/kith/bind"));
    let cookie = signed_in.header("set-cookie").unwrap();
    assert!(cookie.contains("; Secure") && cookie.contains("; Path=/kith/bind"), "{cookie}");
    assert!(page.content("/bind").await.starts_with("https://im.localhost:8443/kith/?matrix_tuserurms="));
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
