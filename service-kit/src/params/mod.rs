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
        const FORMS: [(Dialect, &str, fn(usize) -> String); 4] = [
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
