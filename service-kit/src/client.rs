//! Who calls: address, request id, and how the gateway was called.
//!
//! `X-Request-Id` and `X-Forwarded-*` are believed only together with the gateway token.

use crate::random;
use crate::secret::Secret;
use actix_web::dev::Payload;
use actix_web::http::header::{HOST, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub const GATEWAY_TOKEN: HeaderName = HeaderName::from_static("x-kith-gateway-token");
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// On answers of a process that is about to end: the gateway prefers others from then on. (`Connection: close` alone
/// also ends connections whose request body was not read.)
pub const DRAINING: HeaderName = HeaderName::from_static("x-kith-draining");
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Longer ids, or ones with other characters, are replaced: they end up in logs.
const MAX_REQUEST_ID: usize = 64;

/// The caller of a request.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: IpAddr,
    pub request_id: Arc<str>,
    /// `scheme://host[:port]` that the client used, for links where `public_base_url` is empty.
    pub base_url: Arc<str>,
}

impl Client {
    /// Reads the caller off a request's head.
    pub fn of(headers: &HeaderMap, peer: Option<SocketAddr>, gateway_token: &Secret) -> Self {
        Self::proven_by(&GATEWAY_TOKEN, gateway_token, headers, peer)
    }

    /// The same, where another header and token are the proof. An empty token proves nothing.
    pub(crate) fn proven_by(
        header: &HeaderName,
        token: &Secret,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
        let trusted = !token.is_empty() && text(header.clone()).is_some_and(|t| token.matches(t));
        let forwarded = |name| if trusted { text(name) } else { None };

        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |p| p.ip().to_canonical());
        let address = forwarded(FORWARDED_FOR).and_then(|a| a.trim().parse().ok()).unwrap_or(peer);
        let request_id =
            forwarded(REQUEST_ID).filter(|id| is_request_id(id)).map_or_else(|| Arc::from(random::hex(8)), Arc::from);
        let scheme = forwarded(FORWARDED_PROTO).filter(|p| *p == "https").unwrap_or("http");
        let host = forwarded(FORWARDED_HOST).or_else(|| text(HOST)).filter(|h| is_host(h)).unwrap_or("localhost");
        Self { address, request_id, base_url: format!("{scheme}://{host}").into() }
    }
}

/// Whether a client's own request id may be kept.
pub fn is_request_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(plain)
}

/// Whether a host may stand in a link: nothing that could end the authority or start another part.
fn is_host(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b);
    !host.is_empty() && host.len() <= 255 && host.bytes().all(plain)
}

impl FromRequest for Client {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    /// Put there by the server's entry (`server::entry`) for every request.
    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let client = req.extensions().get::<Self>().cloned();
        ready(client.ok_or_else(|| actix_web::error::ErrorInternalServerError("the entry did not run")))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn client(pairs: &[(HeaderName, &str)]) -> Client {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        Client::of(&headers, Some("192.0.2.1:5".parse().unwrap()), &Secret::new("gate"))
    }

    #[test]
    fn forwarded_headers_count_only_with_the_gateway_token() {
        let forged = [
            (FORWARDED_FOR, "203.0.113.9"),
            (FORWARDED_PROTO, "https"),
            (FORWARDED_HOST, "evil.example"),
            (REQUEST_ID, "mine"),
            (HOST, "im.example:8443"),
        ];
        let c = client(&forged);
        assert_eq!(c.address.to_string(), "192.0.2.1");
        assert_eq!(&*c.base_url, "http://im.example:8443");
        assert_ne!(&*c.request_id, "mine");

        let mut real = forged.to_vec();
        real.push((GATEWAY_TOKEN, "gate"));
        let c = client(&real);
        assert_eq!(c.address.to_string(), "203.0.113.9");
        assert_eq!(&*c.base_url, "https://evil.example");
        assert_eq!(&*c.request_id, "mine");
    }

    #[test]
    fn hosts_that_are_no_hosts_stand_in_no_link() {
        for bad in ["a/b", "a@b", "a b", "a?b", "a#b", "<x>", ""] {
            assert_eq!(&*client(&[(HOST, bad)]).base_url, "http://localhost", "{bad}");
        }
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testkit::fuzz::{parts, target};
    use actix_web::http::header::HeaderValue;

    #[test]
    fn client() {
        target(env!("CARGO_MANIFEST_DIR"), "client", |input| {
            let values: [&[u8]; 6] = parts(input);
            let names = [GATEWAY_TOKEN, FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, REQUEST_ID, HOST];
            let mut headers = HeaderMap::new();
            for (name, value) in names.iter().zip(values) {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.insert(name.clone(), value);
                }
            }
            let peer: SocketAddr = "192.0.2.1:5".parse().unwrap();
            let client = Client::of(&headers, Some(peer), &Secret::new("gate"));
            assert!(is_request_id(&client.request_id));
            if headers.get(GATEWAY_TOKEN).is_none_or(|token| token.as_bytes() != b"gate") {
                assert_eq!(client.address, peer.ip());
                assert!(client.base_url.starts_with("http://"));
                assert!(headers.get(REQUEST_ID).is_none_or(|id| id.as_bytes() != client.request_id.as_bytes()));
            }
            let link = format!("{}/media/x", client.base_url);
            let host = client.base_url.split_once("://").unwrap().1;
            assert!(is_host(host) && link.matches('/').count() == 4, "{link}");
            // Not every text of these characters is a host, but none begins another part of a link.
            if let Ok(url) = reqwest::Url::parse(&link) {
                let rest = (url.path(), url.query(), url.username(), url.password(), url.fragment());
                assert_eq!(rest, ("/media/x", None, "", None, None), "{link}");
            }
        });
    }
}
