//! Contract §3: lists of a group's members and of a user's groups.

use crate::groups::{PASSWORD, usernames};
use crate::stack::shared;
use serde_json::json;

#[tokio::test]
async fn group_get_user_list_answers_members_in_joining_order_with_nickname_and_thumb() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let id = admin.create("群组名称").await;
    let (first, second) = (kith.person().await, kith.person().await);
    let thumb = "resource.haorenao.cn/static/tea/threadimages/xx1.png";
    kith.update(&first.uid, json!({"name": "9527", "icon": thumb})).await.ok_b();
    kith.update(&second.uid, json!({"name": "张三", "icon": format!("{}.png", "0a".repeat(32))})).await.ok_b();
    // Joins later, although his account is older.
    second.join(id).await.ok_c();
    first.join(id).await.ok_c();
    // Any valid account may ask.
    let stranger = kith.person().await;
    stranger.list(id, &[]).await.is(json!({"ret": "ok", "reason": "", "group_id": id, "group_name": "群组名称",
    "userinfos": [
        {"username": admin.uid, "nickname": admin.uid, "thumb": ""},
        {"username": second.uid, "nickname": "张三", "thumb": format!("{}/media/{}.png", kith.url, "0a".repeat(32))},
        {"username": first.uid, "nickname": "9527", "thumb": thumb},
    ]}));
    // Who quits and joins again is last.
    second.quit(id).await.ok_c();
    second.join(id).await.ok_c();
    assert_eq!(stranger.members(id).await, [admin.uid, first.uid, second.uid]);
}

#[tokio::test]
async fn a_changed_nickname_is_shown_within_3_s() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let id = admin.create("g").await;
    admin.list(id, &[]).await.ok_c();
    kith.update(&admin.uid, json!({"name": "new"})).await.ok_b();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(admin.list(id, &[]).await.ok_c()["userinfos"][0]["nickname"], json!("new"));
}

#[tokio::test]
async fn lists_are_paged_on_request() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let id = admin.create("g").await;
    let mut all = vec![admin.uid.clone()];
    for _ in 0..24 {
        let user = kith.person().await;
        user.join(id).await.ok_c();
        all.push(user.uid);
    }
    let page = async |more: &[(&str, &str)]| usernames(&admin.list(id, more).await.ok_c());
    assert_eq!(page(&[]).await, all);
    // 20 by default, page 1 by default.
    assert_eq!(page(&[("page", "1")]).await, all[..20]);
    assert_eq!(page(&[("page", "2")]).await, all[20..]);
    assert_eq!(page(&[("size", "3")]).await, all[..3]);
    assert_eq!(page(&[("page", "4"), ("size", "7")]).await, all[21..]);
    assert_eq!(page(&[("page", "1"), ("size", "1000")]).await, all);
    // Clamped.
    assert_eq!(page(&[("page", "0"), ("size", "5")]).await, all[..5]);
    assert_eq!(page(&[("page", "-3"), ("size", "5")]).await, all[..5]);
    assert_eq!(page(&[("size", "0")]).await, all[..1]);
    assert_eq!(page(&[("size", "100000")]).await, all);
    // Past the end.
    assert!(page(&[("page", "3")]).await.is_empty());
    assert!(page(&[("page", "9223372036854775807"), ("size", "1000")]).await.is_empty());
    // Empty is absent, as forms have it.
    assert_eq!(page(&[("page", ""), ("size", "")]).await, all);
    admin.list(id, &[("page", "x")]).await.fails_c("page: must be an integer");
    admin.list(id, &[("size", "99999999999999999999")]).await.fails_c("size: must be an integer");
    let body =
        format!("{{\"username\": \"{}\", \"password\": \"{PASSWORD}\", \"page\": 2, \"size\": \"10\",}}", admin.uid);
    let answer = kith.raw(&format!("/im/{id}/group_get_user_list/"), None, body).await;
    assert_eq!(usernames(&answer.ok_c()), all[10..20]);
}

#[tokio::test]
async fn user_get_group_list_answers_groups_in_joining_order() {
    let kith = shared().await;
    let (admin, user) = (kith.admin().await, kith.person().await);
    user.call("/im/user_get_group_list/", &[]).await.is(json!({"ret": "ok", "reason": "", "groups": []}));
    let ids = [admin.create("a").await, admin.create("b").await, admin.create("我的测试群").await];
    for n in [2, 0, 1] {
        user.join(ids[n]).await.ok_c();
    }
    let group = |n: usize, name: &str| json!({"id": ids[n], "name": name});
    let body = json!({"ret": "ok", "reason": "", "groups": [group(2, "我的测试群"), group(0, "a"), group(1, "b")]});
    user.call("/im/user_get_group_list/", &[]).await.is(body);
    user.quit(ids[2]).await.ok_c();
    user.join(ids[2]).await.ok_c();
    assert_eq!(user.groups().await, [ids[0], ids[1], ids[2]]);
    assert_eq!(admin.groups().await, ids);
}
