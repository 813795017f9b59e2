//! Family A's clients as `semantics.md` E.1 has them, and a browser without script on the binding page.

use crate::client::{Answer, Client, escape};
use crate::stack::name;
use reqwest::Method;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The second development app.
pub const OTHER_APP: &str = "20150314000000110000000000000010";
pub const PASSWORD: &str = "password-1";

/// A success with nothing to add.
pub fn done() -> Value {
    json!({"rc": "1", "rm": ""})
}

/// The IM user id of a key, as the shipped apps compute it.
pub fn md5(key: &str) -> String {
    shared_models::TuserKey::new(key).unwrap().im_uid().into_inner()
}

impl Answer {
    /// Family A's success: HTTP 200, its exact content type, strings, the envelope's keys first.
    #[track_caller]
    pub fn ok_a(&self) -> Value {
        let body = self.a();
        assert!(self.text.starts_with("{\"rc\":\"1\",\"rm\":\"\""), "{}", self.text);
        body
    }

    /// Family A's failure, and nothing but the two keys; never kept by a cache.
    #[track_caller]
    pub fn fails_a(&self, rm: &str) {
        assert_eq!(self.a(), json!({"rc": "0", "rm": rm}));
        assert!(self.text.starts_with("{\"rc\":\"0\""), "{}", self.text);
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }

    #[track_caller]
    fn a(&self) -> Value {
        let body = self.json();
        assert_eq!(self.status, 200, "{body}");
        assert_eq!(self.header("content-type"), Some("application/json;charset=utf-8"));
        for (key, value) in body.as_object().unwrap() {
            assert!(value.is_string(), "{key} is no string: {body}");
        }
        body
    }
}

impl Client {
    /// GET with every value percent-encoded, as AFNetworking and Retrofit do.
    pub async fn a(&self, call: &str, pairs: &[(&str, &str)]) -> Answer {
        let query: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={}", escape(v))).collect();
        self.get(&format!("/{call}.action?{}", query.join("&"))).await
    }

    pub async fn sync_basics(&self, key: &str, pairs: &[(&str, &str)]) -> Answer {
        self.a("tu_rc_sync_urb_from_hp", &with_key(key, pairs)).await
    }

    pub async fn urt(&self, key: &str, pairs: &[(&str, &str)]) -> Answer {
        self.a("tu_rc_get_urt_from_hp", &with_key(key, pairs)).await
    }

    pub async fn usr(&self, pairs: &[(&str, &str)]) -> Answer {
        self.a("tu_rc_get_usr_from_hp", pairs).await
    }

    pub async fn status(&self, key: &str, pairs: &[(&str, &str)]) -> Answer {
        self.a("tu_ua_get_status_from_tn", &with_key(key, pairs)).await
    }

    /// What the status call says: "1", "-1" or "-2".
    pub async fn rs(&self, key: &str) -> String {
        self.status(key, &[]).await.ok_a()["rs"].as_str().unwrap().to_owned()
    }

    pub async fn info(&self, pairs: &[(&str, &str)]) -> Answer {
        self.a("tu_ua_get_info_from_tn", pairs).await
    }

    /// Start and end of a course, as the shipped apps ask.
    pub async fn course(&self, key: &str, app: &str, course: &str) -> Value {
        let pairs = [("tuser_key", key), ("type", "lnvalidth"), ("app_id", app), ("ln_md5", course)];
        self.info(&pairs).await.ok_a()
    }

    pub async fn sync_course(&self, key: &str, app: &str, course: &str, start: &str, end: &str) -> Answer {
        let pairs = [("tuser_key", key), ("app_id", app), ("ln_md5", course), ("start_time", start), ("end_time", end)];
        self.a("tu_sync_lnvalidth_from_tn", &pairs).await
    }

    pub async fn record(&self, key: &str, kind: &str, id: &str, pairs: &[(&str, &str)]) -> Answer {
        let mut all = with_key(key, &[("kind", kind), ("record_id", id)]);
        all.extend_from_slice(pairs);
        self.a("tu_sync_record_from_tn", &all).await
    }

    pub async fn scan(&self, key: &str, code: &str) -> Answer {
        let pairs = [("type", "tuserurms"), ("tuser_key", key), ("para1", code)];
        self.a("tu_ua_send_matrix_info_from_tn", &pairs).await
    }

    pub async fn replace(&self, pairs: &[(&str, &str)]) -> Answer {
        self.a("tu_rk_replace_from_tn", pairs).await
    }

    /// The upload of the shipped iOS app: a file part of any type, its name always portrait.jpg.
    pub async fn upload(&self, key: &str, pairs: &[(&str, &str)], part: &str, image: &[u8]) -> Answer {
        let mut body = Vec::new();
        for (k, v) in with_key(key, pairs) {
            body.extend(
                format!("--Boundary+AFN\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n").bytes(),
            );
        }
        let disposition = format!("Content-Disposition: form-data; name=\"{part}\"; filename=\"portrait.jpg\"");
        body.extend(
            format!("--Boundary+AFN\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n").bytes(),
        );
        body.extend(image);
        body.extend(b"\r\n--Boundary+AFN--\r\n");
        self.raw("/tu_rc_sync_urp_from_hp.action", Some("multipart/form-data; boundary=Boundary+AFN"), body).await
    }

    /// An account of the system app with a password.
    pub async fn account(&self) -> String {
        let uid = name("u");
        self.register_with(&uid, json!({"password": PASSWORD})).await.ok_b();
        uid
    }

    /// Binds a key to a new account by way of the page; answers the account.
    pub async fn bound_account(&self, key: &str) -> String {
        let user = self.account().await;
        let mut page = Page::signed_in(self, &user).await;
        self.scan(key, &page.code().await).await.is(done());
        user
    }

    /// Key and account that are mapped to each other.
    pub async fn mapping_of(&self, user: &str) -> Option<String> {
        let found = self.info(&[("user_id", user), ("type", "tuserurms"), ("app_id", "")]).await.ok_a();
        (found["isExisted"] == "1").then(|| found["tuser_key"].as_str().unwrap().to_owned())
    }
}

fn with_key<'a>(key: &'a str, pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("tuser_key", key)];
    all.extend_from_slice(pairs);
    all
}

/// Smallest picture of 2 × 3 that is one; `n` makes different ones.
pub fn gif(n: u8) -> Vec<u8> {
    [b"GIF89a\x02\0\x03\0\x80\0\0".as_slice(), &[n], b"\0\0\xff\xff\xff;"].concat()
}

/// A browser that runs no script.
#[derive(Clone)]
pub struct Page {
    http: reqwest::Client,
    url: String,
    pub cookies: BTreeMap<String, String>,
    pub language: &'static str,
}

impl Page {
    pub fn new(kith: &Client) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, url: kith.url.clone(), cookies: BTreeMap::new(), language: "en" }
    }

    pub async fn signed_in(kith: &Client, user: &str) -> Self {
        let mut page = Self::new(kith);
        let answer = page.sign_in(user, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        page
    }

    pub async fn send(&mut self, method: Method, path: &str, form: Option<&[(&str, &str)]>) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        request = request.header("accept-language", self.language);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some(form) = form {
            let pairs: Vec<String> = form.iter().map(|(k, v)| format!("{k}={}", escape(v))).collect();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(pairs.join("&"));
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, Some(form)).await
    }

    pub async fn sign_in(&mut self, user: &str, password: &str) -> Answer {
        let form = hidden(&self.get("/bind").await.text, "form");
        self.post("/bind/sign-in", &[("form", &form), ("username", user), ("password", password)]).await
    }

    /// The code that the page shows, read from its picture.
    pub async fn code(&mut self) -> String {
        code_of(&self.content("/bind").await)
    }

    /// What the picture on a page says.
    pub async fn content(&mut self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        decoded(&answer.text).unwrap_or_else(|| panic!("no code on the page: {}", answer.text))
    }

    pub async fn unbind(&mut self) -> Answer {
        let page = self.get("/bind").await.text;
        let (form, bound_at) = (hidden(&page, "form"), hidden(&page, "bound_at"));
        self.post("/bind/unbind", &[("form", &form), ("bound_at", &bound_at)]).await
    }

    pub async fn state(&mut self) -> Value {
        self.get("/bind/state").await.json()
    }
}

/// What the shipped apps send of a scanned text: all behind the name, to its end.
pub fn code_of(content: &str) -> String {
    content.split_once("matrix_tuserurms=").expect("the parameter's name").1.to_owned()
}

/// The value of a hidden field.
pub fn hidden(page: &str, field: &str) -> String {
    let at = page.find(&format!("name=\"{field}\" value=\"")).unwrap_or_else(|| panic!("no {field} in {page}"));
    page[at..].split('"').nth(3).unwrap().to_owned()
}

/// Draws the page's SVG and has a QR decoder read it.
fn decoded(page: &str) -> Option<String> {
    let side: usize = page.split("viewBox=\"0 0 ").nth(1)?.split(' ').next()?.parse().unwrap();
    let path = page.split("class=\"dark\" d=\"").nth(1)?.split('"').next()?;
    const SCALE: usize = 4;
    let mut dark = vec![false; side * side];
    for run in path.split('M').skip(1) {
        let (place, rest) = run.split_once('h').unwrap();
        let (x, y) = place.split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let length: usize = rest.split('v').next().unwrap().parse().unwrap();
        dark[y * side + x..y * side + x + length].fill(true);
    }
    let luma = |x: usize, y: usize| if dark[y / SCALE * side + x / SCALE] { 0 } else { 255 };
    read_qr(side * SCALE, side * SCALE, luma)
}

pub fn read_qr(width: usize, height: usize, luma: impl FnMut(usize, usize) -> u8) -> Option<String> {
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, luma);
    let found = image.detect_grids();
    found.first().map(|grid| grid.decode().expect("a readable QR code").1)
}
