//! How many requests an app may send: each of its requests counts once, at the service that it is for, and one too many
//! is told so in the words of its dialect.

use crate::client::{Answer, Client, OTHER_SECRET, SECRET};
use crate::friends::{App, DOCUMENTS, KITH};
use crate::stack::{SERVICES, Stack, name};
use serde_json::{Value, json};
use std::time::Duration;

const BURST: usize = 4;
const TOO_MANY: &str = "too many requests: try again later";

/// One request a second, of each app in each service.
async fn stack() -> Stack {
    let burst = BURST.to_string();
    Stack::start(&[("KITH__LIMITS__APP_REQUESTS_PER_SECOND", "1"), ("KITH__LIMITS__APP_BURST", &burst)]).await
}

/// Calls until the answer is this one, and says how many calls passed before.
async fn exhaust(what: &str, expected: Value, call: impl AsyncFn() -> Answer) -> usize {
    for passed in 0..2 * BURST {
        let answer = call().await;
        if answer.header("x-kith-failure").is_none() {
            continue;
        }
        assert_eq!((answer.status, answer.json()), (200, expected), "{what}");
        assert_eq!(answer.header("x-kith-failure"), Some("429"), "{what}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=2).contains(&wait), "{what}: {wait}");
        return passed;
    }
    panic!("{what}: never refused");
}

fn status_of_a_terminal_user(app: &str) -> String {
    format!("/tu_ua_get_status_from_tn.action?tuser_key=k&app_id={app}")
}

async fn users_info(kith: &Client, secret: &str) -> Answer {
    kith.post("/user/get_users_info", json!({"secret": secret, "userIDList": ["x"]})).await
}

#[tokio::test]
async fn an_app_that_asks_too_often_is_told_so_in_its_dialect_and_others_go_on() {
    let stack = stack().await;
    let kith = stack.client();
    // What the start asked of the system app is forgotten by then.
    tokio::time::sleep(Duration::from_millis(2_200)).await;

    let path = status_of_a_terminal_user(DOCUMENTS.id);
    let body = json!({"rc": "0", "rm": TOO_MANY});
    let passed = exhaust("A", body, async || kith.get(&path).await).await;
    assert!((BURST..=BURST + 2).contains(&passed), "{passed}");
    assert_eq!(kith.get(&path).await.header("cache-control"), Some("no-store"));
    assert_eq!(kith.get(&status_of_a_terminal_user(KITH.id)).await.json()["rc"], "1", "another app");

    let body = json!({"errCode": 429, "errMsg": TOO_MANY});
    let passed = exhaust("B", body, async || users_info(&kith, OTHER_SECRET).await).await;
    assert!((BURST..=BURST + 2).contains(&passed), "{passed}");
    users_info(&kith, SECRET).await.ok_b();

    let body = json!({"statusCode": "111111", "statusMsg": TOO_MANY});
    let ask = async |app| kith.im_of(app, "getUserVerify", json!({"useracc": "x"})).await;
    exhaust("D", body, async || ask(DOCUMENTS).await).await;
    ask(KITH).await.ok_d();

    // Family C is the system app's: with credentials and without, in both services.
    kith.register("caller").await;
    let body = json!({"ret": "failed", "reason": TOO_MANY});
    exhaust("C, accounts", body.clone(), async || kith.get("/cmd?cmd=get_userinfo&username=caller").await).await;
    exhaust("C, groups", body.clone(), async || kith.get("/im/1/group_get_info/").await).await;
    let signed = [("username", "caller"), ("password", "password")];
    for path in ["/im/user_get_token/", "/im/group_sync/", "/im/1/group_join/", "/im/1/group_get_user_list/"] {
        exhaust(path, body.clone(), async || kith.form(path, &signed).await).await;
    }

    let seconds = Duration::from_millis(1_500);
    tokio::time::sleep(seconds).await;
    users_info(&kith, OTHER_SECRET).await.ok_b();

    let mut metrics = String::new();
    for url in SERVICES.iter().filter_map(|service| stack.internal.get(*service)).chain(stack.internal.get("gateway")) {
        metrics.push_str(&Client::new(url).get("/metrics").await.text);
    }
    for sample in [
        r#"service="svc-terminal-user",family="A",code="0""#,
        r#"service="svc-im-auth",family="B",code="429""#,
        r#"service="svc-groups",family="C",code="failed""#,
        r#"service="svc-friends",family="D",code="111111""#,
    ] {
        let sample = format!(r#"kith_failures_total{{{sample},reason="RateLimited"}}"#);
        assert!(metrics.contains(&sample), "no {sample}");
    }
}

#[tokio::test]
async fn what_services_ask_each_other_counts_for_nobody() {
    let stack = stack().await;
    let kith = stack.client();
    for _ in 0..BURST {
        let call = format!("/tu_rc_get_urt_from_hp.action?tuser_key={}&app_id={}", name("k"), DOCUMENTS.id);
        assert_eq!(kith.get(&call).await.json()["rc"], "1", "makes an account and its token at svc-im-auth");
    }
    for _ in 0..BURST {
        users_info(&kith, OTHER_SECRET).await.ok_b();
    }
}

#[tokio::test]
async fn whoever_cannot_prove_to_be_the_app_takes_nothing_from_it() {
    let stack = stack().await;
    let kith = stack.client();
    let forged = App { token: "guessed", ..DOCUMENTS };
    for _ in 0..3 * BURST {
        kith.im_of(forged, "getUserVerify", json!({"useracc": "x"})).await.fails_d("111109", "sig is wrong");
        users_info(&kith, "wrong").await.fails_b(401, "not authorized");
    }
    kith.im_of(DOCUMENTS, "getUserVerify", json!({"useracc": "x"})).await.ok_d();
}
