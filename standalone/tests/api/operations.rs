//! Running it: settings, start, end, health, metrics, and what the log must not tell.

use crate::client::{Client, SECRET};
use crate::process::{Process, free_port};
use crate::stack::{Kind, Stack};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn kith(folder: &TempDir, pairs: &[(&str, &str)]) -> Process {
    let mut environment: BTreeMap<String, String> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    environment.entry("KITH__GATEWAY__LISTEN".into()).or_insert(format!("127.0.0.1:{}", free_port()));
    environment.entry("KITH__GATEWAY__INTERNAL_LISTEN".into()).or_insert("127.0.0.1:0".into());
    Process::start("kith", environment, folder.path().join("kith.log"))
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
async fn wrong_settings_end_it_with_code_2_and_name_the_setting() {
    for (pairs, says) in [
        (vec![("KITH__NOSUCH__KEY", "1")], "nosuch"),
        (vec![("KITH__IM_AUTH__NOSUCH", "1")], "im_auth"),
        (vec![("KITH__IM_AUTH__TOKEN__DAYS", "0")], "im_auth.token.days"),
        (vec![("KITH__UTC_OFFSET", "8")], "utc_offset"),
        (vec![("KITH__STATE__URL", "mysql://x")], "state.url"),
        (vec![("KITH__SYSTEM_APP", "nobody")], "system_app"),
        (vec![("KITH__APPS__A__ID", "x y"), ("KITH__SYSTEM_APP", "a")], "apps.a"),
        (vec![("KITH__GATEWAY__LISTEN", "0.0.0.0:0")], "development default"),
        (vec![("KITH__GATEWAY__TOKEN_FILE", "/no/such/file")], "KITH__GATEWAY__TOKEN_FILE"),
    ] {
        let folder = TempDir::new().unwrap();
        let mut process = kith(&folder, &pairs);
        let status = process.ended(Duration::from_secs(10)).await;
        assert_eq!(status.code(), Some(2), "{pairs:?}: {}", process.logged());
        assert!(process.logged().contains(says), "{pairs:?}: {}", process.logged());
    }
}

#[tokio::test]
async fn development_defaults_are_refused_off_loopback_by_every_binary() {
    for (binary, section, says) in [
        ("svc-im-auth", "IM_AUTH", "im_auth.open_registration"),
        ("svc-groups", "GROUPS", "internal.token"),
        ("svc-friends", "FRIENDS", "internal.token"),
        ("svc-terminal-user", "TERMINAL_USER", "terminal_user.secrets_by_user_id"),
        ("gateway", "GATEWAY", "gateway.token"),
    ] {
        let folder = TempDir::new().unwrap();
        let environment = BTreeMap::from([
            (format!("KITH__{section}__LISTEN"), "0.0.0.0:0".to_owned()),
            ("KITH__STATE__URL".to_owned(), "redis://127.0.0.1:1".to_owned()),
        ]);
        let mut process = Process::start(binary, environment, folder.path().join("log"));
        assert_eq!(process.ended(Duration::from_secs(10)).await.code(), Some(2));
        assert!(process.logged().contains(says), "{binary}: {}", process.logged());
        assert!(process.logged().contains("not a loopback address"), "{binary}: {}", process.logged());
    }
}

#[tokio::test]
async fn separate_binaries_refuse_the_store_in_memory() {
    let folder = TempDir::new().unwrap();
    let environment = BTreeMap::from([("KITH__IM_AUTH__LISTEN".to_owned(), "127.0.0.1:0".to_owned())]);
    let mut process = Process::start("svc-im-auth", environment, folder.path().join("log"));
    assert_eq!(process.ended(Duration::from_secs(10)).await.code(), Some(1));
    assert!(process.logged().contains("state.url"), "{}", process.logged());
}

#[tokio::test]
async fn check_prints_the_settings_in_force_with_secrets_masked() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a-very-secret-token\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kith"))
        .arg("check")
        .env_clear()
        .env("KITH__INTERNAL__TOKEN_FILE", &secret)
        .env("KITH__FRIENDS__DATABASE_URL", "postgres://kith:hunter2@db/friends")
        .env("KITH__GATEWAY__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for shown in
        ["[gateway]", "[im_auth.token]", "postgres://kith:***@db/friends", "utc_offset = \"+08:00\"", "192.0.2.7"]
    {
        assert!(text.contains(shown), "{shown} is missing in\n{text}");
    }
    for hidden in ["a-very-secret-token", "hunter2", "tuoyun", "kith-dev-token"] {
        assert!(!text.contains(hidden), "{hidden} is shown in\n{text}");
    }
}

#[tokio::test]
async fn every_setting_can_come_from_a_file_or_the_environment() {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    std::fs::write(
        folder.path().join("kith.toml"),
        "data_dir = \"elsewhere\"\n[im_auth]\nadmins = [\"root\"]\n[im_auth.token]\ndays = 3\n",
    )
    .unwrap();
    let mut process =
        kith(&folder, &[("KITH__GATEWAY__LISTEN", &format!("127.0.0.1:{port}")), ("KITH__IM_AUTH__TOKEN__DAYS", "2")]);
    process.until(async |p| p.stdout().contains("kith ready: ")).await;
    assert!(folder.path().join("elsewhere/im_auth.db").exists());
    let client = Client::new(&format!("http://127.0.0.1:{port}"));
    client.reg_user("root", "password-1").await.fails_c("this username cannot be registered");
    let data = client.register("alice").await.ok_b()["data"].clone();
    let days = (data["expiredTime"].as_i64().unwrap()
        - i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs())
            .unwrap()
        + 60)
        / 86_400;
    assert_eq!(days, 2, "the environment is over the file");
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
    let of_auth = match stack.kind {
        // kith shows the metrics of all its servers.
        Kind::Sqlite => metrics,
        Kind::Postgres => Client::new(&stack.internal["im_auth"]).get("/metrics").await.text,
    };
    assert!(of_auth.contains("route=\"/auth/user_register\",outcome=\"ok\"} 1"), "{of_auth}");
    for name in ["kith_db_threads", "kith_state_up", "kith_build_info"] {
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
    if Kind::of_run() == Kind::Sqlite {
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
