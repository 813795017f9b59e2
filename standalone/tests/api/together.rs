//! What many ask for at once is looked up together, and each has what is his.

use crate::client::{Client, OTHER_SECRET};
use crate::friends::{DOCUMENTS, KITH, user};
use crate::stack::{name, shared};
use futures_util::future::join_all;
use serde_json::json;

/// Asked so often at once that look-ups gather.
const TIMES: usize = 6;

#[tokio::test]
async fn who_wants_to_be_asked_is_told_of_each_account_in_its_app() {
    let (kith, users) = (shared().await, (0..25).map(|_| user()).collect::<Vec<_>>());
    // The same accounts in the other app say the opposite; of every third nothing was ever said.
    let said = |n: usize, app: usize| if n.is_multiple_of(3) { "1" } else { ["0", "1"][(n + app) % 2] };
    for (n, user) in users.iter().enumerate().filter(|(n, _)| n % 3 > 0) {
        for (i, app) in [KITH, DOCUMENTS].into_iter().enumerate() {
            kith.im_of(app, "setUserVerify", json!({"useracc": user, "addVerify": said(n, i)})).await.done();
        }
    }
    let mut asked = Vec::new();
    for (n, user) in users.iter().enumerate().cycle().take(TIMES * users.len()) {
        for (i, app) in [KITH, DOCUMENTS].into_iter().enumerate() {
            let kith = &kith;
            asked.push(async move {
                let answer = kith.im_of(app, "getUserVerify", json!({"useracc": user})).await;
                answer.is(json!({"statusCode": "000000", "statusMsg": "success", "addVerify": said(n, i)}));
            });
        }
    }
    join_all(asked).await;
}

#[tokio::test]
async fn accounts_are_each_the_one_that_was_asked_for() {
    let (kith, uids) = (shared().await, (0..25).map(|_| name("u")).collect::<Vec<_>>());
    for uid in &uids {
        kith.register_with(uid, json!({"name": format!("name of {uid}")})).await.ok_b();
        // Another tenant's account of that name.
        register_elsewhere(&kith, uid).await;
    }
    let asked = uids.iter().cycle().take(TIMES * uids.len()).map(async |uid| {
        let info = kith.userinfo(uid).await.ok_c();
        assert_eq!((&info["username"], &info["nickname"]), (&json!(uid), &json!(format!("name of {uid}"))), "{info}");
        kith.userinfo(&format!("{uid}-nobody")).await.fails_c("no such user");
    });
    join_all(asked).await;
}

async fn register_elsewhere(kith: &Client, uid: &str) {
    let body = json!({"secret": OTHER_SECRET, "platform": 1, "uid": uid, "name": "of the other app"});
    kith.post("/auth/user_register", body).await.ok_b();
}

#[tokio::test]
async fn groups_are_each_the_one_that_was_asked_for() {
    let kith = shared().await;
    let admin = kith.admin().await;
    let mut groups = Vec::new();
    for n in 0..12 {
        let called = format!("group {n}");
        groups.push((admin.create(&called).await, called));
    }
    let asked = groups.iter().cycle().take(TIMES * groups.len()).map(async |(id, called)| {
        let info = kith.group_info(id).await.ok_c();
        assert!(info.to_string().contains(&format!("\"{called}\"")), "{info}");
        kith.group_info(id + 1_000_000).await.fails_c("no such group");
    });
    join_all(asked).await;
}

#[tokio::test]
async fn terminal_users_are_each_the_one_that_was_asked_for() {
    let (kith, keys) = (shared().await, (0..25).map(|_| name("key")).collect::<Vec<_>>());
    for key in &keys {
        kith.sync_basics(key, &[("name", &format!("name of {key}"))]).await.ok_a();
    }
    let asked = keys.iter().cycle().take(TIMES * keys.len()).map(async |key| {
        let shown = kith.usr(&[("tuser_key", key)]).await.ok_a();
        assert_eq!((&shown["tuser_key"], &shown["name"]), (&json!(key), &json!(format!("name of {key}"))), "{shown}");
        kith.usr(&[("tuser_key", &format!("{key}-nobody"))]).await.fails_a("no such terminal user");
    });
    join_all(asked).await;
}
