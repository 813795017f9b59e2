//! Answered means durable (design §5.3): kill -9 under load.

use crate::client::Client;
use crate::friends::KITH;
use crate::stack::Stack;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

#[tokio::test]
async fn every_answered_registration_token_and_revocation_survives_kill_9() {
    let mut stack = Stack::start(&[("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    let (registered, revoked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let next = Arc::new(AtomicUsize::new(0));
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..16)
            .map(|_| {
                let (kith, next, stop) = (kith.clone(), next.clone(), stop.clone());
                let (registered, revoked) = (registered.clone(), revoked.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let uid = format!("user-{}", next.fetch_add(1, Ordering::Relaxed));
                        let Some(token) = try_register(&kith, &uid).await else { continue };
                        registered.lock().await.push((uid.clone(), token.clone()));
                        if uid.ends_with('7') && try_logout(&kith, &uid).await {
                            revoked.lock().await.push(token);
                        }
                    }
                })
            })
            .collect();
        // In the middle of it, however slow the machine is.
        while registered.lock().await.len() <= 25 * (round + 1) || revoked.lock().await.len() <= round {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stack.process_of("im_auth").kill();
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await.unwrap();
        }
        stack.restart("im_auth").await;
        until_answering(&kith).await;

        let (registered, revoked) = (registered.lock().await, revoked.lock().await);
        for chunk in registered.chunks(200) {
            let uids: Vec<&str> = chunk.iter().map(|(uid, _)| uid.as_str()).collect();
            let body = kith.users_info(json!(uids)).await.ok_b();
            assert_eq!(body["data"].as_array().unwrap().len(), chunk.len(), "answered registrations are gone");
        }
        for token in revoked.iter() {
            kith.parse(token).await.fails_b(702, "token invalid");
        }
        for (uid, token) in registered.iter().rev().take(100).filter(|(uid, _)| !uid.ends_with('7')) {
            assert_eq!(kith.parse(token).await.ok_b()["data"]["uid"], json!(uid));
        }
    }
}

#[tokio::test]
async fn an_import_of_1000_pairs_is_all_or_nothing_under_kill_9() {
    let mut stack = Stack::start(&[("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    // Killed later each time, until one import was quicker.
    let mut outcomes = Vec::new();
    for round in 0..60_u64 {
        if round >= 10 && outcomes.contains(&1000) {
            break;
        }
        let hub = format!("hub{round}");
        let pairs: Vec<_> =
            (0..1000).map(|n| json!({"useracc": hub, "friendUseracc": format!("f{round}-{n}")})).collect();
        let body = json!({ "friendsList": pairs });
        let sent = tokio::spawn(kith.signed(KITH, "importFriends", "").body(body.to_string()).send());
        tokio::time::sleep(Duration::from_millis(round * 15)).await;
        stack.process_of("friends").kill();
        let answered = match sent.await.unwrap() {
            Ok(answer) => answer.text().await.is_ok_and(|text| text.contains("000000")),
            Err(_) => false,
        };
        stack.restart("friends").await;
        let all = json!({"useracc": hub, "isUpdate": "1", "isAllPage": "1"});
        let mut list = kith.im("getFriends", all.clone()).await;
        while list.header("x-kith-failure").is_some() {
            tokio::time::sleep(Duration::from_millis(25)).await;
            list = kith.im("getFriends", all.clone()).await;
        }
        let there = list.friends().len();
        assert!(there == 1000 || (there == 0 && !answered), "{there} of 1000 pairs, answered: {answered}");
        for n in [0, 500, 999] {
            let other = kith.friends_of(&format!("f{round}-{n}")).await.friends();
            assert_eq!(other.len(), there / 1000, "both directions");
        }
        outcomes.push(there);
        // Whoever was not answered asks again.
        kith.im("importFriends", body).await.done();
        assert_eq!(kith.im("getFriends", all).await.friends().len(), 1000);
    }
    assert!(outcomes.contains(&0) && outcomes.contains(&1000), "killed always too early or too late: {outcomes:?}");
}

async fn try_register(kith: &Client, uid: &str) -> Option<String> {
    let body = json!({"secret": "tuoyun", "platform": 1, "uid": uid, "name": "n"});
    let answer = kith.http.post(format!("{}/auth/user_register", kith.url)).body(body.to_string()).send().await.ok()?;
    let body: serde_json::Value = answer.json().await.ok()?;
    (body["errCode"] == 0).then(|| body["data"]["token"].as_str().unwrap().to_owned())
}

async fn try_logout(kith: &Client, uid: &str) -> bool {
    let body = json!({"secret": "tuoyun", "uid": uid, "platform": 0});
    let sent = kith.http.post(format!("{}/auth/force_logout", kith.url)).body(body.to_string()).send().await;
    let Ok(answer) = sent else { return false };
    answer.json::<serde_json::Value>().await.is_ok_and(|body| body["errCode"] == 0)
}

pub async fn until_answering(kith: &Client) {
    for _ in 0..200 {
        let sent = kith.http.get(format!("{}/cmd/?cmd=get_userinfo&username=x", kith.url)).send().await;
        if sent.is_ok_and(|r| r.headers().get("x-kith-failure").is_none()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("does not answer");
}
