//! Requests in Kith's dialects, with the development app's secrets.

use crate::data::{chance, sample_uid, uid};
use crate::load::Calls;
use crate::{Result, servers};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Connections of every HTTP side, where nothing else is said.
pub const CONNECTIONS: usize = 32;

const OK_B: &str = "{\"errCode\":0,";
const OK_C: &str = "{\"ret\":\"ok\",";
const OK_D: &str = "{\"statusCode\":\"000000\",";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Requests that are not bound to a server yet.
pub type Unbound = Calls;

fn unbound(expected: &'static str, render: impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static) -> Unbound {
    Calls::new(servers::local(0), CONNECTIONS, expected, render)
}

pub fn to(address: SocketAddr, calls: Unbound) -> Calls {
    calls.to(address)
}

/// A POST with a body.
pub fn post(out: &mut Vec<u8>, path: impl Display, kind: &str, more: &str, body: &str) {
    let length = body.len();
    out.extend_from_slice(
        format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        )
        .as_bytes(),
    );
}

// ---- family B ----

/// One account of that uid.
pub fn registration(uid: &'static str, password: Option<&'static str>) -> Unbound {
    unbound(OK_B, move |_, out| post(out, "/auth/user_register", JSON, "", &registered(uid, password)))
}

fn registered(uid: &str, password: Option<&str>) -> String {
    let password = password.map(|p| format!(",\"password\":\"{p}\"")).unwrap_or_default();
    format!(
        "{{\"secret\":\"tuoyun\",\"platform\":1,\"uid\":\"{uid}\",\"name\":\"User {uid}\",\
         \"icon\":\"https://cdn.example.com/avatars/{uid}.jpg\",\"gender\":1{password}}}"
    )
}

/// A new account each time.
pub fn user_register(prefix: &'static str, password: Option<&'static str>) -> Unbound {
    unbound(OK_B, move |n, out| {
        post(out, "/auth/user_register", JSON, "", &registered(&format!("{prefix}{n}"), password));
    })
}

/// A new token of one of the accounts.
pub fn user_token(accounts: u64) -> Unbound {
    unbound(OK_B, move |n, out| {
        let uid = uid(chance(n) % accounts + 1);
        let body = format!("{{\"secret\":\"tuoyun\",\"platform\":2,\"uid\":\"{uid}\"}}");
        post(out, "/auth/user_token", JSON, "", &body);
    })
}

/// Tokens of these users, in their order.
pub fn tokens(address: SocketAddr, uids: &[String]) -> Result<Vec<String>> {
    let count = uids.len();
    let uids = uids.to_vec();
    let calls = unbound(OK_B, move |n, out| {
        let body = format!("{{\"secret\":\"tuoyun\",\"platform\":1,\"uid\":\"{}\"}}", uids[n as usize]);
        post(out, "/auth/user_token", JSON, "", &body);
    });
    let token = |body: String| {
        let answer: serde_json::Value = serde_json::from_str(&body)?;
        let token = answer["data"]["token"].as_str().ok_or_else(|| format!("no token: {answer}"))?;
        Ok(token.to_owned())
    };
    calls.to(address).in_turn(count)?.into_iter().map(token).collect()
}

/// The presence of `count` users of `0..among`, by [`uid`].
pub fn online_status(count: u64, among: u64) -> Unbound {
    unbound(OK_B, move |n, out| {
        let uids: Vec<String> = asked(n, count, among).map(|uid| format!("\"{uid}\"")).collect();
        post(out, "/user/get_users_online_status", JSON, "", &online_body(&uids.join(",")));
    })
}

/// Whose presence the n-th call of [`online_status`] asks for.
pub fn asked(n: u64, count: u64, among: u64) -> impl Iterator<Item = String> {
    (0..count).map(move |i| uid(chance(n.wrapping_mul(count).wrapping_add(i)) % among + 1))
}

pub fn online_body(uids: &str) -> String {
    format!("{{\"secret\":\"tuoyun\",\"operationID\":\"bench\",\"userIDList\":[{uids}]}}")
}

// ---- family C ----

/// How users of family C show who they are.
#[derive(Clone)]
pub struct Signed {
    users: Arc<Vec<String>>,
}

impl Signed {
    pub fn with_password(uids: &[String], password: &str) -> Self {
        let password = password.replace(' ', "+");
        Self { users: Arc::new(uids.iter().map(|uid| format!("username={uid}&password={password}")).collect()) }
    }

    pub fn with_token(address: SocketAddr, uids: &[String]) -> Result<Self> {
        let tokens = tokens(address, uids)?;
        let signed = uids.iter().zip(tokens).map(|(uid, token)| format!("username={uid}&token={token}"));
        Ok(Self { users: Arc::new(signed.collect()) })
    }

    /// Path of the n-th call and its further fields, beginning with `&`; users take turns.
    pub fn calls(&self, path: impl Fn(u64) -> String + Send + Sync + 'static, more: &'static str) -> Unbound {
        let users = self.users.clone();
        unbound(OK_C, move |n, out| {
            let user = &users[n as usize % users.len()];
            post(out, path(n), FORM, "", &format!("{user}{more}"));
        })
    }

    /// New memberships, of each user in each of `groups` groups from `first` on: another user and another group each
    /// time, so that few wait for the same one.
    pub fn joins(&self, first: u64, groups: u64) -> Unbound {
        let users = self.users.clone();
        let count = users.len() as u64;
        let calls = unbound(OK_C, move |n, out| {
            let (user, round) = (n % count, n / count);
            // Prime, and no divisor of the number of groups.
            let group = first + (user * 7919 + round) % groups;
            post(out, format!("/im/{group}/group_join/"), FORM, "", &users[user as usize]);
        });
        calls.at_most(count * groups)
    }

    pub fn members(&self, group: impl Fn(u64) -> u64 + Send + Sync + 'static, more: &'static str) -> Unbound {
        self.calls(move |n| format!("/im/{}/group_get_user_list/", group(n)), more)
    }

    pub fn groups(&self) -> Unbound {
        self.calls(|_| "/im/user_get_group_list/".to_owned(), "")
    }

    /// Checks the credentials and, with builtin tokens, does nothing else.
    pub fn checks(&self) -> Unbound {
        self.calls(|_| "/im/group_sync/".to_owned(), "")
    }
}

// ---- family D ----

/// Calls of the app `kith`, signed once: a signature is good for a day.
pub fn im(call: &'static str, body: impl Fn(u64) -> String + Send + Sync + 'static) -> Result<Unbound> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    // In the default `utc_offset`.
    let local = chrono::DateTime::from_timestamp(now + 8 * 3600, 0).ok_or("the clock is wrong")?;
    let time = local.format("%Y%m%d%H%M%S");
    let hash = Md5::digest(format!("kithkith-dev-token{time}"));
    let sig: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    let path = format!("/2013-12-26/Application/kith/IM/{call}?sig={sig}");
    let more = format!("Authorization: {}\r\n", BASE64_STANDARD.encode(format!("kith:{time}")));
    Ok(unbound(OK_D, move |n, out| post(out, &path, JSON, &more, &body(n))))
}

/// A page of 50 of a popular account's friends.
pub fn friends_page(popular: u64) -> Result<Unbound> {
    im("getFriends", move |n| format!("{{\"useracc\":\"{}\",\"size\":\"50\"}}", uid(chance(n) % popular + 1)))
}

/// All friends of an account of a sample.
pub fn friends_sample(size: u64, samples: u64) -> Result<Unbound> {
    im("getFriends", move |n| {
        format!("{{\"useracc\":\"{}\",\"isAllPage\":\"1\"}}", sample_uid(size, chance(n) % samples))
    })
}

pub fn pair(call: &'static str, pair: impl Fn(u64) -> (String, String) + Send + Sync + 'static) -> Result<Unbound> {
    im(call, move |n| {
        let (me, other) = pair(n);
        format!("{{\"useracc\":\"{me}\",\"friendUseracc\":\"{other}\",\"message\":\"hello\",\"source\":\"1\"}}")
    })
}
