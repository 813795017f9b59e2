//! Paths that the gateway itself answers.

use crate::documents::Documents;
use crate::forward::Body;
use crate::worker::Shared;
use crate::{docs, landing};
use actix_http::body::BodySize;
use actix_http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use actix_http::{Method, RequestHead, Response, StatusCode};
use bytes::Bytes;
use service_kit::openapi;
use service_kit::{Code, Error};

/// Whether whoever looks after the process asks, who is never told to wait.
pub fn is_probe(path: &str) -> bool {
    matches!(without_slash(path), "/healthz" | "/readyz")
}

/// A slash at the end is optional, as everywhere (contract §0).
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)
}

/// What the gateway itself has on a path.
pub enum Own<'a> {
    Page(Response<Body>),
    /// The API document, which may have to be looked for: [`document`].
    Document(&'a Documents),
}

/// The answer on a path of the gateway's own; `None` on any other.
pub fn answer<'a>(head: &RequestHead, path: &str, shared: &'a Shared) -> Option<Result<Own<'a>, Error>> {
    let path = without_slash(path);
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    if let Some(documents) = &shared.documents {
        let answered = match docs::file(path) {
            Some((content, fields)) => Some(Own::Page(page(StatusCode::OK, content, &fields))),
            None => (path == openapi::PATH).then_some(Own::Document(documents)),
        };
        if let Some(answer) = answered {
            return Some(if reads { Ok(answer) } else { Err(Code::WrongMethod.into()) });
        }
    }
    let (status, content) = match path {
        "/" => (StatusCode::OK, landing::page(head.uri.query().unwrap_or_default(), shared.documents.is_some())),
        "/healthz" => (StatusCode::OK, "ok\n"),
        // The internal listener tells more.
        "/readyz" if shared.health.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => (StatusCode::OK, "ready\n"),
        _ => return None,
    };
    if !reads {
        return Some(Err(Code::WrongMethod.into()));
    }
    let fields: &[(HeaderName, &'static str)] = if path == "/" {
        &landing::FIELDS
    } else {
        &[(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")]
    };
    Some(Ok(Own::Page(page(status, content, fields))))
}

fn page(status: StatusCode, content: &'static str, fields: &[(HeaderName, &'static str)]) -> Response<Body> {
    let mut answer = Response::with_body(status, Body::whole(Bytes::from_static(content.as_bytes()), None));
    for (name, value) in fields {
        answer.headers_mut().insert(name.clone(), HeaderValue::from_static(value));
    }
    answer
}

/// The API document of all services.
pub async fn document(head: &RequestHead, documents: &Documents) -> Result<Response<Body>, Error> {
    let document = documents.current().await.map_err(Error::internal)?;
    let known = head.headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == document.etag().as_bytes());
    let mut answer = if known {
        Response::with_body(StatusCode::NOT_MODIFIED, Body::nothing(BodySize::None))
    } else {
        Response::with_body(StatusCode::OK, Body::whole(document.body(), None))
    };
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(document.etag()) {
        fields.insert(ETAG, etag);
    }
    Ok(answer)
}
