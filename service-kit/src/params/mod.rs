//! What a request asks, read as its family's clients send it (contract §0).
//!
//! Parameters of all sources become one map; the request's type is read from that map, so that every field is
//! checked once, by its type, and a wrong one is named.

mod body;
mod form;
mod held;
mod json;

pub use body::{FORM_LIMIT, drain, read_body, read_large_body};
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
async fn peek(mut payload: Payload) -> (Option<u8>, Payload) {
    let mut read = Vec::new();
    let mut first = None;
    // White space before a body may come in pieces, but not for ever.
    while first.is_none() && read.len() < 16 {
        let Some(chunk) = body::next_piece(&mut payload).await else { break };
        first = chunk.as_ref().ok().and_then(|chunk| chunk.iter().copied().find(|b| !b.is_ascii_whitespace()));
        read.push(chunk);
    }
    let whole = futures_util::stream::iter(read).chain(payload);
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
