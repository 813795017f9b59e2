//! The lock-out of design §5.4, clause by clause, through svc-groups and svc-im-auth alike.

use crate::client::{Answer, Client, WRONG, escape};
use crate::groups::PASSWORD;
use crate::stack::{Stack, has_processes, name};
use serde_json::json;

/// A stack whose gateway believes this machine's `X-Forwarded-For`, so that a test can come from anywhere.
async fn stack(more: &[(&str, &str)]) -> Stack {
    let pairs = [&[("KITH__GATEWAY__TRUSTED_PROXIES", "127.0.0.1/32"), ("RUST_LOG", "warn")], more].concat();
    Stack::start(&pairs).await
}

async fn call(kith: &Client, path: &str, from: &str, username: &str, password: &str) -> Answer {
    let body = format!("username={}&password={}", escape(username), escape(password));
    let request = kith.http.post(format!("{}{path}", kith.url)).header("x-forwarded-for", from).body(body);
    kith.send(request.header("content-type", "application/x-www-form-urlencoded")).await
}

async fn sync(kith: &Client, from: &str, username: &str, password: &str) -> Answer {
    call(kith, "/im/group_sync/", from, username, password).await
}

/// Wrong passwords, half to each service.
async fn fail(kith: &Client, from: &str, username: &str, times: usize) {
    for n in 0..times {
        let path = if n % 2 == 0 { "/im/group_sync/" } else { "/im/user_get_token/" };
        call(kith, path, from, username, "wrong-password").await.fails_c(WRONG);
    }
}

async fn user(kith: &Client) -> String {
    let uid = name("u");
    kith.reg_user(&uid, PASSWORD).await.ok_c();
    uid
}

#[tokio::test]
async fn ten_failures_lock_one_username_from_one_address() {
    let stack = stack(&[]).await;
    let kith = stack.client();
    let (alice, bob) = (user(&kith).await, user(&kith).await);
    // Also from an address that is known, and where the password is remembered.
    sync(&kith, "10.0.0.1", &alice, PASSWORD).await.ok_c();
    fail(&kith, "10.0.0.1", &alice, 9).await;
    sync(&kith, "10.0.0.1", &alice, PASSWORD).await.ok_c();
    fail(&kith, "10.0.0.1", &alice, 1).await;
    for path in ["/im/group_sync/", "/im/user_get_token/"] {
        call(&kith, path, "10.0.0.1", &alice, PASSWORD).await.fails_c(WRONG);
    }
    sync(&kith, "10.0.0.2", &alice, PASSWORD).await.ok_c();
    sync(&kith, "10.0.0.1", &bob, PASSWORD).await.ok_c();
    // Refused calls are not counted: else these would lock the username everywhere.
    fail(&kith, "10.0.0.1", &alice, 120).await;
    sync(&kith, "10.0.0.3", &alice, PASSWORD).await.ok_c();
}

#[tokio::test]
async fn a_hundred_failures_lock_one_username_but_from_addresses_where_it_succeeded() {
    let stack = stack(&[]).await;
    let kith = stack.client();
    let alice = user(&kith).await;
    // Nine succeed one after another: the first is not among the last eight.
    for n in 1..=9 {
        sync(&kith, &format!("10.1.0.{n}"), &alice, PASSWORD).await.ok_c();
    }
    for n in 1..=11 {
        fail(&kith, &format!("10.2.0.{n}"), &alice, 9).await;
    }
    sync(&kith, "10.3.0.1", &alice, "wrong-password").await.fails_c(WRONG);
    sync(&kith, "10.3.0.2", &alice, PASSWORD).await.fails_c(WRONG);
    // The ninth's success has pushed it out (its own remembered password, if any, is of a locked address too).
    call(&kith, "/im/user_get_token/", "10.1.0.1", &alice, PASSWORD).await.fails_c(WRONG);
    for n in 2..=9 {
        call(&kith, "/im/user_get_token/", &format!("10.1.0.{n}"), &alice, PASSWORD).await.ok_c();
    }
}

#[tokio::test]
async fn three_hundred_failures_lock_an_address_that_is_not_exempt() {
    let stack = stack(&[("KITH__IM_AUTH__LOCKOUT_EXEMPT", "10.8.0.0/16, 10.9.0.1")]).await;
    let kith = stack.client();
    let (alice, bob) = (user(&kith).await, user(&kith).await);
    sync(&kith, "10.7.0.1", &alice, PASSWORD).await.ok_c();
    for (from, locked) in [("10.7.0.1", true), ("10.9.0.1", false)] {
        // Nobody's names count too.
        for _ in 0..34 {
            fail(&kith, from, &name("nobody"), 9).await;
        }
        let answer = sync(&kith, from, &bob, PASSWORD).await;
        if locked { answer.fails_c(WRONG) } else { drop(answer.ok_c()) }
    }
    // From where one succeeded, one still does.
    call(&kith, "/im/user_get_token/", "10.7.0.1", &alice, PASSWORD).await.ok_c();
    sync(&kith, "10.7.0.2", &bob, PASSWORD).await.ok_c();
}

/// A service repeats a call whose answer was lost: the attempt is the same one.
#[tokio::test]
async fn a_failed_password_that_is_sent_twice_by_a_service_is_counted_once() {
    // One process of all tells nobody where its services listen.
    if !has_processes() {
        return;
    }
    let stack = stack(&[]).await;
    let kith = stack.client();
    let alice = user(&kith).await;
    let im_auth = &stack.internal["im_auth"];
    let verify = async |attempt: &str, password: &str| {
        let body = json!({"username": alice, "password": password, "address": "10.5.0.1", "attempt": attempt});
        let request = kith.http.post(format!("{im_auth}/internal/credentials/verify")).json(&body);
        kith.send(request.header("x-kith-internal-token", "kith-dev-internal")).await.status
    };
    for n in 0..9 {
        for _ in 0..2 {
            assert_eq!(verify(&format!("attempt{n}"), "wrong-password").await, 401);
        }
    }
    sync(&kith, "10.5.0.1", &alice, PASSWORD).await.ok_c();
    assert_eq!(verify("attempt9", "wrong-password").await, 401);
    sync(&kith, "10.5.0.1", &alice, PASSWORD).await.fails_c(WRONG);
}
