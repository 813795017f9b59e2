//! Contract §1: the binding page in a real browser, through the gateway.

use crate::browser::{Browser, Window};
use crate::client::Client;
use crate::stack::{Stack, name, shared};
use crate::tusers::{PASSWORD, code_of, done};
use serde_json::json;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

async fn on_the_page(kith: &Client, window: Window, languages: &str) -> Browser {
    let browser = Browser::start(window, languages).await;
    browser.open(&format!("{}/bind", kith.url)).await;
    browser
}

#[tokio::test]
async fn signing_in_scanning_and_unbinding() {
    let (kith, key) = (shared().await, name("device-key"));
    let user = kith.account().await;
    kith.sync_basics(&key, &[("name", "小明的手机")]).await.is(done());
    let browser = on_the_page(&kith, Window::Desk, "en-US,en").await;
    browser.shown("username").await;
    browser.picture("sign-in").await;
    browser.sign_in(&user, PASSWORD).await;
    let content = browser.read_code("code").await;
    assert!(content.starts_with(&format!("{}/?matrix_tuserurms=", kith.url)), "{content}");
    let left = browser.shown("left").await.text().await.unwrap();
    assert!(left.starts_with("4:") || left == "5:00", "a countdown: {left}");
    // As the phone sends it; the page turns by itself.
    kith.scan(&key, &code_of(&content)).await.is(done());
    let bound = browser.shown("bound").await.text().await.unwrap();
    assert!(bound.contains("小明的手机") && bound.contains(&key[key.len() - 4..]) && !bound.contains(&key), "{bound}");
    browser.picture("bound").await;
    assert!(!browser.client.source().await.unwrap().contains(&key));
    // Another phone takes its place.
    browser.shown("again").await.click().await.unwrap();
    let other = name("device-key");
    kith.scan(&other, &code_of(&browser.read_code("again").await)).await.is(done());
    browser.says(&other[other.len() - 4..]).await;
    assert_eq!(kith.mapping_of(&user).await, Some(other));
    browser.shown("unbind").await.click().await.unwrap();
    browser.shown("code").await;
    assert_eq!(kith.mapping_of(&user).await, None);
    browser.shown("sign-out").await.click().await.unwrap();
    browser.shown("username").await;
    let cookies = browser.run("return document.cookie").await;
    assert_eq!(cookies, json!(""), "no script can read our cookies");
    browser.close().await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_the_right_one_works_after_it() {
    let kith = shared().await;
    let user = kith.account().await;
    let browser = on_the_page(&kith, Window::Desk, "en-US,en").await;
    browser.sign_in(&user, "wrong-password").await;
    browser.says("Wrong username or password, or too many attempts: try again in 15 minutes.").await;
    browser.picture("wrong").await;
    browser.sign_in(&user, PASSWORD).await;
    browser.shown("code").await;
    browser.close().await;
}

#[tokio::test]
async fn an_expired_code_is_said_and_a_new_one_is_had() {
    let stack = Stack::start(&[("KITH__TERMINAL_USER__CODE_LIFE", "4"), ("RUST_LOG", "info")]).await;
    let kith = stack.client();
    let user = kith.account().await;
    let browser = on_the_page(&kith, Window::Desk, "en-US,en").await;
    browser.sign_in(&user, PASSWORD).await;
    let first = browser.read_code("short").await;
    browser.says("This code has expired.").await;
    assert!(browser.is_shown("expired").await && !browser.is_shown("countdown").await);
    browser.picture("expired").await;
    browser.shown("new-code").await.click().await.unwrap();
    browser.shown("countdown").await;
    let second = browser.read_code("renewed").await;
    assert_ne!(first, second);
    kith.scan(&name("key"), &code_of(&second)).await.is(done());
    browser.shown("bound").await;
    browser.close().await;
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    let (kith, key) = (shared().await, name("key"));
    let user = kith.account().await;
    let browser = on_the_page(&kith, Window::Desk, "en-US,en").await;
    browser.shown("username").await;
    assert_eq!(browser.focused().await, "username");
    browser.press(&user).await;
    browser.press(TAB).await;
    assert_eq!(browser.focused().await, "password");
    browser.press(PASSWORD).await;
    browser.press(ENTER).await;
    let content = browser.read_code("keyboard").await;
    kith.scan(&key, &code_of(&content)).await.is(done());
    browser.shown("bound").await;
    browser.press(TAB).await;
    assert_eq!(browser.focused().await, "unbind");
    let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, json!("solid"), "one sees where one is");
    browser.press(ENTER).await;
    browser.shown("code").await;
    assert_eq!(kith.mapping_of(&user).await, None);
    browser.press(TAB).await;
    assert_eq!(browser.focused().await, "sign-out");
    browser.press(ENTER).await;
    browser.shown("username").await;
    browser.close().await;
}

#[tokio::test]
async fn a_narrow_phone_shows_all_of_it_in_chinese() {
    let (kith, key) = (shared().await, name("key"));
    let user = kith.account().await;
    let browser = on_the_page(&kith, Window::Phone, "zh-CN,zh").await;
    browser.says("绑定手机").await;
    browser.picture("phone-sign-in").await;
    browser.sign_in(&user, PASSWORD).await;
    let content = browser.read_code("phone-code").await;
    browser.says("请扫描二维码").await;
    let fits = "const r = document.querySelector('#code svg').getBoundingClientRect(); \
                return [document.documentElement.scrollWidth <= innerWidth, r.left >= 0 && r.right <= innerWidth, \
                        r.bottom <= innerHeight, r.width]";
    let seen = browser.run(fits).await;
    assert_eq!((&seen[0], &seen[1], &seen[2]), (&json!(true), &json!(true), &json!(true)), "{seen}");
    assert!(seen[3].as_f64().unwrap() >= 200.0, "large enough to scan: {seen}");
    kith.scan(&key, &code_of(&content)).await.is(done());
    browser.shown("bound").await;
    browser.says("手机已绑定").await;
    browser.picture("phone-bound").await;
    browser.close().await;
}

#[tokio::test]
async fn a_lost_connection_is_said_and_forgotten_when_it_is_back() {
    let mut stack = Stack::start(&[("RUST_LOG", "info")]).await;
    let kith = stack.client();
    let user = kith.account().await;
    let browser = on_the_page(&kith, Window::Desk, "en-US,en").await;
    browser.sign_in(&user, PASSWORD).await;
    browser.shown("code").await;
    stack.process_of("terminal_user").signal("STOP");
    browser.shown("lost").await;
    browser.picture("lost").await;
    stack.process_of("terminal_user").signal("CONT");
    let start = std::time::Instant::now();
    while browser.is_shown("lost").await {
        assert!(start.elapsed() < std::time::Duration::from_secs(15));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let content = browser.read_code("back").await;
    kith.scan(&name("key"), &code_of(&content)).await.is(done());
    browser.shown("bound").await;
    browser.close().await;
}

#[tokio::test]
async fn a_session_that_ends_turns_the_page_to_signing_in() {
    let kith = shared().await;
    let user = kith.account().await;
    let browser = on_the_page(&kith, Window::Desk, "en-US,en").await;
    browser.sign_in(&user, PASSWORD).await;
    browser.shown("code").await;
    kith.update(&user, json!({"password": "password-2"})).await.ok_b();
    browser.shown("username").await;
    browser.says("Your session has ended. Please sign in again.").await;
    browser.sign_in(&user, "password-2").await;
    browser.shown("code").await;
    browser.close().await;
}
