//! Settings: where they come from, what is refused and in which words, and what a check tells.

use crate::client::Client;
use crate::operations::{kith, separate};
use crate::process::{Process, free_port};
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;

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
    assert_eq!(process.ended(Duration::from_secs(10)).await.code(), Some(2));
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
async fn a_database_url_that_nobody_understands_is_refused_without_a_word_of_its_password() {
    for url in ["postgres://kith:s3cr%zzZq7@127.0.0.1/im", "postgres://kith:s3crZq7@[::1/im", "postgres://k:s/Zq7@h/im"]
    {
        let folder = TempDir::new().unwrap();
        let mut process = separate(&folder, "svc-im-auth", "log", &[("KITH__IM_AUTH__DATABASE_URL", url)]);
        assert_eq!(process.ended(Duration::from_secs(10)).await.code(), Some(2), "{}", process.logged());
        let log = process.logged();
        assert!(log.contains("im_auth.database_url"), "{log}");
        assert!(!log.contains("Zq7") && !log.contains("s3cr"), "{log}");
    }
}

#[tokio::test]
async fn check_finds_what_would_stop_the_start() {
    let binaries = std::path::Path::new(env!("CARGO_BIN_EXE_kith")).parent().unwrap();
    for (binary, pair, says) in [
        ("svc-im-auth", ("KITH__STATE__URL", "memory:"), "state.url"),
        ("svc-groups", ("KITH__GROUPS__DATABASE_URL", "mysql://h/d"), "groups.database_url"),
        ("svc-friends", ("KITH__STATE__URL", "redis://:Zq7@h/x"), "state.url"),
        ("svc-friends", ("KITH__INTERNAL__IM_AUTH", "127.0.0.1:9081"), "internal.im_auth"),
        ("gateway", ("KITH__GATEWAY__TOKEN", "Zq7 token"), "gateway.token"),
        // Behind the gateway of the same settings anybody could use the published signing key.
        ("svc-im-auth", ("KITH__GATEWAY__LISTEN", "0.0.0.0:8080"), "im_auth.token.keys"),
        ("svc-im-auth", ("KITH__PUBLIC_BASE_URL", "https://im.example"), "im_auth.token.keys"),
    ] {
        let folder = TempDir::new().unwrap();
        let mut command = std::process::Command::new(binaries.join(binary));
        command.arg("--check").env_clear().env("KITH__STATE__URL", "redis://h").env(pair.0, pair.1);
        let output = command.current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{binary} {pair:?}: {said}");
        assert!(said.contains(says) && !said.contains("Zq7"), "{binary} {pair:?}: {said}");
    }
}
