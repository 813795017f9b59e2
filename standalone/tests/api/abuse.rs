//! Abuse of what is open to everybody: bodies made to hurt, spoofed fields, injected lines, caches and cookies. The
//! lock-out, tokens, sessions and images have files of their own.

use crate::client::{Answer, Client, SECRET, WRONG};
use crate::friends::KITH;
use crate::groups::PASSWORD;
use crate::process::open_files;
use crate::stack::{Stack, name, shared};
use crate::tusers::{Page, done, gif};
use reqwest::Method;
use serde_json::json;
use std::fmt::Write as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A call of each family that reads a body, and how its failure begins.
const CALLS: [(&str, &str); 4] = [
    ("/tu_rc_get_usr_from_hp.action", r#"{"rc":"0","rm":""#),
    ("/auth/user_token", r#"{"errCode":"#),
    ("/im/user_get_token/", r#"{"ret":"failed","reason":""#),
    ("/2013-12-26/Application/kith/IM/getFriends", r#"{"statusCode":"1"#),
];

async fn post(kith: &Client, path: &str, kind: &str, body: String) -> Answer {
    if path.contains("/Application/") {
        let request = kith.signed(KITH, "getFriends", "").header("content-type", kind);
        return kith.send(request.body(body)).await;
    }
    kith.raw(path, Some(kind), body).await
}

#[tokio::test]
async fn bodies_made_to_hurt_fail_clearly_in_every_family() {
    let kith = shared().await;
    let deep = 500_000;
    let hurtful = [
        "[".repeat(deep),
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{{\"a\":{}1{}", "{\"a\":".repeat(deep / 10), "}".repeat(deep / 10)),
        format!("{{\"useracc\":{}", "9".repeat(1 << 20)),
        format!("{{\"uid\":\"{}", "\\u0000".repeat(100_000)),
        "{\"secret\":1e999999999,\"uid\":-0.0,\"platform\":1e-400}".into(),
        format!("{{{}", ",".repeat(1 << 20)),
        format!("{{\"\":{}}}", "\"\\".repeat(100_000)),
        "\u{feff}{}".into(),
        "{\"uid\":\"\\ud800\"}".into(),
    ];
    for (path, failure) in CALLS {
        for body in &hurtful {
            let answer = post(&kith, path, "application/json", body.clone()).await;
            let shown: String = body.chars().take(40).collect();
            assert_eq!(answer.status, 200, "{path} {shown}: {}", answer.text);
            assert!(answer.text.starts_with(failure), "{path} {shown}: {}", answer.text);
            assert!(answer.text.len() < 300, "{path} {shown}: {}", answer.text);
            assert_eq!(answer.header("x-kith-failure"), None, "{path} {shown}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn two_hundred_thousand_keys_that_nobody_asked_for_are_ignored() {
    let kith = shared().await;
    let uid = name("flood");
    kith.register_with(&uid, json!({"password": PASSWORD})).await.ok_b();
    let (mut json, mut form) = (String::from("{"), String::new());
    for n in 0..100_000 {
        let _ = write!(json, "\"k{n}\":{n},");
        let _ = write!(form, "k{n}={n}&");
    }
    let b = format!("{json}\"secret\":\"{SECRET}\",\"platform\":1,\"uid\":\"{uid}\"}}");
    post(&kith, "/auth/user_token", "application/json", b).await.ok_b();
    let c = format!("{json}\"username\":\"{uid}\",\"password\":\"{PASSWORD}\"}}");
    post(&kith, "/im/user_get_token/", "application/json", c).await.ok_c();
    // A form's parameters are kept in order, so their number has a limit.
    let c = format!("{form}username={uid}&password={PASSWORD}");
    post(&kith, "/im/user_get_token/", "application/x-www-form-urlencoded", c).await.fails_c("too many parameters");
    let d = format!("{json}\"useracc\":\"{uid}\"}}");
    post(&kith, CALLS[3].0, "application/json", d).await.ok_d();
    let a = format!("{form}tuser_key={uid}&name=n");
    let kind = "application/x-www-form-urlencoded";
    post(&kith, "/tu_rc_sync_urb_from_hp.action", kind, a).await.fails_a("too many parameters");
}

#[tokio::test]
async fn thousands_of_idle_connections_hold_nobody_up() {
    let _alone = crate::faults::alone().await;
    let mut stack = Stack::start(&[("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    let address = kith.url.trim_start_matches("http://").to_owned();
    let before = stack.process_of("gateway").resident_kib();
    let mut idle = Vec::new();
    let many = open_files(2, 1_500, 5_000);
    for n in 0..many {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        if n % 2 == 0 {
            // Has been served once and stays.
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        }
        idle.push(stream);
    }
    kith.register("alice").await.ok_b();
    kith.userinfo("alice").await.ok_c();
    let grown = stack.process_of("gateway").resident_kib().saturating_sub(before);
    assert!(grown / many as u64 <= 64, "{grown} KiB for {many} idle connections");
}

#[tokio::test]
async fn what_a_request_says_of_its_address_reaches_no_link() {
    let stack = Stack::start(&[("KITH__PUBLIC_BASE_URL", "https://im.localhost"), ("RUST_LOG", "warn")]).await;
    let (kith, key) = (stack.client(), name("key"));
    kith.upload(&key, &[], "portrait", &gif(3)).await.ok_a();
    let forged = |request: reqwest::RequestBuilder| {
        request
            .header("host", "evil.example")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "javascript")
            .header("forwarded", "host=evil.example;proto=https")
            .header("x-original-url", "/evil")
            .header("x-http-method-override", "DELETE")
    };
    let path = format!("/tu_rc_get_usr_from_hp.action?tuser_key={key}");
    let honest = kith.get(&path).await;
    let spoofed = kith.send(forged(kith.request(Method::GET, &path))).await;
    assert_eq!(spoofed.text, honest.text);
    let link = honest.json()["portraitUri"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://im.localhost/media/"), "{link}");
    for path in ["/bind", "/?matrix_tuserurms=x", "/tu_rc_sync_urp_from_hp.action", "/nothing", "/im/group_join/"] {
        for method in [Method::GET, Method::POST] {
            let answer = kith.send(forged(kith.request(method, path))).await;
            assert!(!answer.text.contains("evil"), "{path}: {}", answer.text);
            assert!(!format!("{:?}", answer.headers).contains("evil"), "{path}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn only_the_success_of_the_cached_call_may_be_kept_and_by_its_caller_only() {
    let (kith, key) = (shared().await, name("key"));
    let ask = async |query: &str| kith.get(&format!("/tu_rc_get_usr_from_hp.action?{query}")).await;
    let keeps = |answer: &Answer| answer.header("cache-control").map(str::to_owned);
    // Nobody there yet: if this answer were kept, the user would stay unknown for a day.
    assert_eq!(keeps(&ask(&format!("tuser_key={key}")).await).as_deref(), Some("no-store"));
    kith.sync_basics(&key, &[("name", "n")]).await.is(done());
    for query in [format!("tuser_key={key}"), format!("tuser_key={key}&type=name")] {
        assert_eq!(keeps(&ask(&query).await).as_deref(), Some("private, max-age=86400"), "{query}");
    }
    for query in [format!("tuser_key={key}&type=wrong"), "tuser_key=".into(), "x=%00".into(), String::new()] {
        assert_eq!(keeps(&ask(&query).await).as_deref(), Some("no-store"), "{query}");
    }
}

#[tokio::test]
async fn no_other_origin_may_read_and_only_the_page_sets_cookies() {
    let kith = shared().await;
    let uid = name("u");
    kith.register_with(&uid, json!({"password": PASSWORD})).await.ok_b();
    let token = kith.token(&uid, 1).await;
    let sign_in = format!("/im/user_get_token/?username={uid}&password={PASSWORD}");
    let paths =
        ["/bind", "/", "/cmd?cmd=get_userinfo&username=x", "/tu_ua_get_status_from_tn.action", "/nothing", &sign_in];
    for path in paths {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let request = kith
                .request(method.clone(), path)
                .header("origin", "https://evil.example")
                .header("access-control-request-method", "POST")
                .header("cookie", format!("token={token}; kith_session=guess"));
            let answer = kith.send(request).await;
            let headers = answer.headers.keys().map(|k| k.as_str().to_owned()).collect::<Vec<_>>();
            assert!(!headers.iter().any(|h| h.starts_with("access-control-")), "{method} {path}: {headers:?}");
            if path != "/bind" {
                assert!(!headers.contains(&"set-cookie".to_owned()), "{method} {path}: {headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn line_breaks_and_escapes_from_outside_forge_neither_header_nor_log_line() {
    for format in ["text", "json"] {
        let stack = Stack::start(&[("KITH__LOG__FORMAT", format), ("RUST_LOG", "trace")]).await;
        let kith = stack.client();
        let evil = "x\r\nset-cookie: forged=1\r\n\r\nforged \u{1b}[31m\u{2028}\u{7f}";
        let uid = name("evil");
        kith.register_with(&uid, json!({"name": evil, "ex": evil})).await;
        kith.register(&format!("{uid}{evil}")).await;
        kith.sync_basics(&format!("k{evil}"), &[("name", evil)]).await;
        kith.multipart("/im/group_create/", &[("username", evil), ("name", evil), (evil, evil)]).await;
        kith.im("addFriend", json!({"useracc": uid, "friendUseracc": evil, "message": evil})).await;
        let upload = format!(
            "--xyz\r\nContent-Disposition: form-data; name=\"portrait\"; filename=\"{}\"\r\nContent-Type: a/b\x1b\r\n\r\nx\r\n--xyz--\r\n",
            evil.replace("\r\n", "%0d%0a\u{1b}")
        );
        let path = "/tu_rc_sync_urp_from_hp.action?tuser_key=k%0d%0aforged%1b";
        kith.raw(path, Some("multipart/form-data; boundary=xyz"), upload).await;
        for path in
            ["/auth/x%0d%0aset-cookie:%20forged=1", "/tu_%1b%5b31m.action", "/media/%0d%0aforged", "/bind%0aforged"]
        {
            let answer = kith.get(path).await;
            assert_eq!(answer.header("set-cookie"), None, "{path}");
        }
        for id in ["forged\tid", "forged id", "\"forged\"", &"f".repeat(5000)] {
            let answer = kith.send(kith.request(Method::GET, "/cmd?cmd=x").header("x-request-id", id)).await;
            assert_ne!(answer.header("x-request-id"), Some(id));
        }
        let agent = kith.request(Method::GET, "/cmd?cmd=x").header("user-agent", "\x1b]forged").build();
        assert!(agent.is_err() || kith.http.execute(agent.unwrap()).await.is_ok());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        for line in stack.logs().lines() {
            assert!(!line.chars().any(|c| c.is_control() && c != '\t'), "{line:?}");
            assert!(!line.starts_with("set-cookie") && !line.starts_with("forged"), "{line:?}");
            if format == "json" && !line.is_empty() {
                serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_user_costs_the_same_argon2_work_as_a_wrong_password() {
    let stack = Stack::start(&[("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    kith.register_with("with", json!({"password": PASSWORD})).await.ok_b();
    kith.register("without").await.ok_b();
    kith.sync_basics("implicit", &[("name", "n")]).await.is(done());
    let implicit = crate::tusers::md5("implicit");
    let service = if stack.kind == crate::stack::Kind::Sqlite { "gateway" } else { "im_auth" };
    let inner = Client::new(&stack.internal[service]);
    let computed = async || {
        let metrics = inner.get("/metrics").await.text;
        let line = metrics.lines().find(|l| l.starts_with("kith_passwords_computed")).map(str::to_owned);
        line.and_then(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or_else(|| panic!("{metrics}"))
    };
    let cost = async |username: &str| {
        let mut costs = Vec::new();
        for path in ["/im/user_get_token/", "/im/group_sync/"] {
            let before = computed().await;
            kith.form(path, &[("username", username), ("password", "wrong-password")]).await.fails_c(WRONG);
            costs.push(computed().await - before);
        }
        let before = computed().await;
        let answer = Page::new(&kith).sign_in(username, "wrong-password").await;
        assert!(answer.text.contains("Wrong username or password"), "{}", answer.text);
        costs.push(computed().await - before);
        costs
    };
    let known = cost("with").await;
    assert_eq!(known, [1, 1, 1]);
    for other in ["nobody", "without", &implicit] {
        assert_eq!(cost(other).await, known, "{other}");
    }
}
