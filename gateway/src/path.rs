//! Which request targets are let in at all.
//!
//! Everything here is about one danger: that the gateway and a service read the same target differently, so that a
//! path gets where no route leads. What could be read in two ways is refused; the rest is forwarded as it came.

use actix_http::uri::Uri;

/// The path of a target that is let in.
pub fn check(target: &Uri) -> Option<&str> {
    // Absolute form (`GET http://host/path`) and authority form (`CONNECT host:1`) name a host of their own.
    if target.scheme().is_some() || target.authority().is_some() {
        return None;
    }
    is_plain(target.path()).then(|| target.path())
}

/// No dot segment, empty segment, encoded `/ . \`, backslash, control character or byte beyond ASCII.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return false;
    }
    let mut segment = 1; // where the current segment begins
    for (i, &b) in bytes.iter().enumerate().skip(1) {
        let sound = match b {
            b'/' => {
                let sound = !matches!(&bytes[segment..i], b"" | b"." | b"..");
                segment = i + 1;
                sound
            }
            b'%' => {
                encoded(bytes.get(i + 1..i + 3)).is_none_or(|e| !matches!(e, b'/' | b'.' | b'\\' | 0..=0x1f | 0x7f))
            }
            b'\\' | 0..=0x20 | 0x7f.. => false,
            _ => true,
        };
        if !sound {
            return false;
        }
    }
    !matches!(&bytes[segment..], b"." | b"..")
}

fn encoded(digits: Option<&[u8]>) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    match digits {
        Some(&[high, low]) => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "",
            "*",
            "x",
            "/.",
            "/..",
            "/./x",
            "/../x",
            "/x/..",
            "/x/.",
            "/x/../y",
            "//",
            "//x",
            "/x//y",
            "/x//",
            "/%2e",
            "/%2E%2e/x",
            "/x%2fy",
            "/x%2Fy",
            "/x%5cy",
            "/x\\y",
            "/x%00",
            "/x%0a",
            "/x%7f",
            "/x%1F",
            "/x\u{7f}",
            "/é",
            "/x y",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
        for good in
            ["/", "/x", "/x/", "/...", "/.x", "/x.", "/x..y/z", "/%20", "/%e4%bd%a0", "/%252e", "/%", "/%zz", "/a:b@c"]
        {
            assert!(is_plain(good), "{good}");
        }
    }

    #[test]
    fn only_origin_form_is_let_in() {
        for bad in ["http://h/x", "https://h", "h:80", "*"] {
            assert!(bad.parse::<Uri>().is_ok_and(|u| check(&u).is_none()), "{bad}");
        }
        assert!("/x?y=//..".parse::<Uri>().is_ok_and(|u| check(&u) == Some("/x")));
    }

    proptest! {
        /// Decoded once, as services do, a path that is let in has no segment more or less and none that moves.
        #[test]
        fn decoding_changes_no_segment(path in "(/|\\.|%2e|%2F|%5C|%00|a|%61|%|\\\\){0,12}") {
            let path = format!("/{path}");
            if is_plain(&path) {
                let mut decoded = Vec::new();
                let bytes = path.as_bytes();
                let mut i = 0;
                while i < bytes.len() {
                    match (bytes[i], encoded(bytes.get(i + 1..i + 3))) {
                        (b'%', Some(b)) => { decoded.push(b); i += 3 }
                        (b, _) => { decoded.push(b); i += 1 }
                    }
                }
                let segments: Vec<&[u8]> = decoded[1..].split(|b| *b == b'/').collect();
                prop_assert_eq!(segments.len(), path[1..].split('/').count());
                prop_assert!(segments.iter().all(|s| *s != b"." && *s != b".."));
                prop_assert!(segments.iter().rev().skip(1).all(|s| !s.is_empty()));
            }
        }
    }
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::routes::Routes;
    use crate::settings::{RouteTable, UpstreamTable};
    use service_kit::testkit::fuzz::target;
    use service_kit::wire::Dialect;

    /// The prefixes of the default routes, without the open one and those that are longer than another.
    const WHOLE: [&str; 7] = ["/bind", "/auth", "/user", "/ws", "/media", "/cmd", "/im"];

    #[test]
    fn path() {
        let routes = Routes::new(&RouteTable::default(), &UpstreamTable::default()).unwrap();
        target(env!("CARGO_MANIFEST_DIR"), "path", |input| {
            let Ok(uri) = Uri::try_from(input) else { return };
            let Some(path) = check(&uri) else { return };
            assert!(input.starts_with(path.as_bytes()), "forwarded as it came");
            // As a service reads it: decoded once.
            let url = actix_web::dev::Url::new(uri.clone());
            let decoded = url.path();
            let segments = |path: &str| path.split('/').count();
            assert_eq!(segments(decoded), segments(path), "{path} {decoded}");
            let tidy = |path: &str| path.split('/').skip(1).all(|part| part != "." && part != "..");
            assert!(tidy(path) && tidy(decoded) && !decoded.contains("//") && !decoded.contains('\\'), "{decoded}");
            assert!(!decoded.chars().any(|c| c.is_ascii_control()), "{decoded:?}");
            let Some(service) = routes.find(path) else { return };
            let first = decoded.split('/').nth(1).unwrap();
            let whole = WHOLE.iter().any(|prefix| first == &prefix[1..]);
            let known = whole || first.starts_with("tu_") || first.starts_with("ua_");
            assert!(known || decoded.split('/').nth(2) == Some("Application"), "{path} leads nowhere else");
            assert!(!["internal", "metrics", "healthz", "readyz"].contains(&first) || !known, "{path}");
            let name = &routes.upstream_names()[service];
            let family = match Dialect::of_path(path) {
                Dialect::RetReason => ["groups", "im_auth"].contains(&name.as_str()),
                Dialect::StatusCodeMsg => name == "friends",
                _ => true,
            };
            assert!(family, "{path} of {name} fails in its family's words");
        });
    }
}
