//! Running it: start, end, health, metrics, and what the log must not tell.

use crate::client::{Client, SECRET};
use crate::process::{Process, free_port};
use crate::stack::{Kind, Stack, has_processes};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub fn kith(folder: &TempDir, pairs: &[(&str, &str)]) -> Process {
    let mut environment: BTreeMap<String, String> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    environment.entry("KITH__GATEWAY__LISTEN".into()).or_insert(format!("127.0.0.1:{}", free_port()));
    environment.entry("KITH__GATEWAY__INTERNAL_LISTEN".into()).or_insert("127.0.0.1:0".into());
    Process::start("kith", environment, folder.path().join("kith.log"))
}

/// One binary with these settings and a store that it takes for one.
pub fn separate(folder: &TempDir, binary: &str, log: &str, pairs: &[(&str, &str)]) -> Process {
    let mut environment = BTreeMap::from([("KITH__STATE__URL".to_owned(), "redis://127.0.0.1:1".to_owned())]);
    environment.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    Process::start(binary, environment, folder.path().join(log))
}

#[tokio::test]
async fn kith_is_ready_within_a_second_of_start_on_an_empty_folder() {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let start = Instant::now();
    let mut process = kith(&folder, &[("KITH__GATEWAY__LISTEN", &format!("127.0.0.1:{port}"))]);
    process.until(async |p| p.stdout().contains("kith ready: ")).await;
    let took = start.elapsed();
    // A debug build on a loaded machine; the line must come without any wait of ours.
    assert!(took < Duration::from_secs(4), "{took:?}");
    let line = format!("kith ready: http://127.0.0.1:{port}\n");
    assert!(process.stdout().starts_with(&line), "{}", process.stdout());
    Client::new(&format!("http://127.0.0.1:{port}")).register("alice").await.ok_b();
    assert!(folder.path().join("data/im_auth.db").exists(), "SQLite files are in data/ of the working folder");
}

#[tokio::test]
async fn sigterm_and_ctrl_c_end_it_cleanly() {
    for (signal, within) in [("INT", 3), ("TERM", 30)] {
        let folder = TempDir::new().unwrap();
        let mut process = kith(&folder, &[("KITH__DRAIN", "1")]);
        process.until(async |p| p.stdout().contains("kith ready: ")).await;
        process.signal(signal);
        let status = process.ended(Duration::from_secs(within)).await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", process.logged());
    }
}

#[tokio::test]
async fn while_draining_it_answers_says_not_ready_and_closes_connections() {
    let folder = TempDir::new().unwrap();
    let (port, internal) = (free_port(), free_port());
    let mut process = kith(
        &folder,
        &[
            ("KITH__GATEWAY__LISTEN", &format!("127.0.0.1:{port}")),
            ("KITH__GATEWAY__INTERNAL_LISTEN", &format!("127.0.0.1:{internal}")),
            ("KITH__DRAIN", "3"),
        ],
    );
    process.until(async |p| p.stdout().contains("kith ready: ")).await;
    let (client, inner) =
        (Client::new(&format!("http://127.0.0.1:{port}")), Client::new(&format!("http://127.0.0.1:{internal}")));
    assert_eq!(inner.get("/readyz").await.status, 200);
    process.signal("TERM");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ready = inner.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["draining"]), (503, &json!(true)));
    let answer = client.register("alice").await;
    answer.ok_b();
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(process.ended(Duration::from_secs(30)).await.code(), Some(0));
}

#[tokio::test]
async fn no_secret_password_token_or_query_is_in_any_log_line() {
    for format in ["text", "json"] {
        let stack = Stack::start(&[
            ("KITH__LOG__FORMAT", format),
            ("KITH__INTERNAL__TOKEN", "internal-token-Zq7"),
            ("KITH__GATEWAY__TOKEN", "gateway-token-Zq7"),
        ])
        .await;
        let kith = stack.client();
        let register = json!({"password": "password-Zq7", "name": "name\nforged log line"});
        let token = kith.register_with("alice", register).await.ok_b()["data"]["token"].as_str().unwrap().to_owned();
        kith.parse(&token).await.ok_b();
        kith.parse("bad-token-Zq7").await;
        kith.sign_in("alice", "password-Zq7").await.ok_c();
        kith.sign_in("alice", "wrong-Zq7").await;
        kith.get("/im/user_get_token/?username=alice&password=query-Zq7").await;
        kith.get("/tu_rc_get_urt_from_hp.action?tuser_key=tuser-Zq7").await;
        kith.get("/ws?token=socket-Zq7").await;
        kith.get("/cmd?cmd=reg_user&username=carol&password=self-registered-Zq7").await;
        kith.post("/auth/user_token", json!({"secret": "wrong-secret-Zq7", "platform": 1, "uid": "a"})).await;
        kith.raw("/im/user_get_token/", None, "{\"username\": \"broken-Zq7\", \"password\": \"broken-Zq7\"").await;
        kith.raw("/auth/user_token", None, "secret-in-no-json-Zq7").await;
        kith.post("/auth/user_token", json!({"secret": ["list-Zq7"], "platform": "Zq7", "uid": "a"})).await;
        let logs = stack.logs();
        assert!(logs.contains("/auth/user_register"), "the access log is there");
        for line in logs.lines() {
            assert!(!line.contains("Zq7"), "{line}");
            assert!(!line.contains(SECRET), "{line}");
            assert!(!line.contains(token.split('.').nth(2).unwrap()), "{line}");
            assert!(!line.starts_with("forged"), "{line}");
            if format == "json" && !line.is_empty() {
                serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            }
        }
    }
}

#[tokio::test]
async fn the_request_id_leads_from_the_client_to_the_services_lines() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    let request = kith.request(reqwest::Method::GET, "/cmd/?cmd=get_userinfo&username=x");
    kith.send(request.header("x-request-id", "follow-me-1")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let lines = stack.logs().lines().filter(|l| l.contains("follow-me-1")).map(str::to_owned).collect::<Vec<_>>();
    for service in ["gateway", "svc-im-auth"] {
        assert!(lines.iter().any(|l| l.contains(&format!("service={service}"))), "{service}: {lines:?}");
    }
    // On to the service that a service asks.
    kith.register_with("alice", json!({"password": "password-1", "isAdmin": true})).await.ok_b();
    let request = kith
        .request(reqwest::Method::POST, "/im/group_create/")
        .header("x-request-id", "follow-me-2")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("username=alice&password=password-1&name=g");
    kith.send(request).await.ok_c();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let logs = stack.logs();
    let is_there =
        |l: &str| ["follow-me-2", "service=svc-im-auth", "path=/internal/"].iter().all(|part| l.contains(part));
    assert!(logs.lines().any(is_there), "{logs}");
}

#[tokio::test]
async fn health_and_metrics_are_on_the_internal_listener_only() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    kith.register("alice").await.ok_b();
    assert_eq!(kith.get("/metrics").await.status, 404);
    let inner = Client::new(&stack.internal["gateway"]);
    assert_eq!((inner.get("/healthz").await.status, inner.get("/readyz").await.status), (200, 200));
    let metrics = inner.get("/metrics").await.text;
    assert!(metrics.contains("kith_requests_total"), "{metrics}");
    let described = metrics.lines().filter(|l| l.starts_with("# "));
    assert_eq!(described.clone().count(), described.collect::<BTreeSet<_>>().len(), "once each: {metrics}");
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = inner.send(inner.request(reqwest::Method::HEAD, path)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
    }
    assert_eq!(inner.send(inner.request(reqwest::Method::POST, "/healthz")).await.status, 405);
    if stack.kind == Kind::Sqlite {
        let parts = inner.get("/readyz").await.json()["parts"].clone();
        for service in ["svc-im-auth", "svc-groups", "svc-friends"] {
            for part in ["database", "state"] {
                assert_eq!(parts[format!("{service}.{part}")], json!("ok"), "{parts}");
            }
        }
    }
    let of_auth = match stack.kind {
        // kith shows the metrics of all its servers.
        Kind::Sqlite => metrics,
        Kind::Postgres => Client::new(&stack.internal["im_auth"]).get("/metrics").await.text,
    };
    assert!(of_auth.contains("route=\"/auth/user_register\",outcome=\"ok\"} 1"), "{of_auth}");
    for name in ["kith_db_threads", "kith_state_up", "kith_build_info", "kith_state_operation_duration_seconds_bucket"]
    {
        assert!(of_auth.contains(name), "{name}: {of_auth}");
    }
    if stack.kind == Kind::Postgres {
        let readiness = Client::new(&stack.internal["im_auth"]).get("/readyz").await.json();
        assert_eq!(readiness["parts"], json!({"database": "ok", "state": "ok"}));
    }
    assert_eq!(inner.raw("/internal/profiles", None, "{}").await.status, 404);
}

#[tokio::test]
async fn the_internal_api_does_not_exist_without_its_token() {
    if !has_processes() {
        // Its ports are nobody's business there; the other run has this test.
        return;
    }
    let stack = Stack::start(&[("KITH__INTERNAL__TOKEN", "the-token")]).await;
    let inner = Client::new(&stack.internal["im_auth"]);
    let send = async |token: Option<&str>| {
        let mut request = inner.request(reqwest::Method::POST, "/internal/profiles").body("{\"keys\":[]}");
        if let Some(token) = token {
            request = request.header("x-kith-internal-token", token);
        }
        inner.send(request).await
    };
    for wrong in [None, Some(""), Some("wrong"), Some("kith-dev-internal")] {
        let answer = send(wrong).await;
        assert_eq!((answer.status, answer.json()), (404, json!({"errCode": 404, "errMsg": "no such call"})));
    }
    let answer = send(Some("the-token")).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"profiles": []})));
}

#[tokio::test]
async fn a_starting_service_has_its_port_but_takes_no_connection() {
    // A PostgreSQL that never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://kith@{}/im", silent.local_addr().unwrap());
    let (port, internal) = (free_port(), free_port());
    let (public, inner) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{internal}"));
    let pairs = [
        ("KITH__IM_AUTH__DATABASE_URL", url.as_str()),
        ("KITH__IM_AUTH__LISTEN", public.as_str()),
        ("KITH__IM_AUTH__INTERNAL_LISTEN", inner.as_str()),
    ];
    let folder = TempDir::new().unwrap();
    let mut first = separate(&folder, "svc-im-auth", "first", &pairs);
    first.until(async |p| p.logged().contains("not reachable")).await;
    for address in [&public, &inner] {
        let refused = TcpStream::connect(address).map_err(|e| e.kind());
        assert_eq!(refused.err(), Some(std::io::ErrorKind::ConnectionRefused), "{address}");
    }
    let mut second = separate(&folder, "svc-im-auth", "second", &pairs);
    assert_eq!(second.ended(Duration::from_secs(10)).await.code(), Some(1));
    assert!(second.logged().contains(&format!("cannot listen on {public}")), "{}", second.logged());
}

#[tokio::test]
async fn kith_ends_within_30_seconds_whatever_its_clients_do() {
    let folder = TempDir::new().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut process = kith(
        &folder,
        &[
            ("KITH__GATEWAY__LISTEN", &address),
            ("KITH__GATEWAY__TIMEOUTS__STALL", "120"),
            ("KITH__GATEWAY__TIMEOUTS__REQUEST", "120"),
            ("KITH__DRAIN", "10"),
        ],
    );
    process.until(async |p| p.stdout().contains("kith ready: ")).await;
    let mut upload = TcpStream::connect(&address).unwrap();
    upload
        .write_all(b"POST /auth/user_register HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"secret\":")
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.signal("TERM");
    let status = process.ended(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(0), "{}", process.logged());
    drop(upload);
}

#[tokio::test]
async fn kith_raises_its_limit_of_open_files() {
    let folder = TempDir::new().unwrap();
    let mut process = std::process::Command::new("sh")
        .args(["-c", "ulimit -Sn 300; exec \"$0\"", env!("CARGO_BIN_EXE_kith")])
        .env_clear()
        .env("KITH__GATEWAY__LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("KITH__GATEWAY__INTERNAL_LISTEN", "127.0.0.1:0")
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The limit is raised before the first line of the log; the shell's own is the lower one.
    let mut warned = String::new();
    std::io::BufReader::new(process.stderr.take().unwrap()).read_line(&mut warned).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "soft and hard: {line}");
    let enough = numbers[1] == "unlimited" || numbers[1].parse::<u64>().unwrap() >= 60_500;
    assert_eq!(warned.contains("raise nofile"), !enough, "{warned}");
}
