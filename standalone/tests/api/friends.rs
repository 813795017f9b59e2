//! A client of document 004 that signs as the shipped iOS and Android demos do (`semantics.md` A.1): lower-case sig,
//! timestamps in local time, Base64 with padding.

use crate::client::{Answer, Client};
use crate::stack::name;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// An app that signs.
#[derive(Debug, Clone, Copy)]
pub struct App {
    pub id: &'static str,
    pub token: &'static str,
}

pub const KITH: App = App { id: "kith", token: "kith-dev-token" };
pub const DOCUMENTS: App = App { id: "20150314000000110000000000000010", token: "kith-dev-token-2" };

/// Whole seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// `yyyyMMddHHmmss` at +08:00, the default `utc_offset`.
pub fn local(seconds: i64) -> String {
    let utc = chrono::DateTime::from_timestamp(seconds + 8 * 3600, 0).unwrap();
    utc.format("%Y%m%d%H%M%S").to_string()
}

pub fn sig(app: App, time: &str) -> String {
    let hash = Md5::digest(format!("{}{}{time}", app.id, app.token));
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn authorization(id: &str, time: &str) -> String {
    BASE64_STANDARD.encode(format!("{id}:{time}"))
}

/// A user of the system app that no other test uses, as its account.
pub fn user() -> String {
    name("f")
}

/// The same, in full.
pub fn full(account: &str) -> String {
    format!("kith#{account}")
}

impl Answer {
    /// Family D's failure, at HTTP 200, and nothing but the two keys.
    #[track_caller]
    pub fn fails_d(&self, code: &str, text: &str) {
        self.is(json!({"statusCode": code, "statusMsg": text}));
    }

    #[track_caller]
    pub fn done(&self) {
        self.is(json!({"statusCode": "000000", "statusMsg": "success"}));
    }

    #[track_caller]
    pub fn ok_d(&self) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status, &body["statusCode"], &body["statusMsg"]),
            (200, &json!("000000"), &json!("success")),
            "{body}"
        );
        body
    }

    /// The list under `key`, reduced to the given fields.
    #[track_caller]
    pub fn entries<const N: usize>(&self, key: &str, fields: [&str; N]) -> Vec<[String; N]> {
        let body = self.ok_d();
        let entries = body[key].as_array().unwrap();
        entries.iter().map(|e| fields.map(|f| e[f].as_str().unwrap_or("-").to_owned())).collect()
    }

    /// Friends' accounts in the order of the answer.
    #[track_caller]
    pub fn friends(&self) -> Vec<String> {
        self.entries("friendsList", ["useracc"]).into_iter().map(|[u]| u).collect()
    }

    #[track_caller]
    pub fn timestamp(&self) -> String {
        self.ok_d()["timestamp"].as_str().unwrap().to_owned()
    }
}

impl Client {
    /// A signed request of `app`, to which a test may still do something.
    pub fn signed(&self, app: App, call: &str, query: &str) -> RequestBuilder {
        let time = local(now());
        let path = format!("/2013-12-26/Application/{}/IM/{call}?sig={}{query}", app.id, sig(app, &time));
        self.request(Method::POST, &path)
            .header("Accept", "application/json")
            .header("Authorization", authorization(app.id, &time))
    }

    pub async fn im_of(&self, app: App, call: &str, body: Value) -> Answer {
        let request = self.signed(app, call, "").header("Content-Type", "application/json; charset=utf-8");
        self.send(request.body(body.to_string())).await
    }

    /// A call in the system app.
    pub async fn im(&self, call: &str, body: Value) -> Answer {
        self.im_of(KITH, call, body).await
    }

    pub async fn add(&self, who: &str, whom: &str) -> Answer {
        let body = json!({"useracc": full(who), "friendUseracc": full(whom), "message": "hello", "source": "1"});
        self.im("addFriend", body).await
    }

    pub async fn agree(&self, who: &str, asker: &str) -> Answer {
        self.im("friendAgree", json!({"useracc": full(who), "friendUseracc": full(asker)})).await
    }

    pub async fn del(&self, who: &str, friend: &str, all: &str) -> Answer {
        self.im("delFriend", json!({"useracc": full(who), "friendUseracc": full(friend), "allDel": all})).await
    }

    pub async fn befriend(&self, a: &str, b: &str) {
        self.add(a, b).await.done();
        self.agree(b, a).await.done();
    }

    pub async fn open_door(&self, who: &str) {
        self.im("setUserVerify", json!({"useracc": full(who), "addVerify": "0"})).await.done();
    }

    /// As both demos ask for it.
    pub async fn friends_of(&self, who: &str) -> Answer {
        let body = json!({"useracc": full(who), "timestamp": "", "size": "100", "isUpdate": "0"});
        self.im("getFriends", body).await
    }

    /// Everything on the list, former friends included: account and state.
    pub async fn whole_list(&self, who: &str) -> Vec<[String; 2]> {
        let body = json!({"useracc": who, "isUpdate": "1", "isAllPage": "1", "isSimpUseracc": "1"});
        self.im("getFriends", body).await.entries("friendsList", ["useracc", "friendState"])
    }

    /// As the iOS demo asks for it: other, who asked, whether friends, text.
    pub async fn requests_of(&self, who: &str) -> Vec<[String; 4]> {
        let body = json!({"useracc": full(who), "size": "20", "timestamp": "", "isSimpUseracc ": "1"});
        let fields = ["friendUseracc", "isInvited", "dealState", "message"];
        self.im("friendMessage", body).await.entries("inviteList", fields)
    }
}

/// For comparing with entries.
pub fn row<const N: usize>(fields: [&str; N]) -> [String; N] {
    fields.map(str::to_owned)
}
