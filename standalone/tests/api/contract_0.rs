//! Contract §0: what holds in all dialects, as far as families B and C and the gateway's own failures show it.

use crate::client::{Answer, SECRET, header};
use crate::stack::{Stack, has_processes, name, shared};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const A: &str = "/tu_rc_get_urt_from_hp.action?tuser_key=k";
const D: &str = "/2013-12-26/Application/20150314000000110000000000000010/IM/getFriends?sig=x";

#[tokio::test]
async fn answers_carry_their_familys_content_type() {
    let (kith, uid) = (shared().await, name("u"));
    for answer in
        [kith.register(&uid).await, kith.register(&uid).await, kith.userinfo(&uid).await, kith.userinfo("").await]
    {
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{answer:?}");
    }
    let answer = kith.get("/tu_nothing.action").await;
    assert_eq!(answer.header("content-type"), Some("application/json;charset=utf-8"));
}

#[tokio::test]
async fn unknown_paths_are_404_in_the_paths_dialect() {
    let kith = shared().await;
    let text = "no such call";
    for (path, body) in [
        ("/tu_nothing.action", json!({"rc": "0", "rm": text})),
        ("/ua_nothing.action", json!({"rc": "0", "rm": text})),
        ("/auth/nothing", json!({"errCode": 404, "errMsg": text})),
        ("/user/nothing", json!({"errCode": 404, "errMsg": text})),
        ("/nothing", json!({"errCode": 404, "errMsg": text})),
        ("/authority", json!({"errCode": 404, "errMsg": text})),
        ("/internal/profiles", json!({"errCode": 404, "errMsg": text})),
        ("/metrics", json!({"errCode": 404, "errMsg": text})),
        ("/im/1/nothing", json!({"ret": "failed", "reason": text})),
        ("/2013-12-26/Application/a/IM/nothing", json!({"statusCode": "111100", "statusMsg": text})),
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = kith.send(kith.request(method, path).body("{}")).await;
            assert_eq!((answer.status, answer.json()), (404, body.clone()), "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405() {
    let kith = shared().await;
    let answer = kith.get("/auth/user_register").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(answer.json(), json!({"errCode": 405, "errMsg": "this call does not take that method"}));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_good_one_is_kept() {
    let kith = shared().await;
    let answer = kith.send(kith.request(Method::GET, "/cmd").headers(header("x-request-id", "my-id-1"))).await;
    assert_eq!(answer.header("x-request-id"), Some("my-id-1"));
    let answer = kith.send(kith.request(Method::GET, "/cmd").headers(header("x-request-id", "a b<c>"))).await;
    let id = answer.header("x-request-id").unwrap();
    assert!(!id.is_empty() && id != "a b<c>", "{id}");
    assert!(kith.get("/nothing").await.header("x-request-id").is_some());
}

#[tokio::test]
async fn family_b_reads_json_whatever_the_content_type() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register(&uid).await.ok_b();
    let body = json!({"secret": SECRET, "platform": 1, "uid": uid}).to_string();
    for kind in
        [None, Some("application/json"), Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("x;;")]
    {
        kith.raw("/auth/user_token", kind, body.clone()).await.ok_b();
    }
    kith.raw("/auth/user_token/", None, body.clone()).await.ok_b();
}

#[tokio::test]
async fn keys_are_trimmed_unknown_parameters_ignored_and_scalars_lenient() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register(&uid).await.ok_b();
    let body = json!({" secret ": SECRET, "platform ": "2", "uid": uid, "extra": {"a": [null]}, "operationID": 5});
    kith.post("/auth/user_token", body).await.ok_b();
    // A number where a text is meant: its digits.
    let digits = format!("{}77", std::process::id());
    kith.register_with(&name("u"), json!({"uid": digits.parse::<u64>().unwrap(), "mobile": 17_812_457_845u64}))
        .await
        .ok_b();
    let info = kith.users_info(json!([digits.parse::<u64>().unwrap()])).await.ok_b();
    assert_eq!((&info["data"][0]["uid"], &info["data"][0]["mobile"]), (&json!(digits), &json!("17812457845")));
    kith.register_with(&name("u"), json!({"mobile": 1.5})).await.fails_b(400, "mobile: must be a string");
    kith.register_with(&name("u"), json!({"mobile": true})).await.fails_b(400, "mobile: must be a string");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_fail_clearly() {
    let kith = shared().await;
    let path = "/auth/user_token";
    kith.raw(path, None, "").await.fails_b(400, "the request has no body");
    kith.raw(path, None, "  \n").await.fails_b(400, "the request has no body");
    kith.raw(path, None, "[1]").await.fails_b(400, "the request's body is not a JSON object");
    kith.raw(path, None, "null").await.fails_b(400, "the request's body is not a JSON object");
    kith.raw(path, None, "{\"a\":").await.fails_b(400, "the request's body is not JSON (line 1, column 5)");
    kith.raw(path, None, b"{\"uid\":\"\xff\"}".to_vec())
        .await
        .fails_b(400, "the request's body is not JSON (line 1, column 9)");
    let nested = format!("{{\"uid\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(kith.raw(path, None, nested).await.json()["errCode"], json!(400));
    // Family B is strict where family C is not.
    kith.raw(path, None, "{\"a\":1,}").await.fails_b(400, "the request's body is not JSON (line 1, column 8)");
}

#[tokio::test]
async fn a_body_over_2_mib_is_refused_by_the_service_and_over_8_mib_by_the_gateway() {
    let kith = shared().await;
    let text = "the request's body is too large";
    let answer = kith.raw("/auth/user_token", None, vec![b' '; (2 << 20) + 1]).await;
    answer.fails_b(413, text);
    assert_eq!(answer.header("x-kith-failure"), Some("413"));
    kith.raw("/cmd", None, vec![b'a'; (2 << 20) + 1]).await.fails_c(text);
    // Just within: read, and judged for what it says.
    let mut body = vec![b' '; (2 << 20) - 2];
    body.extend_from_slice(b"{}");
    kith.raw("/auth/user_token", None, body).await.fails_b(400, "secret: missing");

    let large = || vec![b'x'; (8 << 20) + 1];
    let answer = kith.raw("/auth/user_token", None, large()).await;
    assert_eq!((answer.status, answer.json()), (413, json!({"errCode": 413, "errMsg": text})));
    let answer = kith.raw("/im/user_get_token/", None, large()).await;
    assert_eq!((answer.status, answer.json()), (413, json!({"ret": "failed", "reason": text})));
    for (path, body) in [(A, json!({"rc": "0", "rm": text})), (D, json!({"statusCode": "160031", "statusMsg": text}))] {
        let answer = kith.raw(path, None, large()).await;
        assert_eq!((answer.status, answer.json()), (200, body));
        assert_eq!(answer.header("x-kith-failure"), Some("413"));
    }
}

#[tokio::test]
async fn lengths_count_characters() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register_with(&uid, json!({"name": "😀".repeat(64)})).await.ok_b();
    let info = kith.users_info(json!([uid])).await.ok_b();
    assert_eq!(info["data"][0]["name"], json!("😀".repeat(64)));
}

#[tokio::test]
async fn one_account_shows_every_change_in_every_dialect() {
    let (kith, uid) = (shared().await, name("u"));
    kith.register_with(&uid, json!({"name": "one", "icon": "http://h/1.png", "sign": "s1"})).await.ok_b();
    let info = kith.userinfo(&uid).await.ok_c();
    assert_eq!(
        (&info["nickname"], &info["thumb"], &info["desc"]),
        (&json!("one"), &json!("http://h/1.png"), &json!("s1"))
    );
    kith.update(&uid, json!({"name": "two", "icon": "http://h/2.png", "sign": "s2"})).await.ok_b();
    let info = kith.userinfo(&uid).await.ok_c();
    assert_eq!(
        (&info["nickname"], &info["thumb"], &info["desc"]),
        (&json!("two"), &json!("http://h/2.png"), &json!("s2"))
    );
}

#[tokio::test]
async fn the_gateway_shows_its_pages() {
    let kith = shared().await;
    let page = kith.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{page:?}");
    assert!(page.text.contains("Kith"), "{}", page.text);
    let scan = kith.get("/?matrix_tuserurms=abc").await;
    assert_eq!(scan.status, 200);
    assert!(!scan.text.contains("abc"), "a code is not shown");
    assert_ne!(scan.text, page.text);
    assert_eq!(kith.get("/healthz").await.status, 200);
    assert_eq!(kith.get("/readyz").await.status, 200);
}

/// The gateway's own failures, in all dialects.
#[tokio::test]
async fn a_service_that_is_down_or_frozen_is_told_in_the_dialect_of_the_path() {
    // Services as processes of their own, so that each can be stopped; the state store is the run's.
    if !has_processes() {
        // One process: there is no service to stop. The other run has this test.
        return;
    }
    let mut stack = Stack::start(&[("KITH__GATEWAY__TIMEOUTS__ANSWER", "2")]).await;
    let kith = stack.client();
    let paths = [
        ("terminal_user", A, json!({"rc": "0"}), 200),
        ("im_auth", "/auth/user_token", Value::Null, 0),
        ("groups", "/im/1/group_join/", json!({"ret": "failed"}), 0),
        ("friends", D, json!({"statusCode": "160000"}), 200),
    ];
    let body = |dialect: &Value, code: u16, text: &str| match dialect {
        Value::Null => json!({"errCode": code, "errMsg": text}),
        d if d.get("rc").is_some() => json!({"rc": "0", "rm": text}),
        d if d.get("ret").is_some() => json!({"ret": "failed", "reason": text}),
        _ => json!({"statusCode": "160000", "statusMsg": text}),
    };
    let check = |answer: &Answer, dialect: &Value, status: u16, code: u16, text: &str| {
        let status = if status == 0 { code } else { status };
        assert_eq!((answer.status, answer.json()), (status, body(dialect, code, text)));
        assert_eq!(answer.header("x-kith-failure"), Some(code.to_string().as_str()));
    };
    for (service, path, dialect, status) in &paths {
        stack.process_of(service).signal("STOP");
        let start = Instant::now();
        let answer = kith.raw(path, None, "{}").await;
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        check(&answer, dialect, *status, 504, "the service did not answer in time");
        stack.process_of(service).signal("CONT");
        stack.process_of(service).kill();
        let answer = kith.raw(path, None, "{}").await;
        check(&answer, dialect, *status, 503, "the service is not reachable: try again");
        stack.restart(service).await;
        let start = Instant::now();
        while kith.raw(path, None, "{}").await.header("x-kith-failure").is_some() {
            assert!(start.elapsed() < Duration::from_secs(5), "{service} is back but not used");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn too_many_requests_are_429_with_retry_after() {
    let stack =
        Stack::start(&[("KITH__GATEWAY__LIMITS__REQUESTS_PER_SECOND", "1"), ("KITH__GATEWAY__LIMITS__BURST", "4")])
            .await;
    let kith = stack.client();
    let mut last = kith.get("/cmd/").await;
    for _ in 0..4 {
        last = kith.get("/cmd/").await;
    }
    let text = "too many requests: try again later";
    assert_eq!((last.status, last.json()), (429, json!({"ret": "failed", "reason": text})));
    assert_eq!(last.header("retry-after"), Some("1"));
    let answer = kith.get(A).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"rc": "0", "rm": text})));
    assert_eq!(answer.header("x-kith-failure"), Some("429"));
    let answer = kith.raw(D, None, "{}").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"statusCode": "111111", "statusMsg": text})));
}
