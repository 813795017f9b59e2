//! Contract §3: the group part of family C, svc-groups.

use crate::client::escape;
use crate::groups::PASSWORD;
use crate::stack::{Stack, shared};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn group_create_answers_a_positive_integer_and_the_creator_is_owner_and_first_member() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let answer = admin.call("/im/group_create/", &[("name", "我的测试群")]).await;
    let id = answer.ok_c()["group_id"].as_i64().unwrap();
    assert!(id > 0);
    answer.is(json!({"ret": "ok", "reason": "", "group_id": id}));
    assert_eq!(admin.members(id).await, [admin.uid.as_str()]);
    admin.quit(id).await.fails_c("the owner cannot quit the group, only dismiss it");
    let other = admin.create("b").await;
    assert_ne!(other, id);
}

#[tokio::test]
async fn only_administrators_create_groups() {
    let kith = shared().await;
    let user = kith.person().await;
    user.call("/im/group_create/", &[("name", "g")]).await.fails_c("only an administrator may do this");
    kith.update(&user.uid, json!({"isAdmin": true})).await.ok_b();
    // Other processes see a change within 3 s.
    for _ in 0..30 {
        if user.call("/im/group_create/", &[("name", "g")]).await.json()["ret"] == "ok" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("not an administrator after 3 s");
}

#[tokio::test]
async fn group_names_are_1_to_64_characters() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let create = async |name: &str| admin.call("/im/group_create/", &[("name", name)]).await;
    create("").await.fails_c("name: must not be empty");
    create(&"群".repeat(65)).await.fails_c("name: longer than 64 characters");
    create("a\0b").await.fails_c("name: contains a NUL character");
    admin.call("/im/group_create/", &[]).await.fails_c("name: missing");
    let id = create(&"群".repeat(64)).await.ok_c()["group_id"].as_i64().unwrap();
    kith.group_info(id).await.is(json!({"ret": "ok", "reason": "", "group_id": id, "group_name": "群".repeat(64)}));
    let odd = "\"<b>&\\/\u{1f600}\n";
    let id = create(odd).await.ok_c()["group_id"].as_i64().unwrap();
    assert_eq!(kith.group_info(id).await.ok_c()["group_name"], json!(odd));
}

#[tokio::test]
async fn parameters_are_checked_before_secrets() {
    let kith = shared().await;
    let bad = [("username", "nobody"), ("password", "wrong-password"), ("name", "")];
    kith.form("/im/group_create/", &bad).await.fails_c("name: must not be empty");
    let bad = [("username", "nobody"), ("password", "wrong-password"), ("page", "x")];
    kith.form("/im/1/group_get_user_list/", &bad).await.fails_c("page: must be an integer");
    kith.form("/im/x/group_join/", &bad).await.fails_c("no such group");
}

#[tokio::test]
async fn group_dismiss_is_for_owner_or_administrator_and_the_group_is_gone() {
    let kith = shared().await;
    let (owner, admin, member) = (kith.admin().await, kith.admin().await, kith.person().await);
    let (first, second) = (owner.create("a").await, owner.create("b").await);
    for id in [first, second] {
        member.join(id).await.ok_c();
        member.dismiss(id).await.fails_c("only the group's owner or an administrator may dismiss it");
    }
    owner.dismiss(first).await.is(json!({"ret": "ok", "reason": ""}));
    // One who is no member.
    admin.dismiss(second).await.is(json!({"ret": "ok", "reason": ""}));
    for id in [first, second] {
        for answer in [
            kith.group_info(id).await,
            owner.dismiss(id).await,
            member.join(id).await,
            member.quit(id).await,
            member.list(id, &[]).await,
            member.list(id, &[("page", "1")]).await,
        ] {
            answer.fails_c("no such group");
        }
    }
    assert!(member.groups().await.is_empty() && owner.groups().await.is_empty());
    // Its number is never given again.
    assert!(owner.create("c").await > second);
}

#[tokio::test]
async fn the_owner_dismisses_his_group_when_he_is_no_administrator_any_more() {
    let kith = shared().await;
    let owner = kith.admin().await;
    let id = owner.create("g").await;
    kith.update(&owner.uid, json!({"isAdmin": false})).await.ok_b();
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    owner.call("/im/group_create/", &[("name", "g")]).await.fails_c("only an administrator may do this");
    owner.dismiss(id).await.ok_c();
}

#[tokio::test]
async fn group_join_again_is_ok_and_group_quit_of_no_member_fails() {
    let kith = shared().await;
    let (admin, user) = (kith.admin().await, kith.person().await);
    let id = admin.create("g").await;
    user.quit(id).await.fails_c("not a member of the group");
    user.join(id).await.is(json!({"ret": "ok", "reason": ""}));
    user.join(id).await.is(json!({"ret": "ok", "reason": ""}));
    assert_eq!(admin.members(id).await, [admin.uid.clone(), user.uid.clone()]);
    user.quit(id).await.is(json!({"ret": "ok", "reason": ""}));
    user.quit(id).await.fails_c("not a member of the group");
    assert_eq!(admin.members(id).await, [admin.uid.as_str()]);
}

#[tokio::test]
async fn ids_that_are_no_positive_number_are_no_groups() {
    let kith = shared().await;
    let user = kith.person().await;
    for id in ["0", "-1", "abc", "1.5", "+1", "1e3", "%20", "99999999999999999999", "%E7%BE%A4", "999999999"] {
        kith.group_info(id).await.fails_c("no such group");
        for call in ["group_join", "group_quit", "group_dismiss", "group_get_user_list"] {
            user.call(&format!("/im/{id}/{call}/"), &[]).await.fails_c("no such group");
        }
    }
}

#[tokio::test]
async fn group_get_info_takes_get_and_post_the_rest_post_only() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let id = admin.create("g").await;
    let body = json!({"ret": "ok", "reason": "", "group_id": id, "group_name": "g"});
    kith.get(&format!("/im/{id}/group_get_info")).await.is(body.clone());
    kith.get(&format!("/im/{id}/group_get_info/?username=x&page=y")).await.is(body.clone());
    kith.form(&format!("/im/{id}/group_get_info/"), &[]).await.is(body.clone());
    kith.post(&format!("/im/{id}/group_get_info"), json!({"group_id": 77})).await.is(body);
    for call in ["group_create/".to_owned(), "user_get_group_list".to_owned(), format!("{id}/group_join/")] {
        let answer = kith.get(&format!("/im/{call}")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{call}");
        assert_eq!(answer.json(), json!({"ret": "failed", "reason": "this call does not take that method"}));
    }
    assert_eq!(kith.send(kith.request(Method::DELETE, &format!("/im/{id}/group_get_info/"))).await.status, 405);
    for unknown in ["/im/", "/im/1", "/im/1/", "/im/1/group_rename/", "/im/group_creates", "/im/1/2/group_join"] {
        let answer = kith.form(unknown, &[]).await;
        assert_eq!(
            (answer.status, answer.json()),
            (404, json!({"ret": "failed", "reason": "no such call"})),
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn group_sync_with_builtin_tokens_is_ok() {
    let user = shared().await.person().await;
    user.sync().await.is(json!({"ret": "ok", "reason": ""}));
}

#[tokio::test]
async fn bodies_are_form_multipart_query_or_json_with_trailing_commas() {
    let kith = shared().await;
    let (admin, user) = (kith.admin().await, kith.person().await);
    let id = admin.create("g").await;
    let pairs = [("username", user.uid.as_str()), ("password", PASSWORD)];
    let example = format!("{{ \"username\":\"{}\", \"password\":\"{PASSWORD}\",}}", user.uid);
    let query = format!("username={}&password={PASSWORD}", escape(&user.uid));
    for path in [
        format!("/im/{id}/group_join/"),
        format!("/im/{id}/group_get_user_list/"),
        "/im/user_get_group_list/".to_owned(),
        "/im/group_sync/".to_owned(),
    ] {
        kith.form(&path, &pairs).await.ok_c();
        kith.multipart(&path, &pairs).await.ok_c();
        kith.raw(&format!("{path}?{query}"), None, "").await.ok_c();
        for kind in [None, Some("application/json"), Some("application/x-www-form-urlencoded"), Some("text/plain")] {
            kith.raw(&path, kind, example.clone()).await.ok_c();
        }
        // The slash is optional, the body wins over the query.
        let path = path.trim_end_matches('/');
        kith.raw(&format!("{path}?username=nobody&password=none"), None, example.clone()).await.ok_c();
    }
    for quit in [
        kith.form(&format!("/im/{id}/group_quit/"), &pairs).await,
        {
            user.join(id).await.ok_c();
            kith.multipart(&format!("/im/{id}/group_quit/"), &pairs).await
        },
        {
            user.join(id).await.ok_c();
            kith.raw(&format!("/im/{id}/group_quit?{query}"), None, "").await
        },
        {
            user.join(id).await.ok_c();
            kith.raw(&format!("/im/{id}/group_quit/"), None, example).await
        },
    ] {
        quit.ok_c();
    }
    // The document's own example of group_create, with the value that it forgot.
    let body = format!("{{ \"username\":\"{}\", \"password\":\"{PASSWORD}\", \"name\": \"group_name\",}}", admin.uid);
    for kind in [None, Some("application/json"), Some("text/plain")] {
        let id = kith.raw("/im/group_create/", kind, body.clone()).await.ok_c()["group_id"].as_i64().unwrap();
        assert_eq!(kith.group_info(id).await.ok_c()["group_name"], json!("group_name"));
        kith.raw(&format!("/im/{id}/group_dismiss/"), kind, body.clone()).await.ok_c();
    }
    let pairs = [("username", admin.uid.as_str()), ("password", PASSWORD), ("name", "多 部分")];
    let id = kith.multipart("/im/group_create/", &pairs).await.ok_c()["group_id"].as_i64().unwrap();
    assert_eq!(kith.group_info(id).await.ok_c()["group_name"], json!("多 部分"));
    let query = format!("/im/group_create?username={}&password={PASSWORD}&name=a+b%20c", escape(&admin.uid));
    let id = kith.raw(&query, None, "").await.ok_c()["group_id"].as_i64().unwrap();
    assert_eq!(kith.group_info(id).await.ok_c()["group_name"], json!("a b c"));
}

#[tokio::test]
async fn a_full_group_takes_nobody_else() {
    let stack = Stack::start(&[("KITH__GROUPS__MAX_MEMBERS", "3")]).await;
    let kith = stack.client();
    let admin = kith.admin().await;
    let id = admin.create("g").await;
    let users = [kith.person().await, kith.person().await, kith.person().await];
    users[0].join(id).await.ok_c();
    users[1].join(id).await.ok_c();
    users[2].join(id).await.fails_c("the group is full");
    // Who is in it still may join it.
    users[1].join(id).await.ok_c();
    users[0].quit(id).await.ok_c();
    users[2].join(id).await.ok_c();
    users[0].join(id).await.fails_c("the group is full");
}

#[tokio::test]
async fn a_user_joins_no_more_groups_than_the_setting_allows() {
    let stack = Stack::start(&[("KITH__GROUPS__MAX_GROUPS_PER_USER", "2")]).await;
    let kith = stack.client();
    let (admin, user) = (kith.admin().await, kith.person().await);
    let ids = [admin.create("a").await, admin.create("b").await, admin.create("c").await];
    user.join(ids[0]).await.ok_c();
    user.join(ids[1]).await.ok_c();
    user.join(ids[2]).await.fails_c("this user is in as many groups as one may be in");
    assert_eq!(user.groups().await, ids[..2]);
    user.join(ids[1]).await.ok_c();
    user.quit(ids[0]).await.ok_c();
    user.join(ids[2]).await.ok_c();
    // Who makes groups may make more than he may join.
    assert_eq!(admin.groups().await, ids);
}

#[tokio::test]
async fn limits_are_checked_at_start() {
    for (key, setting) in [
        ("KITH__GROUPS__MAX_MEMBERS", "groups.max_members"),
        ("KITH__GROUPS__MAX_GROUPS_PER_USER", "groups.max_groups_per_user"),
    ] {
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_kith"));
        let output = check.arg("check").env(key, "0").current_dir("/").output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(setting), "{output:?}");
    }
}
