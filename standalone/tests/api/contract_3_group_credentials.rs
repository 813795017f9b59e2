//! Contract §3: credentials, which every call of svc-groups but one checks (design §5.4).

use crate::client::WRONG;
use crate::groups::PASSWORD;
use crate::stack::{Stack, name, shared};
use serde_json::json;

#[tokio::test]
async fn every_call_but_info_needs_credentials() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let id = admin.create("g").await;
    for call in ["group_create", "group_sync", "user_get_group_list"]
        .map(|c| format!("/im/{c}/"))
        .into_iter()
        .chain(["group_dismiss", "group_join", "group_quit", "group_get_user_list"].map(|c| format!("/im/{id}/{c}/")))
    {
        let with = async |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().copied().chain([("name", "g")]).collect();
            kith.form(&call, &pairs).await
        };
        with(&[]).await.fails_c("username: missing");
        with(&[("username", &admin.uid)]).await.fails_c("password: missing");
        with(&[("username", &admin.uid), ("password", "wrong-password")]).await.fails_c(WRONG);
        with(&[("username", &name("nobody")), ("password", PASSWORD)]).await.fails_c(WRONG);
        with(&[("username", &admin.uid), ("token", "bad"), ("password", PASSWORD)]).await.fails_c(WRONG);
    }
    kith.group_info(id).await.ok_c();
}

#[tokio::test]
async fn a_token_is_accepted_instead_of_the_password_until_it_dies() {
    let kith = shared().await;
    let (admin, user) = (kith.admin().await, kith.person().await);
    let id = admin.create("g").await;
    let token = user.token().await;
    let join = async |more: &[(&str, &str)]| {
        let pairs: Vec<_> = [("username", user.uid.as_str())].iter().chain(more).copied().collect();
        kith.form(&format!("/im/{id}/group_join/"), &pairs).await
    };
    join(&[("token", &token)]).await.ok_c();
    join(&[("token", &token), ("password", "wrong-password")]).await.ok_c();
    // Remembered now.
    join(&[("token", &token)]).await.ok_c();
    let other = admin.token().await;
    join(&[("token", &other)]).await.fails_c(WRONG);
    kith.force_logout(&user.uid, 0).await.ok_b();
    join(&[("token", &token)]).await.fails_c(WRONG);
    join(&[("token", &token), ("password", PASSWORD)]).await.fails_c(WRONG);
}

#[tokio::test]
async fn ten_failures_lock_a_username_out_of_the_groups_too() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    let (user, other) = (kith.person().await, kith.person().await);
    let wrong = [("username", user.uid.as_str()), ("password", "wrong-password")];
    user.sync().await.ok_c();
    let token = user.token().await;
    for n in 0..10 {
        // Some here, some at the other service: one count.
        let path = if n % 2 == 0 { "/im/group_sync/" } else { "/im/user_get_token/" };
        kith.form(path, &wrong).await.fails_c(WRONG);
    }
    // Right password or not, remembered or not.
    user.sync().await.fails_c(WRONG);
    kith.sign_in(&user.uid, PASSWORD).await.fails_c(WRONG);
    other.sync().await.ok_c();
    // A token is never locked out, and a bad one is no failure.
    kith.form("/im/group_sync/", &[("username", &user.uid), ("token", &token)]).await.ok_c();
    for _ in 0..12 {
        kith.form("/im/group_sync/", &[("username", &other.uid), ("token", "bad")]).await.fails_c(WRONG);
    }
    other.sync().await.ok_c();
}

#[tokio::test]
async fn a_password_change_ends_the_old_one_everywhere_within_3_s() {
    let kith = shared().await;
    let user = kith.person().await;
    // Remembered by both services.
    user.sync().await.ok_c();
    kith.sign_in(&user.uid, PASSWORD).await.ok_c();
    let token = user.token().await;
    kith.update(&user.uid, json!({"password": "password-2"})).await.ok_b();
    let new = [("username", user.uid.as_str()), ("password", "password-2")];
    kith.form("/im/group_sync/", &new).await.ok_c();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    user.sync().await.fails_c(WRONG);
    kith.sign_in(&user.uid, PASSWORD).await.fails_c(WRONG);
    kith.form("/im/group_sync/", &new).await.ok_c();
    // Not tokens.
    kith.form("/im/group_sync/", &[("username", &user.uid), ("token", &token)]).await.ok_c();
}
