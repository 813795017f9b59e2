//! `kith migrate` and `kith admin`, beside services that run and without them.

use crate::client::Client;
use crate::socket::{End, Socket};
use crate::stack::{Kind, Places, SERVICES, Stack};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Contract §0 and design §4: a change of another process's is seen within 7 s, of a token's state within 5 s.
const PROFILE_SEEN: Duration = Duration::from_secs(7);
const TOKEN_SEEN: Duration = Duration::from_secs(5);
/// For the requests that look, on a loaded machine.
const GRACE: Duration = Duration::from_secs(3);

/// `kith …` with these settings and this on its standard input.
fn kith(environment: &BTreeMap<String, String>, folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kith"))
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read it has closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// `kith admin …` beside a stack.
fn admin(stack: &mut Stack, arguments: &[&str], input: &str) -> Output {
    let environment = stack.process_of("im_auth").environment().clone();
    let arguments: Vec<&str> = std::iter::once("admin").chain(arguments.iter().copied()).collect();
    kith(&environment, stack.folder.path(), &arguments, input)
}

async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < limit + GRACE, "{what} after {limit:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn signs_in(kith: &Client, username: &str, password: &str) -> bool {
    kith.sign_in(username, password).await.json()["ret"] == "ok"
}

#[tokio::test]
async fn a_password_set_from_outside_counts_and_ends_what_was_remembered() {
    let mut stack = Stack::start(&[]).await;
    let kith = stack.client();
    let token = kith.register_with("alice", json!({"password": "old password"})).await.ok_b()["data"]["token"].clone();
    // Remembered by this process and by svc-groups.
    assert!(signs_in(&kith, "alice", "old password").await);
    let groups = [("username", "alice"), ("password", "old password")];
    kith.form("/im/user_get_group_list/", &groups).await.ok_c();

    let output = admin(&mut stack, &["set-password", "alice"], "new password\nanother line\n");
    assert_eq!(told(&output), "the password is set\n");
    within(PROFILE_SEEN, "the old password still counts", async || !signs_in(&kith, "alice", "old password").await)
        .await;
    within(PROFILE_SEEN, "the old password still counts in svc-groups", async || {
        kith.form("/im/user_get_group_list/", &groups).await.json()["ret"] == "failed"
    })
    .await;
    assert!(signs_in(&kith, "alice", "new password").await);
    kith.parse(token.as_str().unwrap()).await.ok_b();

    // The same while nobody runs.
    stack.process_of("im_auth").kill();
    told(&admin(&mut stack, &["set-password", "alice"], "third password"));
    stack.restart("im_auth").await;
    let kith = stack.client();
    within(PROFILE_SEEN, "the third password does not count", async || {
        signs_in(&kith, "alice", "third password").await
    })
    .await;
    assert!(!signs_in(&kith, "alice", "new password").await);
}

#[tokio::test]
async fn administrators_are_made_and_unmade() {
    let mut stack = Stack::start(&[]).await;
    let kith = stack.client();
    kith.register_with("alice", json!({"password": "password-1"})).await.ok_b();
    let create = async || {
        let group = [("username", "alice"), ("password", "password-1"), ("name", "g")];
        kith.form("/im/group_create/", &group).await.json()["ret"].clone()
    };
    assert_eq!(create().await, "failed");
    told(&admin(&mut stack, &["set-admin", "alice"], ""));
    within(PROFILE_SEEN, "no administrator", async || create().await == "ok").await;
    told(&admin(&mut stack, &["clear-admin", "alice"], ""));
    within(PROFILE_SEEN, "still an administrator", async || create().await == "failed").await;
}

#[tokio::test]
async fn a_log_out_from_outside_ends_tokens_and_sockets() {
    let mut stack = Stack::start(&[]).await;
    let kith = stack.client();
    kith.register("alice").await.ok_b();
    let (phone, web) = (kith.token("alice", 1).await, kith.token("alice", 5).await);
    // Its state is remembered in the state store.
    kith.parse(&phone).await.ok_b();
    let mut socket = Socket::open(&stack.url, &phone).await;
    let mut other = Socket::open(&stack.url, &web).await;

    let output = admin(&mut stack, &["logout", "alice", "--platform", "1"], "");
    // The one of the registration too.
    assert_eq!(told(&output), "2 tokens are ended\n");
    within(TOKEN_SEEN, "the token lives", async || kith.parse(&phone).await.json()["errCode"] == 702).await;
    if stack.kind == Kind::Postgres {
        // Through Redis everybody knows before the command ends.
        kith.parse(&phone).await.fails_b(702, "token invalid");
    }
    assert_eq!(socket.end_within(TOKEN_SEEN + GRACE).await.1, End::Closed(4702));
    kith.parse(&web).await.ok_b();
    other.lives().await;

    told(&admin(&mut stack, &["logout", "alice"], ""));
    assert_eq!(other.end_within(TOKEN_SEEN + GRACE).await.1, End::Closed(4702));
    within(TOKEN_SEEN, "the token lives", async || kith.parse(&web).await.json()["errCode"] == 702).await;
    let again = kith.token("alice", 1).await;
    kith.parse(&again).await.ok_b();
    Socket::open(&stack.url, &again).await.lives().await;
    assert_eq!(told(&admin(&mut stack, &["logout", "nobody"], "")), "0 tokens are ended\n");
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let mut stack = Stack::start(&[]).await;
    let kith = stack.client();
    for uid in ["a", "b", "c\td"] {
        kith.register_with(uid, json!({"name": "Name\n2"})).await.ok_b();
    }
    kith.reg_user("e", "password-1").await.ok_c();
    let other = json!({"secret": "tuoyun-2", "platform": 1, "uid": "z", "name": ""});
    kith.post("/auth/user_register", other).await.ok_b();
    let list = |stack: &mut Stack, arguments: &[&str]| -> Vec<Vec<String>> {
        let all: Vec<&str> = std::iter::once("list").chain(arguments.iter().copied()).collect();
        let text = told(&admin(stack, &all, ""));
        text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    };
    let first = list(&mut stack, &["--limit", "2"]);
    assert_eq!(first.len(), 3, "two accounts and how to go on: {first:?}");
    assert_eq!((first[0][0].as_str(), first[1][0].as_str()), ("a", "b"));
    assert_eq!(first[0][1..4], ["yes", "no", "no"], "registered, password, admin");
    assert_eq!((first[0][4].len(), first[0][5].as_str()), (20, "Name\\n2"));
    assert_eq!(first[2], ["# more: --after \"b\""]);
    let rest = list(&mut stack, &["--limit", "2", "--after", "b"]);
    assert_eq!(rest.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["c\\td", "e"]);
    assert_eq!(rest[1][1..4], ["yes", "yes", "no"]);
    let of_other = list(&mut stack, &["--app", "20150314000000110000000000000010"]);
    assert_eq!(of_other.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["z"]);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_nothing_is_changed() {
    let mut stack = Stack::start(&[]).await;
    let kith = stack.client();
    kith.register_with("alice", json!({"password": "password-1"})).await.ok_b();
    for (arguments, input, says) in [
        (vec!["set-password", "nobody"], "long enough Zq7", "user not registered"),
        (vec!["set-password", "alice"], "Zq7", "password: shorter than 8 characters"),
        (vec!["set-password", "alice"], "\nlong enough Zq7", "must hold the password"),
        (vec!["set-password", "alice", "--app", "nosuch"], "long enough Zq7", "no such app"),
        (vec!["set-admin", ""], "", "uid: must not be empty"),
    ] {
        let output = admin(&mut stack, &arguments, input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(says) && !said.contains("Zq7"), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
    let argument = admin(&mut stack, &["set-password", "alice", "on the command line"], "");
    assert_eq!(argument.status.code(), Some(2), "a password is no argument");
    assert!(signs_in(&kith, "alice", "password-1").await);
}

#[tokio::test]
async fn migrate_prepares_every_database_and_ends() {
    let folder = tempfile::TempDir::new().unwrap();
    let kind = Kind::of_run();
    let mut places = Places::fresh(kind);
    let data = folder.path().join("data");
    places.environment.insert("KITH__DATA_DIR".into(), data.display().to_string());
    let backend = if kind == Kind::Sqlite { "sqlite" } else { "postgres" };
    for _ in 0..2 {
        let text = told(&kith(&places.environment, folder.path(), &["migrate"], ""));
        let expected: Vec<String> =
            SERVICES.iter().map(|service| format!("{service}: {backend}, up to date")).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
    if kind == Kind::Sqlite {
        for service in SERVICES {
            assert!(data.join(format!("{service}.db")).exists(), "{service}");
        }
    }
    // The tables are there: what works on them finds nothing to do.
    assert_eq!(told(&kith(&places.environment, folder.path(), &["outbox", "list"], "")).lines().count(), 1);
    assert_eq!(told(&kith(&places.environment, folder.path(), &["admin", "list"], "")).lines().count(), 1);
}
