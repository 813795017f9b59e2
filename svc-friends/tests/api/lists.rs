//! What lists cost, and what goes on without svc-im-auth.

use crate::follower::{Follower, Load};
use crate::helpers::Service;
use serde_json::json;

#[tokio::test]
async fn a_page_asks_for_its_profiles_at_once_and_a_whole_list_leaves_no_copies() {
    let service = Service::start();
    let (client, identity) = (&service.client, &service.identity);
    for chunk in 0..3 {
        let pairs: Vec<_> = (0..1000).map(|n| ("hub".to_owned(), format!("f{}", chunk * 1000 + n))).collect();
        assert_eq!(client.import(&pairs).await, "000000");
    }
    assert_eq!(identity.asked(), [0; 0], "an import shows nobody");
    // A page: one question, whatever the length of the list.
    let mut follower = Follower::new("hub", Load::Pages);
    follower.step(client, 100).await;
    assert_eq!(identity.asked(), [100]);
    // All: as few questions as their size allows, and what was at hand may serve.
    let mut all = Follower::new("hub", Load::All);
    all.step(client, 1).await;
    let asked = identity.asked();
    assert!(asked.len() == 3 && (2900..=3000).contains(&asked.iter().sum::<usize>()), "{asked:?}");
    // Its profiles have pushed out nothing, as they are not kept.
    follower.step(client, 100).await;
    assert_eq!(identity.asked(), [100]);
    // A delta is about those that changed.
    for n in [2998, 2999] {
        let body = json!({"useracc": "hub", "friendUseracc": format!("f{n}"), "allDel": "0"});
        assert_eq!(client.code("delFriend", body).await, "000000");
    }
    all.step(client, 100).await;
    assert_eq!(identity.asked(), [2]);
    assert_eq!(all.current().len(), 2998);
    // Nothing new: nobody to ask about.
    all.step(client, 100).await;
    assert_eq!(identity.asked(), [0; 0]);
}

#[tokio::test]
async fn who_is_no_friend_is_told_so_also_while_accounts_cannot_be_read() {
    let service = Service::alone();
    let client = &service.client;
    let pair = json!({"useracc": "a", "friendUseracc": "b"});
    let info = async || client.call("getFriendInfo", pair.clone()).await;
    assert_eq!(info().await, json!({"statusCode": "112186", "statusMsg": "not a friend"}));
    assert_eq!(client.import(&[("a".to_owned(), "b".to_owned())]).await, "000000");
    let away = json!({"statusCode": "160000", "statusMsg": "a part of the service is not reachable: try again"});
    assert_eq!(info().await, away);
    // On b's list only.
    assert_eq!(client.code("delFriend", pair.clone()).await, "000000");
    assert_eq!(info().await, json!({"statusCode": "112186", "statusMsg": "not a friend"}));
    // Lists show names: without them they fail rather than lie.
    assert_eq!(client.call("getFriends", json!({"useracc": "b"})).await, away);
    assert_eq!(client.call("getFriends", json!({"useracc": "a"})).await["friendsList"], json!([]));
}
