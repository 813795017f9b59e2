//! Readers who go on from where they were, as incremental clients do.

use crate::helpers::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a follower loads the list before it follows with isUpdate "1".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Page by page with isUpdate "1".
    Pages,
    /// All at once, isAllPage "1" and isUpdate "0": one consistent picture.
    All,
}

/// Follows one list; what it has seen, by other user.
#[derive(Debug, Clone)]
pub struct Follower {
    owner: String,
    load: Load,
    cursor: String,
    /// Every cursor it ever had.
    cursors: Vec<String>,
    pub friends: BTreeMap<String, (bool, String)>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

impl Follower {
    pub fn new(owner: &str, load: Load) -> Self {
        let (owner, cursors) = (owner.to_owned(), vec![String::new()]);
        Self { owner, load, cursor: String::new(), cursors, friends: BTreeMap::new() }
    }

    /// Reads a page; whether there was anything.
    pub async fn step(&mut self, client: &Client, size: usize) -> bool {
        let all = self.load == Load::All && self.cursor.is_empty();
        let answer = client
            .call(
                "getFriends",
                json!({
                    "useracc": self.owner, "timestamp": self.cursor, "size": size.to_string(), "isSimpUseracc": "1",
                    "isUpdate": if all { "0" } else { "1" }, "isAllPage": if all { "1" } else { "0" },
                }),
            )
            .await;
        assert_eq!(answer["statusCode"], "000000", "{answer}");
        let entries = answer["friendsList"].as_array().unwrap();
        assert!(all || entries.len() <= size);
        if all {
            self.friends.clear();
        }
        for entry in entries {
            let seen = (entry["friendState"] == "1", text(&entry["remarkName"]));
            self.friends.insert(text(&entry["useracc"]), seen);
        }
        let next = text(&answer["timestamp"]);
        if entries.is_empty() {
            assert!(self.cursor.is_empty() || next <= self.cursor, "{next} after {}", self.cursor);
        } else {
            assert!(self.cursor < next, "{next} after {}", self.cursor);
        }
        self.cursors.push(next.clone());
        self.cursor = next;
        !entries.is_empty()
    }

    /// Reads to the end.
    pub async fn finish(&mut self, client: &Client, size: usize) {
        while self.step(client, size).await {}
    }

    /// Forgets how far it was.
    pub fn rewind(&mut self, to: usize) {
        self.cursor = self.cursors[to % self.cursors.len()].clone();
    }

    /// Those that it believes are friends now.
    pub fn current(&self) -> BTreeMap<String, String> {
        self.friends.iter().filter(|(_, (active, _))| *active).map(|(f, (_, r))| (f.clone(), r.clone())).collect()
    }
}

/// Follows a list of requests, ascending; by other user and whether the owner was asked.
#[derive(Debug, Clone)]
pub struct RequestFollower {
    owner: String,
    cursor: String,
    pub requests: BTreeMap<(String, bool), (bool, String)>,
}

impl RequestFollower {
    pub fn new(owner: &str) -> Self {
        Self { owner: owner.to_owned(), cursor: String::new(), requests: BTreeMap::new() }
    }

    pub async fn step(&mut self, client: &Client, size: usize) -> bool {
        let (size, order) = (size.to_string(), "1");
        let body = json!({
            "useracc": self.owner, "timestamp": self.cursor, "size": size, "order": order, "isSimpUseracc": "1"
        });
        let answer = client.call("friendMessage", body).await;
        assert_eq!(answer["statusCode"], "000000", "{answer}");
        let entries = answer["inviteList"].as_array().unwrap();
        for entry in entries {
            let seen = (entry["dealState"] == "1", text(&entry["message"]));
            self.requests.insert((text(&entry["friendUseracc"]), entry["isInvited"] == "1"), seen);
        }
        let next = text(&answer["timestamp"]);
        assert!(entries.is_empty() || self.cursor < next, "{next} after {}", self.cursor);
        self.cursor = next;
        !entries.is_empty()
    }

    pub async fn finish(&mut self, client: &Client, size: usize) {
        while self.step(client, size).await {}
    }
}
