//! An account with 5,000 friends and 50,000 requests.

use crate::follower::{Follower, Load, RequestFollower};
use crate::helpers::{EXAMPLE, Service};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::json;
use std::time::{Duration, Instant};

const FRIENDS: usize = 5_000;
const REQUESTS: usize = 50_000;

fn execute(url: &str, sql: &str) {
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let mut c = SqliteConnection::establish(path).unwrap();
            c.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
            c.batch_execute(sql).unwrap();
        }
        None => PgConnection::establish(url).unwrap().batch_execute(sql).unwrap(),
    }
}

#[tokio::test]
async fn five_thousand_friends_and_fifty_thousand_requests_stay_correct() {
    let service = Service::start();
    let client = &service.client;
    for chunk in 0..FRIENDS / 1000 {
        let pairs: Vec<_> = (0..1000).map(|n| ("hub".to_owned(), format!("f{}", chunk * 1000 + n))).collect();
        let began = Instant::now();
        assert_eq!(client.import(&pairs).await, "000000");
        // In batches: thousands of statements take longer.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    // Tens of thousands of calls would take their time: the rows as addFriend writes them.
    execute(
        &service.database.url(),
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {REQUESTS})
             INSERT INTO requests (owner, other, invited, stamp, message, source, done)
             SELECT 'kith#hub', 'kith#r' || i, true, {EXAMPLE} + i, 'm', '1', false FROM n;
             UPDATE owners SET pending = {REQUESTS}, requests_clock = {EXAMPLE} + {REQUESTS} WHERE owner = 'kith#hub';"
        ),
    );

    // Pages, in both orders, wherever in the list.
    let page = async |timestamp: &str, order: &str| {
        let body =
            json!({"useracc": "hub", "timestamp": timestamp, "size": "100", "order": order, "isSimpUseracc": "1"});
        let answer = client.call("friendMessage", body).await;
        let list = answer["inviteList"].as_array().unwrap();
        let names: Vec<String> = list.iter().map(|e| e["friendUseracc"].as_str().unwrap().to_owned()).collect();
        (names, answer["timestamp"].as_str().unwrap().to_owned())
    };
    assert_eq!(page("", "1").await.0, (1..=100).map(|n| format!("r{n}")).collect::<Vec<_>>());
    let (newest, cursor) = page("", "2").await;
    assert_eq!(newest, (REQUESTS - 99..=REQUESTS).rev().map(|n| format!("r{n}")).collect::<Vec<_>>());
    assert_eq!(page(&cursor, "2").await.0[0], format!("r{}", REQUESTS - 100));
    let mut reader = RequestFollower::new("hub");
    let began = Instant::now();
    reader.finish(client, 100).await;
    assert_eq!(reader.requests.len(), REQUESTS);
    // 500 pages; a sort of what is left for each would take minutes.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    // Full: one more is refused on this side, and nothing is left on the other.
    assert_eq!(client.add("late", "hub").await, "112188");
    assert!(!RequestFollower::new("late").step(client, 1).await);

    // Friends: all, pages, a delta that costs what changed.
    let began = Instant::now();
    let mut all = Follower::new("hub", Load::All);
    assert!(all.step(client, 1).await);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(all.current().len(), FRIENDS);
    let mut pages = Follower::new("hub", Load::Pages);
    pages.finish(client, 100).await;
    assert_eq!(pages.current(), all.current());
    assert_eq!(client.import(&[("hub".to_owned(), "one-more".to_owned())]).await, "112188");
    let body = json!({"useracc": "hub", "friendUseracc": "f4321", "allDel": "1"});
    assert_eq!(client.code("delFriend", body).await, "000000");
    for mut follower in [all, pages] {
        assert!(follower.step(client, 100).await);
        assert!(!follower.step(client, 100).await);
        assert_eq!(follower.current().len(), FRIENDS - 1);
        assert_eq!(follower.friends["f4321"], (false, String::new()));
    }
}
