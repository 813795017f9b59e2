//! Paths that the gateway itself answers.

use crate::forward::Body;
use crate::landing;
use crate::worker::Shared;
use actix_http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_http::{Method, RequestHead, Response, StatusCode};
use bytes::Bytes;
use service_kit::{Code, Error};

/// The answer on a path of the gateway's own; `None` on any other.
pub fn answer(head: &RequestHead, path: &str, shared: &Shared) -> Option<Result<Response<Body>, Error>> {
    let (status, page) = match path {
        "/" => (StatusCode::OK, landing::page(head.uri.query().unwrap_or_default())),
        "/healthz" => (StatusCode::OK, "ok\n"),
        // The internal listener tells more.
        "/readyz" if shared.health.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => (StatusCode::OK, "ready\n"),
        _ => return None,
    };
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Some(Err(Code::WrongMethod.into()));
    }
    let mut answer = Response::with_body(status, Body::whole(Bytes::from_static(page.as_bytes()), None));
    let fields: &[(HeaderName, &'static str)] = if path == "/" {
        &landing::FIELDS
    } else {
        &[(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")]
    };
    for (name, value) in fields {
        answer.headers_mut().insert(name.clone(), HeaderValue::from_static(value));
    }
    Some(Ok(answer))
}
