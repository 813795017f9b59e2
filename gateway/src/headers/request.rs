//! Fields of a request on their way to a service.

use super::{Caller, Named, is_hop_by_hop};
use actix_http::RequestHead;
use actix_http::header as actix;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use std::io::Write;
use std::net::IpAddr;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static GATEWAY_TOKEN: HeaderName = HeaderName::from_static("x-kith-gateway-token");

/// Fields that a request may have: services take 96, the gateway's own included.
const MAX_FIELDS: usize = 88;

/// The bytes of all fields; `None` if there are too many.
pub fn size(head: &RequestHead) -> Option<usize> {
    let fields = head.headers.len();
    (fields <= MAX_FIELDS).then(|| head.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum())
}

/// What a request is sent with.
pub struct Outgoing<'a> {
    pub head: &'a RequestHead,
    pub caller: &'a Caller,
    pub token: &'a HeaderValue,
    /// A body follows, so hyper writes its length or that it comes in chunks.
    pub has_body: bool,
}

/// The fields that a service gets: the client's without those of the connection and without any that only the
/// gateway may say, and then the gateway's.
pub fn to_service(out: &Outgoing<'_>) -> HeaderMap {
    let fields = &out.head.headers;
    let mut named = Named::default();
    for value in fields.get_all(actix::CONNECTION) {
        named.add(value.as_bytes());
    }
    let mut to = HeaderMap::with_capacity(fields.len() + 6);
    for (name, value) in fields.iter() {
        let text = name.as_str();
        if is_hop_by_hop(text) || is_ours_to_say(text) || (text != "host" && named.has(text)) {
            continue;
        }
        if text == "content-length" && out.has_body {
            continue;
        }
        let name = HeaderName::from_bytes(text.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            to.append(name, value);
        }
    }
    let host = out.caller.host.clone().or_else(|| to.get(HOST).cloned());
    if !to.contains_key(HOST) {
        // HTTP/1.0 may come without.
        to.insert(HOST, host.clone().unwrap_or(HeaderValue::from_static("localhost")));
    }
    if let Some(host) = host {
        to.insert(FORWARDED_HOST.clone(), host);
    }
    to.insert(FORWARDED_FOR.clone(), address(out.caller.address));
    let scheme = if out.caller.https { "https" } else { "http" };
    to.insert(FORWARDED_PROTO.clone(), HeaderValue::from_static(scheme));
    if let Ok(id) = HeaderValue::from_str(out.caller.id.as_str()) {
        to.insert(REQUEST_ID.clone(), id);
    }
    to.insert(GATEWAY_TOKEN.clone(), out.token.clone());
    debug_assert!(!out.has_body || !to.contains_key(CONTENT_LENGTH));
    to
}

/// Fields that count as the gateway's word, and `Expect`, which the gateway itself answers.
fn is_ours_to_say(name: &str) -> bool {
    name.starts_with("x-kith-")
        || name.starts_with("x-forwarded-")
        || matches!(name, "forwarded" | "x-real-ip" | "x-request-id" | "expect")
}

fn address(address: IpAddr) -> HeaderValue {
    let mut text = [0u8; 45];
    let mut rest = &mut text[..];
    // 45 characters hold any address.
    let _ = write!(rest, "{address}");
    let free = rest.len();
    HeaderValue::from_bytes(&text[..45 - free]).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ids::RequestId;

    fn sent(pairs: &[(&'static str, &str)], has_body: bool) -> Vec<(String, String)> {
        let mut head = RequestHead::default();
        for (name, value) in pairs {
            head.headers.append(actix::HeaderName::from_static(name), value.parse().unwrap());
        }
        let caller =
            Caller { address: "2001:db8::1".parse().unwrap(), https: true, host: None, id: RequestId::given("id") };
        let token = HeaderValue::from_static("secret");
        let out = Outgoing { head: &head, caller: &caller, token: &token, has_body };
        let mut all: Vec<_> =
            to_service(&out).iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
        all.sort();
        all
    }

    fn ours(host: &str) -> Vec<(String, String)> {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        vec![
            pair("host", host),
            pair("x-forwarded-for", "2001:db8::1"),
            pair("x-forwarded-host", host),
            pair("x-forwarded-proto", "https"),
            pair("x-kith-gateway-token", "secret"),
            pair("x-request-id", "id"),
        ]
    }

    #[test]
    fn fields_of_the_connection_and_forged_ones_stay_here() {
        let forged = [
            ("host", "im.example"),
            ("connection", "keep-alive, X-Private, host, x-forwarded-for, x-kith-gateway-token"),
            ("connection", "x-other"),
            ("x-private", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAA"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("x-request-id", "forged"),
            ("x-kith-gateway-token", "guess"),
            ("x-kith-internal-token", "guess"),
        ];
        assert_eq!(sent(&forged, true), ours("im.example"));
        assert_eq!(
            sent(&[], true),
            ours("localhost").into_iter().filter(|(n, _)| n != "x-forwarded-host").collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_rest_is_passed_on_as_often_as_it_came() {
        let all =
            sent(&[("host", "h"), ("authorization", "x"), ("accept", "a"), ("accept", "b"), ("x-app", "1")], false);
        let names: Vec<_> = all.iter().map(|(n, v)| format!("{n}={v}")).collect();
        for field in ["authorization=x", "accept=a", "accept=b", "x-app=1"] {
            assert!(names.iter().any(|n| n == field), "{field}: {names:?}");
        }
        assert_eq!(names.len(), 10);
    }
}
