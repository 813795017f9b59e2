//! Fields of an answer on their way to the client.

use super::{Named, is_hop_by_hop};
use actix_http::header::{HeaderMap as ActixMap, HeaderName as ActixName, HeaderValue as ActixValue};
use http::header::{CONNECTION, HeaderMap, HeaderName};

static DRAINING: HeaderName = HeaderName::from_static("x-kith-draining");

/// Whether the service said that it is about to end, and whether that this connection is.
pub fn is_draining(fields: &HeaderMap) -> (bool, bool) {
    let close = fields.get_all(CONNECTION).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"))
    });
    (fields.contains_key(&DRAINING), close)
}

/// Copies what the client may see: nothing about the connection to the service, and of what services tell the
/// gateway only how they failed.
pub fn to_client(from: &HeaderMap, to: &mut ActixMap, keep_length: bool) {
    let mut named = Named::default();
    for value in from.get_all(CONNECTION) {
        named.add(value.as_bytes());
    }
    for (name, value) in from {
        let text = name.as_str();
        let internal = text.starts_with("x-kith-") && text != "x-kith-failure";
        // The server writes lengths itself; the id is ours.
        let written = (text == "content-length" && !keep_length) || text == "x-request-id";
        if is_hop_by_hop(text) || internal || written || named.has(text) {
            continue;
        }
        let name = ActixName::from_bytes(text.as_bytes());
        if let (Ok(name), Ok(value)) = (name, ActixValue::from_bytes(value.as_bytes())) {
            to.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_service_tells_the_client_nothing_of_its_own() {
        let from = map(&[
            ("content-type", "application/json"),
            ("content-length", "5"),
            ("connection", "close, x-debug"),
            ("x-debug", "1"),
            ("keep-alive", "timeout=30"),
            ("transfer-encoding", "chunked"),
            ("x-kith-failure", "503"),
            ("x-kith-draining", "1"),
            ("x-kith-gateway-token", "secret"),
            ("x-request-id", "other"),
            ("cache-control", "no-store"),
        ]);
        let shown = |keep_length| {
            let mut to = ActixMap::new();
            to_client(&from, &mut to, keep_length);
            let mut names: Vec<String> = to.iter().map(|(n, _)| n.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(shown(false), ["cache-control", "content-type", "x-kith-failure"]);
        assert_eq!(shown(true), ["cache-control", "content-length", "content-type", "x-kith-failure"]);
    }

    #[test]
    fn a_service_that_is_about_to_end_is_noticed() {
        assert_eq!(is_draining(&map(&[("connection", "x, Close")])), (false, true));
        assert_eq!(is_draining(&map(&[("connection", "close"), ("x-kith-draining", "1")])), (true, true));
        assert_eq!(is_draining(&map(&[("connection", "keep-alive, closed")])), (false, false));
    }
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use http::HeaderValue;
    use service_kit::testkit::fuzz::target;

    #[test]
    fn answer_fields() {
        target(env!("CARGO_MANIFEST_DIR"), "answer_fields", |input| {
            let mut slots = [httparse::EMPTY_HEADER; 64];
            let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(input, &mut slots) else {
                return;
            };
            let mut from = HeaderMap::new();
            for field in fields {
                let Ok(value) = HeaderValue::from_bytes(field.value) else { continue };
                from.append(HeaderName::from_bytes(field.name.as_bytes()).unwrap(), value);
            }
            for keep_length in [false, true] {
                let mut to = ActixMap::new();
                to_client(&from, &mut to, keep_length);
                for (name, value) in &to {
                    let text = name.as_str();
                    assert!(!is_hop_by_hop(text) && (!text.starts_with("x-kith-") || text == "x-kith-failure"));
                    assert!(text != "x-request-id" && (keep_length || text != "content-length"));
                    assert!(!value.as_bytes().contains(&b'\n') && !value.as_bytes().contains(&b'\r'));
                    assert!(from.get_all(text).iter().any(|v| v.as_bytes() == value.as_bytes()), "{text} is made up");
                }
                // What nobody named is all there, as often and in the order in which it came.
                let named: Vec<String> = from
                    .get_all(CONNECTION)
                    .iter()
                    .flat_map(|v| {
                        String::from_utf8_lossy(v.as_bytes())
                            .to_ascii_lowercase()
                            .split(',')
                            .map(str::to_owned)
                            .collect::<Vec<_>>()
                    })
                    .map(|name| name.trim().to_owned())
                    .collect();
                for name in ["content-type", "set-cookie", "x-kith-failure", "vary"] {
                    let all = |values: Vec<&[u8]>| values.iter().map(|v| v.to_vec()).collect::<Vec<_>>();
                    let came = all(from.get_all(name).iter().map(HeaderValue::as_bytes).collect());
                    let went = all(to.get_all(name).map(|v| v.as_bytes()).collect());
                    assert_eq!(went, if named.iter().any(|n| n == name) { vec![] } else { came }, "{name}");
                }
            }
            let _ = is_draining(&from);
        });
    }
}
