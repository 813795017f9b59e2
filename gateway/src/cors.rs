//! Scripts of other web origins: only those that the settings name.

use crate::forward::Body;
use crate::settings::Origin;
use actix_http::body::BodySize;
use actix_http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use actix_http::{Method, RequestHead, Response, StatusCode};

/// The origin of a request, if its scripts may call.
fn allowed<'a>(head: &'a RequestHead, origins: &[Origin]) -> Option<&'a HeaderValue> {
    let value = head.headers.get(ORIGIN)?;
    let text = value.to_str().ok()?;
    origins.iter().any(|o| o.as_str() == "*" || o.as_str() == text).then_some(value)
}

/// The answer to a browser that asks before it calls; `None` if this is not for the gateway.
pub fn preflight(head: &RequestHead, origins: &[Origin]) -> Option<Response<Body>> {
    let asks = head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if origins.is_empty() || !asks || allowed(head, origins).is_none() {
        return None;
    }
    let mut answer = Response::with_body(StatusCode::NO_CONTENT, Body::nothing(BodySize::None));
    let fields = answer.headers_mut();
    fields.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    fields.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if let Some(names) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    Some(answer)
}

/// Lets the browser show an answer to the script. No dialect uses cookies across origins, so credentials stay out.
pub fn decorate(head: &RequestHead, origins: &[Origin], answer: &mut Response<Body>) {
    if origins.is_empty() {
        return;
    }
    answer.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed(head, origins) {
        let origin = origin.clone();
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let shown = HeaderValue::from_static("X-Request-Id, X-Kith-Failure, Retry-After");
        answer.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, shown);
    }
}
