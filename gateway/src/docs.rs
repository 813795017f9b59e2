//! The page at `/docs`, which shows the API document: three small files that need nothing from elsewhere.

use actix_http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub type Field = (HeaderName, &'static str);

/// A file of the page with its header fields.
pub fn file(path: &str) -> Option<(&'static str, [Field; 6])> {
    let (kind, content) = match path {
        "/docs" => ("text/html; charset=utf-8", include_str!("../assets/docs.html")),
        "/docs/docs.css" => ("text/css; charset=utf-8", include_str!("../assets/docs.css")),
        "/docs/docs.js" => ("text/javascript; charset=utf-8", include_str!("../assets/docs.js")),
        _ => return None,
    };
    let fields = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=300"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    Some((content, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_only_what_its_policy_allows() {
        let html = include_str!("../assets/docs.html");
        let wanted = html.split(['"', '\'']).filter(|part| part.starts_with("/docs/"));
        assert_eq!(wanted.filter(|path| file(path).is_some()).count(), 2);
        for inline in ["<style", " style=", "onclick", "<script>", "http:", "https:"] {
            assert!(!html.contains(inline), "{inline}");
        }
        let script = include_str!("../assets/docs.js");
        for unsafe_way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http"] {
            assert!(!script.contains(unsafe_way), "{unsafe_way}");
        }
    }
}
