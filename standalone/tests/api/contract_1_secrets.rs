//! Contract §1: who may see tokens and keys.

use crate::client::{OTHER_SECRET, SECRET, WRONG};
use crate::stack::{Kind, Places, Stack, has_processes, name};
use crate::tusers::{PASSWORD, Page, code_of, done, gif, hidden, md5};
use serde_json::json;
use service_kit::testkit::redis::RedisServer;

#[tokio::test]
async fn without_secrets_by_user_id_the_public_id_shows_neither_token_nor_key() {
    let stack = Stack::start(&[("KITH__TERMINAL_USER__SECRETS_BY_USER_ID", "false"), ("RUST_LOG", "info")]).await;
    let (kith, key) = (stack.client(), name("key"));
    let user = kith.bound_account(&key).await;
    let token = kith.urt(&key, &[]).await.ok_a()["token"].clone();
    let uid = md5(&key);
    let public =
        json!({"rc": "1", "rm": "", "userId": uid, "token": "", "name": "", "br_intro": "", "portraitUri": ""});
    kith.usr(&[("user_id", &uid)]).await.is(public);
    kith.usr(&[("user_id", &uid), ("type", "token")]).await.is(json!({"rc": "1", "rm": "", "token": ""}));
    for pairs in [vec![("tuser_key", key.as_str())], vec![("tuser_key", key.as_str()), ("user_id", &uid)]] {
        let own = kith.usr(&pairs).await.ok_a();
        assert_eq!((&own["token"], &own["tuser_key"]), (&token, &json!(key)));
    }
    let found = json!({"rc": "1", "rm": "", "type": "tuserurms", "isExisted": "1", "user_id": user});
    kith.info(&[("user_id", &user), ("type", "tuserurms")]).await.is(found.clone());
    let mut own = found;
    own["tuser_key"] = json!(key);
    kith.info(&[("tuser_key", &key), ("type", "tuserurms")]).await.is(own.clone());
    kith.info(&[("tuser_key", &key), ("user_id", &user), ("type", "tuserurms")]).await.is(own);

    // A key that is mapped is replaced with that account's password, an unmapped one by itself.
    let (new, other) = (name("new"), kith.account().await);
    let by_key = async |more: &[(&str, &str)]| {
        let mut pairs = vec![("tuser_key_d", new.as_str()), ("tuser_key_s", key.as_str())];
        pairs.extend_from_slice(more);
        kith.replace(&pairs).await
    };
    by_key(&[]).await.fails_a(WRONG);
    by_key(&[("tuser_uid_s", &user)]).await.fails_a(WRONG);
    by_key(&[("tuser_uid_s", &user), ("tuser_pwd_s", "wrong-password")]).await.fails_a(WRONG);
    by_key(&[("tuser_uid_s", &other), ("tuser_pwd_s", PASSWORD)]).await.fails_a(WRONG);
    assert_eq!(kith.rs(&new).await, "-1");
    by_key(&[("tuser_uid_s", &user), ("tuser_pwd_s", PASSWORD)]).await.is(done());
    kith.replace(&[("tuser_key_s", &new), ("tuser_key_d", &name("third"))]).await.is(done());
}

#[tokio::test]
async fn a_key_is_in_no_log_no_page_no_error_and_no_other_dialect() {
    let stack = Stack::start(&[("RUST_LOG", "trace")]).await;
    let kith = stack.client();
    let (key, new) = ("key-Zq7-Vw3-secret-of-one", "key-Zq7-Vw3-secret-new");
    let mut heard = Vec::new();
    let user = kith.bound_account(key).await;
    kith.sync_basics(key, &[("name", "n"), ("br_intro", "i")]).await.is(done());
    kith.upload(key, &[], "portrait", &gif(1)).await.ok_a();
    kith.urt(key, &[]).await.ok_a();
    kith.sync_course(key, "", &"0".repeat(32), "2016-04-01 01:01:01", "2016-04-01 01:01:01").await.is(done());
    kith.record(key, "click", "1", &[]).await.is(done());
    kith.form("/tu_sync_record_from_tn.action", &[("tuser_key", key), ("kind", "click"), ("record_id", "2")]).await;
    kith.replace(&[("tuser_key_d", new), ("tuser_key_s", key)]).await.is(done());
    heard.push(kith.a("ua_reg_user_from_hp", &[("user_key", key), ("type", "reg")]).await.text);
    // Failures of every sort.
    for (call, pairs) in [
        ("tu_rc_sync_urb_from_hp", vec![("tuser_key", key)]),
        ("tu_rc_sync_urb_from_hp", vec![("tuser_key", key), ("name", "\0")]),
        ("tu_rc_get_urt_from_hp", vec![("tuser_key", key), ("app_id", key)]),
        ("tu_rc_get_usr_from_hp", vec![("tuser_key", key), ("user_id", key)]),
        ("tu_rc_get_usr_from_hp", vec![("tuser_key", key), ("type", key)]),
        ("tu_ua_get_info_from_tn", vec![("tuser_key", key), ("type", key)]),
        ("tu_ua_get_info_from_tn", vec![("tuser_key", key), ("type", "lnvalidth"), ("ln_md5", key)]),
        ("tu_ua_send_matrix_info_from_tn", vec![("tuser_key", key), ("type", "tuserurms"), ("para1", key)]),
        ("tu_sync_record_from_tn", vec![("tuser_key", key), ("kind", key), ("record_id", "1")]),
        ("tu_rk_replace_from_tn", vec![("tuser_key_d", key), ("tuser_key_s", key)]),
        ("tu_nothing", vec![("tuser_key", key)]),
    ] {
        heard.push(kith.a(call, &pairs).await.text);
    }
    heard.push(kith.upload(key, &[], "portrait", b"no image").await.text);
    // The page, bound and not.
    let mut page = Page::signed_in(&kith, &user).await;
    heard.push(page.get("/bind").await.text);
    heard.push(page.get("/bind?again").await.text);
    heard.push(page.get("/bind/state").await.text);
    // Other dialects.
    let uid = md5(key);
    for secret in [SECRET, OTHER_SECRET] {
        heard.push(kith.post("/user/get_users_info", json!({"secret": secret, "userIDList": [uid, user]})).await.text);
    }
    heard.push(kith.userinfo(&uid).await.text);
    heard.push(kith.user_token(&uid, 1).await.text);
    heard.push(kith.sign_in(&user, PASSWORD).await.text);
    for text in &heard {
        assert!(!text.contains("Zq7-Vw3"), "{text}");
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let logs = stack.logs();
    assert!(logs.contains("/tu_rk_replace_from_tn.action"), "the access log is there");
    for line in logs.lines() {
        assert!(!line.contains("Zq7-Vw3"), "{line}");
    }
    // Nor does the state store's or the outbox's part of the databases have it.
    let waiting = std::process::Command::new(env!("CARGO_BIN_EXE_kith"))
        .args(["outbox", "list"])
        .env_clear()
        .envs(stack.processes.values().next().unwrap().environment())
        .output()
        .unwrap();
    let listed = String::from_utf8(waiting.stdout).unwrap();
    assert!(listed.starts_with("service\t") && !listed.contains("Zq7-Vw3"), "{listed}");
}

/// All keys and values of the state store that the stack's services wrote.
async fn contents(redis: &RedisServer) -> Vec<(String, String)> {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut ask = async |command: &[&str]| -> Vec<String> {
        let parts: String = command.iter().map(|part| format!("${}\r\n{part}\r\n", part.len())).collect();
        stream.write_all(format!("*{}\r\n{parts}", command.len()).as_bytes()).await.unwrap();
        let mut head = String::new();
        stream.read_line(&mut head).await.unwrap();
        let (is_list, parts) = match head.trim_end().split_at(1) {
            ("*", count) => (true, count.parse().unwrap()),
            ("$", "-1") => return Vec::new(),
            ("$", _) => (false, 1),
            (_, word) => return vec![word.to_owned()],
        };
        let mut found = Vec::new();
        for _ in 0..parts {
            if is_list {
                head.clear();
                stream.read_line(&mut head).await.unwrap();
            }
            let length: usize = head.trim_end()[1..].parse().unwrap();
            let mut text = vec![0; length + 2];
            stream.read_exact(&mut text).await.unwrap();
            found.push(String::from_utf8(text[..length].to_vec()).unwrap());
        }
        found
    };
    let mut all = Vec::new();
    for key in ask(&["KEYS", "*"]).await {
        let value = match ask(&["TYPE", &key]).await.concat().as_str() {
            "string" => ask(&["GET", &key]).await.concat(),
            "zset" => ask(&["ZRANGE", &key, "0", "-1"]).await.concat(),
            "hash" => ask(&["HGETALL", &key]).await.concat(),
            _ => String::new(),
        };
        all.push((key, value));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_state_store_has_no_code_no_session_and_no_form_token() {
    // The other stack's store is in its process.
    if !has_processes() {
        return;
    }
    let redis = RedisServer::start();
    let places = Places::fresh(Kind::Postgres).with(&[("KITH__STATE__URL", &redis.url()), ("RUST_LOG", "info")]);
    let stack = Stack::start_at(places).await;
    let (kith, phone) = (stack.client(), name("phone"));
    let user = kith.bound_account(&phone).await;
    let mut page = Page::signed_in(&kith, &user).await;
    let code = code_of(&page.content("/bind?again").await);
    let form = hidden(&page.get("/bind").await.text, "form");
    let session = page.cookies["kith_bind"].clone();
    let stored = contents(&redis).await;
    let of_page: Vec<_> = stored.iter().filter(|(key, _)| key.contains("bind:")).collect();
    assert!(of_page.len() >= 3, "a session, a code and which it is: {stored:?}");
    let mut words = std::collections::BTreeSet::new();
    for (key, value) in &stored {
        for secret in [&code, &form, &session, &phone] {
            assert!(!key.contains(secret.as_str()) && !value.contains(secret.as_str()), "{key}: {value}");
        }
        let hex = |text: &str| -> Vec<String> {
            let words = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() >= 16);
            words.map(str::to_owned).collect()
        };
        words.extend(hex(key));
        words.extend(hex(value));
    }
    assert!(words.len() >= 3, "{words:?}");
    // None of what stands there is good for anything, whole or the half of it.
    let thief = name("thief");
    for word in &words {
        for word in [word.as_str(), &word[..word.len() / 2]] {
            kith.scan(&thief, word).await.fails_a("the code is unknown, used or expired");
            assert_eq!(page.post("/bind/sign-out", &[("form", word)]).await.status, 403);
            let mut stolen = Page::new(&kith);
            stolen.cookies.insert("kith_bind".into(), word.to_owned());
            assert_eq!(stolen.state().await, json!({"session": false}));
        }
    }
    assert_eq!(kith.mapping_of(&user).await, Some(phone));
    // While the owner's are.
    let other = name("phone");
    kith.scan(&other, &code).await.is(done());
    assert_eq!(page.post("/bind/sign-out", &[("form", &form)]).await.status, 303);
}
