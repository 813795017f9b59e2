//! An account with 5,000 friends and 50,000 requests, and longer lists. What it costs is told without a clock:
//! `store/plans.rs` has the plans, `domain/statements.rs` the number of statements.

use crate::follower::{Follower, Load, RequestFollower};
use crate::helpers::{EXAMPLE, Service};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::json;

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
        assert_eq!(client.import(&pairs).await, "000000");
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
    reader.finish(client, 100).await;
    assert_eq!(reader.requests.len(), REQUESTS);

    // Full: one more is refused on this side, and nothing is left on the other.
    assert_eq!(client.add("late", "hub").await, "112188");
    assert!(!RequestFollower::new("late").step(client, 1).await);

    // Friends: all, pages, a delta that costs what changed.
    let mut all = Follower::new("hub", Load::All);
    assert!(all.step(client, 1).await);
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

#[tokio::test]
async fn a_whole_list_has_all_current_friends_and_of_the_former_ones_the_last_50000() {
    const ALL: usize = 50_000;
    // The current ones among the first: they are not left out, however old.
    const CURRENT: usize = 300;
    let service = Service::start();
    let client = &service.client;
    let rows = ALL + 700;
    // Most of them former friends: of current ones there are never so many.
    execute(
        &service.database.url(),
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO friends (owner, friend, stamp, active, remark, source)
             SELECT 'kith#hub', 'kith#f' || i, {EXAMPLE} + i, i <= {CURRENT}, '', '' FROM n;
             INSERT INTO owners (owner, friends_clock, requests_clock, friends, pending)
             VALUES ('kith#hub', {EXAMPLE} + {rows}, 0, {CURRENT}, 0), ('kith#f100', 0, 0, 0, 0);"
        ),
    );
    let read = async |timestamp: &str, all: &str, former: &str| {
        let body = json!({
            "useracc": "hub", "timestamp": timestamp, "isAllPage": all, "isUpdate": former, "size": "100",
            "isSimpUseracc": "1"
        });
        let answer = client.call("getFriends", body).await;
        let list = answer["friendsList"].as_array().unwrap();
        let names: Vec<String> = list.iter().map(|e| e["useracc"].as_str().unwrap().to_owned()).collect();
        (names, answer["timestamp"].as_str().unwrap().to_owned())
    };
    let names = |from: usize, to: usize| (from..=to).map(|n| format!("f{n}")).collect::<Vec<_>>();
    // One picture: who is a friend is there, and nothing is left to read.
    let (whole, end) = read("", "1", "1").await;
    let expected = [names(1, CURRENT), names(rows - ALL + 1, rows)].concat();
    assert!(whole == expected, "{} rows from {:?}", whole.len(), whole.first());
    assert_eq!(read("1970-01-01 08:00:00.000", "1", "1").await.0.len(), expected.len());
    assert_eq!(read(&end, "1", "1").await, (Vec::new(), end.clone()));
    // From a cursor nothing is left out: what changed first comes first, and its timestamp leads on to the rest.
    let (_, start) = read("", "0", "1").await;
    let (first, cursor) = read(&start, "1", "1").await;
    assert!(first == names(101, ALL + 100), "{} rows", first.len());
    let (rest, last) = read(&cursor, "1", "1").await;
    assert_eq!((rest, last), (names(ALL + 101, rows), end.clone()));
    let (page, next) = read(&cursor, "0", "1").await;
    assert_eq!(page, names(ALL + 101, ALL + 200));
    assert_eq!(read(&next, "0", "1").await.0, names(ALL + 201, ALL + 300));
    // What happens to one of the first while the rest is read comes after it.
    let body = json!({"useracc": "hub", "friendUseracc": "f100", "allDel": "0"});
    assert_eq!(client.code("delFriend", body).await, "000000");
    let mut rest = names(ALL + 101, rows);
    rest.push("f100".to_owned());
    assert_eq!(read(&cursor, "1", "1").await.0, rest);
    // Current friends fit.
    let (current, last) = read("", "1", "0").await;
    assert_eq!(current, [names(1, 99), names(101, CURRENT)].concat());
    let (_, next) = read(&last, "1", "1").await;
    assert_eq!(read(&next, "1", "1").await.0.last(), Some(&"f100".to_owned()));
    assert_eq!(read("", "1", "1").await.0.len(), CURRENT - 1 + ALL);
}
