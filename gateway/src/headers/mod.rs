//! What becomes of header fields on their way through.
//!
//! actix-http and hyper have types of their own for the same things (http 0.2 and http 1), hence the copying.

mod answer;
mod forwarded;
mod request;

pub use answer::{is_draining, to_client};
pub use forwarded::{Caller, identify};
pub use request::{Outgoing, size, to_service};

/// Fields about one connection, not about the message (RFC 9110, 7.6.1), in lower case.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Names out of `Connection` fields: hop-by-hop by the sender's wish.
#[derive(Default)]
struct Named<'a>(Vec<&'a str>);

impl<'a> Named<'a> {
    fn add(&mut self, value: &'a [u8]) {
        // What is no text names nothing; its neighbours do all the same.
        let texts = value.split(|&b| b == b',').filter_map(|part| std::str::from_utf8(part).ok());
        // The usual words name no field, so that the usual request allocates nothing here.
        let usual = |t: &str| ["", "close", "keep-alive", "upgrade"].iter().any(|u| t.eq_ignore_ascii_case(u));
        self.0.extend(texts.map(str::trim).filter(|t| !usual(t)));
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|n| n.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_what_is_no_text_count() {
        let mut named = Named::default();
        named.add(b"\xff, X-Debug, close");
        assert!(named.has("x-debug") && !named.has("close"));
    }
}
