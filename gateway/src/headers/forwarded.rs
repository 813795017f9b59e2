//! Who really calls: the client's address, scheme and host, and the request's id.
//!
//! `X-Forwarded-*` are read only if a trusted proxy sent them, and the address from the right: each proxy appends who
//! called it, so the first address from the right that is not a trusted proxy is the last one that anyone we trust
//! has seen. Whatever stands left of it was sent by the client itself.

use crate::ids::RequestId;
use crate::settings::Proxy;
use actix_http::RequestHead;
use service_kit::client::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, REQUEST_ID, is_request_id};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// More entries than any real chain of proxies has.
const MAX_ENTRIES: usize = 32;

/// The caller of a request as the services are told.
pub struct Caller {
    pub address: IpAddr,
    pub https: bool,
    /// The host of a trusted proxy's word; otherwise the request's own.
    pub host: Option<http::HeaderValue>,
    pub id: RequestId,
}

pub fn identify(head: &RequestHead, trusted: &[Proxy], new_id: impl FnOnce() -> RequestId) -> Caller {
    let peer = head.peer_addr.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |p| p.ip().to_canonical());
    let id = head.headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(|id| is_request_id(id));
    let mut caller = Caller { address: peer, https: false, host: None, id: id.map_or_else(new_id, RequestId::given) };
    if is_trusted(peer, trusted) {
        let fields: Vec<&str> = head.headers.get_all(FORWARDED_FOR).map(|v| v.to_str().unwrap_or("?")).collect();
        caller.address = from_the_right(peer, &fields, trusted);
        let last = |name| {
            let value = head.headers.get_all(name).last()?.to_str().ok()?;
            value.rsplit(',').next().map(str::trim)
        };
        caller.https = last(FORWARDED_PROTO).is_some_and(|p| p.eq_ignore_ascii_case("https"));
        let host = last(FORWARDED_HOST).filter(|h| !h.is_empty());
        caller.host = host.and_then(|h| http::HeaderValue::from_str(h).ok());
    }
    caller
}

fn is_trusted(address: IpAddr, trusted: &[Proxy]) -> bool {
    trusted.iter().any(|proxy| proxy.contains(address))
}

/// The first address from the right that is not a trusted proxy's; the last one understood if none is left or an
/// entry is no address.
fn from_the_right(peer: IpAddr, fields: &[&str], trusted: &[Proxy]) -> IpAddr {
    let mut seen = peer;
    for entry in fields.iter().rev().flat_map(|f| f.rsplit(',')).take(MAX_ENTRIES) {
        let Some(address) = address(entry.trim()) else { break };
        seen = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    seen
}

/// An address, with a port or without.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|e| e.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn trusted() -> Vec<Proxy> {
        ["10.0.0.0/8", "fd00::/8"].iter().map(|p| p.parse().unwrap()).collect()
    }

    fn read(peer: &str, fields: &[&str]) -> String {
        from_the_right(peer.parse().unwrap(), fields, &trusted()).to_string()
    }

    #[test]
    fn the_address_is_read_from_the_right() {
        for (fields, client) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9", "10.1.1.1"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9,10.1.1.1"], "203.0.113.9"),
            (&["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            (&["203.0.113.9, unknown, 10.2.2.2"], "10.2.2.2"),
            (&["unknown"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["2001:db8::1, fd00::1"], "2001:db8::1"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(read("10.0.0.1", fields), client, "{fields:?}");
        }
    }

    #[test]
    fn nothing_counts_from_an_untrusted_peer() {
        let mut head = RequestHead::default();
        head.peer_addr = Some("192.0.2.1:1".parse().unwrap());
        for (name, value) in [(FORWARDED_FOR, "1.1.1.1"), (FORWARDED_PROTO, "https"), (FORWARDED_HOST, "evil")] {
            head.headers.insert(name, value.parse().unwrap());
        }
        head.headers.insert(REQUEST_ID, "no good\"id".parse().unwrap());
        let caller = identify(&head, &trusted(), || RequestId::given("made"));
        assert_eq!(caller.address.to_string(), "192.0.2.1");
        assert_eq!((caller.https, caller.host.is_some(), caller.id.as_str()), (false, false, "made"));

        head.peer_addr = Some("10.0.0.1:1".parse().unwrap());
        head.headers.insert(REQUEST_ID, "good-id".parse().unwrap());
        let caller = identify(&head, &trusted(), || RequestId::given("made"));
        assert_eq!(caller.address.to_string(), "1.1.1.1");
        assert_eq!(
            (caller.https, caller.host.unwrap().to_str().unwrap(), caller.id.as_str()),
            (true, "evil", "good-id")
        );
    }

    proptest! {
        /// Whatever a client sends ahead of what our proxies append, it stays the client.
        #[test]
        fn nothing_sent_ahead_changes_the_client(forged in "[0-9a-z.:, \\[\\]]{0,60}", hops in 0usize..5) {
            let mut field = format!("{forged}, 203.0.113.9");
            for hop in 0..hops {
                field.push_str(&format!(", 10.0.0.{hop}"));
            }
            prop_assert_eq!(read("10.0.0.1", &[&field]), "203.0.113.9");
            let fields = [forged.as_str(), "203.0.113.9", "10.0.0.2"];
            prop_assert_eq!(read("10.0.0.1", &fields), "203.0.113.9");
        }
    }
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::testkit::fuzz::{target, texts};

    #[test]
    fn forwarded() {
        let trusted: Vec<Proxy> = ["10.0.0.0/8", "fd00::/8"].iter().map(|p| p.parse().unwrap()).collect();
        target(env!("CARGO_MANIFEST_DIR"), "forwarded", |input| {
            let Some([forged, real]) = texts(input) else { return };
            let peer: IpAddr = "10.0.0.1".parse().unwrap();
            let seen = from_the_right(peer, &[forged, real], &trusted);
            assert_eq!(seen, seen.to_canonical());
            let named = |text: &str| text.split(',').any(|entry| address(entry.trim()) == Some(seen));
            assert!(seen == peer || named(forged) || named(real), "{seen} is nobody's word");
            // Whatever a client sends ahead of what our proxies append, it stays the client.
            let own: Vec<IpAddr> = real.split(',').filter_map(|entry| address(entry.trim())).collect();
            if own.len() == real.split(',').count() && own.len() < MAX_ENTRIES {
                let client = own.iter().rev().find(|a| !is_trusted(**a, &trusted));
                if let Some(client) = client {
                    assert_eq!(seen, *client, "{forged:?} changes nothing");
                }
            }
            for entry in forged.split(',') {
                let Some(one) = address(entry.trim()) else { continue };
                assert_eq!(address(&one.to_string()), Some(one));
            }
        });
    }
}
