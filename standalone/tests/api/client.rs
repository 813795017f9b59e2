//! A client that says what the documents' clients say and shows whole answers.

use crate::document::holds;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::time::Duration;

pub const SECRET: &str = "tuoyun";
pub const OTHER_SECRET: &str = "tuoyun-2";

#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON ({e}): {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    /// The whole body, at HTTP 200.
    #[track_caller]
    pub fn is(&self, body: Value) {
        assert_eq!((self.status, self.json()), (200, body));
    }

    /// Family B's failure, at HTTP 200, and nothing but the two keys.
    #[track_caller]
    pub fn fails_b(&self, code: i64, text: &str) {
        self.is(json!({"errCode": code, "errMsg": text}));
    }

    /// Family C's failure.
    #[track_caller]
    pub fn fails_c(&self, reason: &str) {
        self.is(json!({"ret": "failed", "reason": reason}));
    }

    #[track_caller]
    pub fn ok_b(&self) -> Value {
        let body = self.json();
        assert_eq!((self.status, &body["errCode"], &body["errMsg"]), (200, &json!(0), &json!("")), "{body}");
        body
    }

    #[track_caller]
    pub fn ok_c(&self) -> Value {
        let body = self.json();
        assert_eq!((self.status, &body["ret"], &body["reason"]), (200, &json!("ok"), &json!("")), "{body}");
        body
    }
}

pub const WRONG: &str = "wrong username or password, or too many attempts: try again in 15 minutes";

impl Client {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().unwrap();
        Self { url: url.to_owned(), http }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Whatever comes back must be as the API document says.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let (http, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let answer = Answer::of(http.execute(request).await.unwrap()).await;
        holds(&method, &path, &answer);
        answer
    }

    /// POST of a JSON value, without a Content-Type, as OpenIM's demo server does.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).body(body.to_string())).await
    }

    /// POST of any bytes with any type.
    pub async fn raw(&self, path: &str, kind: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
        let mut request = self.request(Method::POST, path).body(body);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        self.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let mut body = String::new();
        for (k, v) in pairs {
            body.push_str(&format!("{}{k}={}", if body.is_empty() { "" } else { "&" }, escape(v)));
        }
        self.raw(path, Some("application/x-www-form-urlencoded"), body).await
    }

    pub async fn multipart(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let mut body = String::new();
        for (k, v) in pairs {
            body.push_str(&format!("--xyz\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n"));
        }
        body.push_str("--xyz--\r\n");
        self.raw(path, Some("multipart/form-data; boundary=xyz"), body).await
    }

    // ---- family B ----

    pub async fn register(&self, uid: &str) -> Answer {
        self.register_with(uid, json!({})).await
    }

    pub async fn register_with(&self, uid: &str, more: Value) -> Answer {
        let mut body = json!({"secret": SECRET, "platform": 1, "uid": uid, "name": uid});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/auth/user_register", body).await
    }

    pub async fn user_token(&self, uid: &str, platform: i64) -> Answer {
        self.post("/auth/user_token", json!({"secret": SECRET, "platform": platform, "uid": uid})).await
    }

    /// The text of a new token.
    pub async fn token(&self, uid: &str, platform: i64) -> String {
        self.user_token(uid, platform).await.ok_b()["data"]["token"].as_str().unwrap().to_owned()
    }

    pub async fn parse(&self, token: &str) -> Answer {
        self.post("/auth/parse_token", json!({"secret": SECRET, "token": token})).await
    }

    pub async fn force_logout(&self, uid: &str, platform: i64) -> Answer {
        self.post("/auth/force_logout", json!({"secret": SECRET, "uid": uid, "platform": platform})).await
    }

    pub async fn online(&self, uids: Value) -> Answer {
        let body = json!({"secret": SECRET, "operationID": "op", "userIDList": uids});
        self.post("/user/get_users_online_status", body).await
    }

    pub async fn users_info(&self, uids: Value) -> Answer {
        self.post("/user/get_users_info", json!({"secret": SECRET, "userIDList": uids})).await
    }

    pub async fn update(&self, uid: &str, more: Value) -> Answer {
        let mut body = json!({"secret": SECRET, "uid": uid});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/user/update_user_info", body).await
    }

    // ---- family C ----

    pub async fn reg_user(&self, username: &str, password: &str) -> Answer {
        self.form("/cmd", &[("cmd", "reg_user"), ("username", username), ("password", password)]).await
    }

    pub async fn userinfo(&self, username: &str) -> Answer {
        self.get(&format!("/cmd/?cmd=get_userinfo&username={}", escape(username))).await
    }

    pub async fn sign_in(&self, username: &str, password: &str) -> Answer {
        self.form("/im/user_get_token/", &[("username", username), ("password", password)]).await
    }
}

/// Percent-encodes everything but letters and digits.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

pub fn header(name: &str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    headers
}
