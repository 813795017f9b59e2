//! Contract §1: binding codes and mappings.

use crate::stack::{Stack, name, shared};
use crate::tusers::{OTHER_APP, Page, code_of, done, hidden, md5};
use serde_json::json;
use std::time::Duration;

const UNUSABLE: &str = "the code is unknown, used or expired";

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
}

#[tokio::test]
async fn of_a_short_key_the_page_shows_a_quarter_at_most() {
    let kith = shared().await;
    let random = || name("").chars().skip(1).collect::<String>();
    for (length, end) in [(3, 0), (5, 1), (8, 2), (9, 4)] {
        let key: String = random().chars().take(length).collect();
        let user = kith.bound_account(&key).await;
        let shown = Page::signed_in(&kith, &user).await.get("/bind").await.text;
        let code = shown.split_once("<code>").map_or("", |(_, rest)| rest.split("</code>").next().unwrap());
        assert_eq!(code, &key[length - end..], "{shown}");
        assert_eq!(shown.contains("Key ending in"), end > 0, "{shown}");
    }
}
