//! What a request asks, read as its family's clients send it (contract §0).
//!
//! Parameters of all sources become one map; the request's type is read from that map, so that every field is
//! checked once, by its type, and a wrong one is named.

mod body;
mod form;
mod held;
mod json;

pub use body::{FORM_LIMIT, drain, read_body};
pub use held::{Held, Room};

use crate::error::{Code, Error, Result};
use crate::wire::{Dialect, Envelope, Failure};
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The parameters of a request of family `W`.
pub struct Params<W, T> {
    pub inner: T,
    family: std::marker::PhantomData<W>,
}

impl<W, T> Params<W, T> {
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<W: Envelope, T: DeserializeOwned + 'static> FromRequest for Params<W, T> {
    type Error = Failure<W>;
    type Future = LocalBoxFuture<'static, Result<Self, Failure<W>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let map = read(W::DIALECT, &req, payload).await?;
            Ok(Self { inner: typed(map)?, family: std::marker::PhantomData })
        })
    }
}

/// Reads all parameters of a request into one map; where a name comes twice, the body's counts.
pub async fn read(dialect: Dialect, req: &HttpRequest, payload: Payload) -> Result<Map<String, Value>> {
    let headers = req.headers();
    match dialect {
        Dialect::ErrCodeMsg | Dialect::StatusCodeMsg | Dialect::Internal => {
            json::object(&read_body(payload, headers, FORM_LIMIT).await?)
        }
        Dialect::RcRm | Dialect::RetReason => {
            let mut map = form::pairs(req.query_string().as_bytes())?;
            let (first, payload) = peek(payload).await;
            // Of family C a body that starts with a brace is JSON, whatever its type says.
            let is_json = dialect == Dialect::RetReason && first == Some(b'{');
            if is_multipart(headers) && !is_json {
                map.extend(form::multipart(headers, payload, None).await?.0);
                return Ok(map);
            }
            let body = read_body(payload, headers, FORM_LIMIT).await?;
            map.extend(if is_json { json::lenient_object(&body)? } else { form::pairs(&body)? });
            Ok(map)
        }
    }
}

/// One parameter of a query.
pub fn value_of(query: &str, name: &str) -> Result<Option<String>> {
    form::value(query.as_bytes(), name)
}

/// The parameters of a multipart request of family A, and its file part `name`; `None` where there is none, also
/// where the request is not multipart. A file of more than `limit` bytes fails as `BodyTooLarge`.
pub async fn read_with_file(
    req: &HttpRequest,
    payload: Payload,
    name: &str,
    limit: usize,
) -> Result<(Map<String, Value>, Option<Held>)> {
    if !is_multipart(req.headers()) {
        return Ok((read(Dialect::RcRm, req, payload).await?, None));
    }
    let mut map = form::pairs(req.query_string().as_bytes())?;
    let (more, file) = form::multipart(req.headers(), payload, Some(form::Wanted { name, limit })).await?;
    map.extend(more);
    match file {
        form::File::None => Ok((map, None)),
        form::File::Refused(e) => Err(e),
        form::File::Whole(content) => Ok((map, Some(content))),
    }
}

/// One parameter of the query, for calls whose body is something else.
pub fn query_value(req: &HttpRequest, name: &str) -> Result<Option<String>> {
    form::value(req.query_string().as_bytes(), name)
}

/// The first bytes of a body that are not white space, and the body with all of them again.
async fn peek(payload: Payload) -> (Option<u8>, Payload) {
    // The time for a body begins here, and goes on for whoever reads the rest.
    let mut pieces = Box::pin(body::patiently(payload));
    let mut read = Vec::new();
    let mut first = None;
    // White space before a body may come in pieces, but not for ever.
    while first.is_none() && read.len() < 16 {
        let Some(piece) = pieces.next().await else { break };
        let broken = piece.is_err();
        first = piece.as_ref().ok().and_then(|piece| piece.iter().copied().find(|b| !b.is_ascii_whitespace()));
        read.push(piece);
        if broken {
            break;
        }
    }
    let whole = futures_util::stream::iter(read).chain(pieces);
    (first, Payload::Stream { payload: Box::pin(whole) })
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..10).is_some_and(|k| k.eq_ignore_ascii_case("multipart/"))
}

/// The request's type out of its map; what is wrong is told as "field: rule".
pub fn typed<T: DeserializeOwned>(map: Map<String, Value>) -> Result<T> {
    serde_path_to_error::deserialize(Value::Object(map)).map_err(|e| {
        let path = e.path().to_string();
        let message = e.inner().to_string();
        if let Some(field) = message.strip_prefix("missing field `").and_then(|m| m.strip_suffix('`')) {
            let field = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
            return Error::parameter(&field, "missing");
        }
        // serde: "invalid type: map, expected a string"
        match message.strip_prefix("invalid type: ").and_then(|m| m.split_once(", expected ")) {
            Some((_, expected)) => {
                let expected = if expected == "a sequence" { "a list" } else { expected };
                Error::parameter(&path, format_args!("must be {expected}"))
            }
            None if path == "." => Error::from(Code::BadParameter).because(message),
            None => Error::parameter(&path, message),
        }
    })
}

/// Trims keys ("isSimpUseracc " of a demo), drops nulls: null is absent.
fn tidy(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(tidy_map(map)),
        Value::Array(items) => Value::Array(items.into_iter().map(tidy).collect()),
        other => other,
    }
}

fn tidy_map(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.trim().to_owned(), tidy(v))).collect()
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testkit::fuzz::{parts, target};
    use actix_web::http::Uri;
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;
    use serde::Deserialize;
    use shared_models::{
        AppId, ByteText, Flag, Gender, GroupId, Int, Many, Platform, Text, TuserKey, Uid, empty_is_absent,
    };

    /// A field of every sort.
    #[derive(Debug, Deserialize)]
    struct All {
        uid: Uid,
        app_id: Option<AppId>,
        tuser_key: Option<TuserKey>,
        name: Option<Text<8, 2>>,
        icon: Option<ByteText<8>>,
        #[serde(default, deserialize_with = "empty_is_absent")]
        gender: Option<Gender>,
        platform: Option<Platform>,
        page: Option<Int>,
        flag: Option<Flag>,
        list: Option<Many<Uid, 3>>,
        group: Option<GroupId>,
    }

    fn check(all: &All) {
        let chars = |text: &str| text.chars().count();
        assert!((1..=64).contains(&chars(all.uid.as_str())));
        assert!(all.name.as_ref().is_none_or(|name| (2..=8).contains(&chars(name))));
        assert!(all.icon.as_ref().is_none_or(|icon| icon.len() <= 8));
        assert!(all.list.as_ref().is_none_or(|list| list.0.len() <= 3));
        assert!(all.platform.is_none_or(|p| Platform::from_number(p.number().into()) == Some(p)));
        assert!(all.app_id.as_ref().is_none_or(|app_id| AppId::new(app_id.as_str()).is_ok()));
        let key = all.tuser_key.as_ref().map_or("", |key| key.as_str());
        let numbers = (all.gender.is_some(), all.page.is_some(), all.flag.is_some(), all.group.is_some());
        let shown = format!("{all:?} {numbers:?}");
        assert!(
            !shown.contains('\0') && (chars(key) < 9 || !shown.replace(all.uid.as_str(), "").contains(key)),
            "{shown}"
        );
    }

    type Outcome = std::result::Result<Map<String, Value>, (Code, String)>;

    fn outcome(dialect: Dialect, req: &HttpRequest, body: &[u8]) -> Outcome {
        let payload = Payload::from(actix_web::web::Bytes::copy_from_slice(body));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(super::read(dialect, req, payload)).map_err(|e| (e.code(), e.text().to_owned()))
    }

    /// Said to the client, in words that are ours.
    fn check_refusal(code: Code, text: &str) {
        assert!(!code.kind().is_fault(), "{code:?}: {text}");
        assert!(text.len() < 300 && !text.contains(char::is_control), "{text:?}");
    }

    #[test]
    fn params() {
        target(env!("CARGO_MANIFEST_DIR"), "params", |input| {
            let [kind, query, body] = parts(input);
            let target = [b"/x?", query].concat();
            let (Ok(uri), Ok(kind)) = (Uri::try_from(target.as_slice()), HeaderValue::from_bytes(kind)) else { return };
            let req = TestRequest::with_uri(&uri.to_string()).insert_header((CONTENT_TYPE, kind)).to_http_request();
            let of = |dialect| outcome(dialect, &req, body);
            let families =
                [Dialect::RcRm, Dialect::RetReason, Dialect::ErrCodeMsg, Dialect::StatusCodeMsg, Dialect::Internal];
            let all = families.map(of);
            assert_eq!(all[2], all[3]);
            if body.trim_ascii_start().first() != Some(&b'{') {
                assert_eq!(all[0], all[1], "families A and C differ in JSON only");
            } else if let (Ok(c), Ok(b)) = (&all[1], &all[2]) {
                assert!(b.iter().all(|(name, value)| c.get(name) == Some(value)), "the body counts");
            }
            for read in all {
                match read {
                    Ok(map) => {
                        assert!(json::fuzz::is_tidy(&map));
                        match typed::<All>(map) {
                            Ok(all) => check(&all),
                            Err(e) => check_refusal(e.code(), e.text()),
                        }
                    }
                    Err((code, text)) => check_refusal(code, &text),
                }
            }
        });
    }

    /// Whether a type reads this, and what it writes then.
    fn reads<T: DeserializeOwned + serde::Serialize>(text: &str, value: &Value) -> Option<Value> {
        let read: Option<T> = serde_json::from_value(value.clone()).ok();
        assert_eq!(read.is_some(), serde_json::from_str::<T>(text).is_ok(), "from a text and from a value: {text}");
        let written = serde_json::to_value(read?).unwrap();
        let again: T = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), written);
        Some(written)
    }

    #[test]
    fn scalars() {
        target(env!("CARGO_MANIFEST_DIR"), "scalars", |input| {
            let Ok(text) = std::str::from_utf8(input) else { return };
            let Ok(value) = serde_json::from_str::<Value>(text) else { return };
            let said = value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|n| n.to_string()));
            let said = said.or_else(|| value.as_u64().map(|n| n.to_string()));
            let chars = said.as_ref().map_or(0, |said| said.chars().count());
            let sound = said.as_ref().filter(|said| !said.contains('\0'));
            let within = |range: std::ops::RangeInclusive<usize>| sound.filter(|_| range.contains(&chars)).cloned();
            let expected = |text: Option<String>| text.map(Value::String);
            assert_eq!(reads::<Uid>(text, &value), expected(within(1..=64)));
            assert_eq!(reads::<TuserKey>(text, &value), expected(within(1..=128)));
            assert_eq!(reads::<Text<8, 2>>(text, &value), expected(within(2..=8)));
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            assert_eq!(reads::<AppId>(text, &value), expected(within(1..=64).filter(|t| t.chars().all(plain))));
            let short = sound.filter(|said| said.len() <= 8).cloned();
            assert_eq!(reads::<ByteText<8>>(text, &value), expected(short));
            let number = said.as_ref().and_then(|said| said.trim().parse::<i64>().ok());
            assert_eq!(serde_json::from_value::<Int>(value.clone()).ok().map(|n| n.0), number);
            let platform = number.filter(|n| (1..=7).contains(n)).map(Value::from);
            assert_eq!(reads::<Platform>(text, &value), platform);
            assert_eq!(reads::<Gender>(text, &value), number.filter(|n| (0..=2).contains(n)).map(Value::from));
            if let Some(Value::String(key)) = reads::<TuserKey>(text, &value) {
                assert!(
                    !format!("{:?}", TuserKey::new(key.as_str()).unwrap()).contains(&key)
                        || "TuserKey(***)".contains(&key)
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use actix_web::web::Bytes;
    use futures_util::stream;
    use std::time::{Duration, Instant};

    type Pieces = Vec<Result<Bytes, PayloadError>>;

    /// A form of family A out of these pieces, after which nothing comes; and how long it was waited for.
    async fn read_form(pieces: Pieces) -> (Error, Duration) {
        let began = Instant::now();
        let payload: Payload = Payload::Stream { payload: Box::pin(stream::iter(pieces).chain(stream::pending())) };
        let req = TestRequest::post().to_http_request();
        let read = tokio::time::timeout(Duration::from_secs(25), read(Dialect::RcRm, &req, payload)).await;
        (read.unwrap().unwrap_err(), began.elapsed())
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_waited_for() {
        for before in [None, Some(Bytes::from_static(b" ")), Some(Bytes::from_static(b"a=b"))] {
            let broken = Err(PayloadError::Incomplete(None));
            let (why, waited) = read_form(before.into_iter().map(Ok).chain([broken]).collect()).await;
            assert_eq!((why.code(), why.text()), (Code::BadBody, "the request's body broke off"));
            assert!(waited < Duration::from_secs(1), "{waited:?}");
        }
    }

    #[tokio::test]
    async fn large_bodies_of_every_form_share_one_room() {
        fn text_parts(length: usize) -> String {
            let part = |name: &str| {
                let value = "x".repeat(length / 2);
                format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            [&part("a"), &part("b"), "--xyz--\r\n"].concat()
        }
        type Body = fn(usize) -> String;
        const FORMS: [(Dialect, &str, Body); 4] = [
            (Dialect::StatusCodeMsg, "application/json", |length| format!(r#"{{"a":"{}"}}"#, "x".repeat(length))),
            (Dialect::RetReason, "text/plain", |length| format!(r#"{{"a":"{}",}}"#, "x".repeat(length))),
            (Dialect::RcRm, "application/x-www-form-urlencoded", |length| format!("a={}", "x".repeat(length))),
            (Dialect::RcRm, "multipart/form-data; boundary=xyz", text_parts),
        ];
        let taken = held::all_room();
        let read_of = async |length: usize| {
            let reads = FORMS.map(|(dialect, kind, body)| async move {
                let pieces: Pieces =
                    body(length).as_bytes().chunks(8 << 10).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
                let payload: Payload = Payload::Stream { payload: Box::pin(stream::iter(pieces)) };
                let req = TestRequest::post().insert_header((CONTENT_TYPE, kind)).to_http_request();
                read(dialect, &req, payload).await.map_err(|e| e.code())
            });
            futures_util::future::join_all(reads).await
        };
        for small in read_of(50 << 10).await {
            assert!(small.is_ok(), "{small:?}");
        }
        for large in read_of(100 << 10).await {
            assert_eq!(large.unwrap_err(), Code::Busy);
        }
        drop(taken);
        for large in read_of(1 << 20).await {
            assert!(large.is_ok(), "{large:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_waited_for_once() {
        let (why, waited) = read_form(Vec::new()).await;
        assert_eq!(why.text(), "the request's body did not arrive in time");
        assert!(waited < Duration::from_secs(15), "{waited:?}");
    }
}
