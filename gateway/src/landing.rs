//! The page at `/`. The codes of the binding page lead here when a phone's own camera reads them, so it says what to
//! do with one. It shows nothing out of the request and runs no script.

use actix_http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// The parameter that such a code carries (contract §1).
const CODE: &str = "matrix_tuserurms=";

pub const FIELDS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

pub fn page(query: &str, has_docs: bool) -> &'static str {
    match has_docs {
        _ if query.split('&').any(|pair| pair.starts_with(CODE)) => SCAN,
        true => HOME,
        false => HOME_WITHOUT_DOCS,
    }
}

macro_rules! page {
    ($title:literal, $body:literal) => {
        concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
            $title,
            "</title>\n<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem;",
            "color:#222;background:#fff}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}",
            "a{color:#8bf}}</style>\n</head>\n<body>\n",
            $body,
            "\n</body>\n</html>\n"
        )
    };
}

const HOME: &str = page!(
    "Kith",
    "<h1>Kith</h1>\n<p>The control plane of an instant-messaging back end: accounts and tokens, presence, \
     terminal users, friends and groups.</p>\n<p>Apps talk to this address: <a href=\"/docs\">the API</a>. People can \
     <a href=\"/bind\">bind their account to a device</a>.</p>"
);

const HOME_WITHOUT_DOCS: &str = page!(
    "Kith",
    "<h1>Kith</h1>\n<p>The control plane of an instant-messaging back end: accounts and tokens, presence, \
     terminal users, friends and groups.</p>\n<p>Apps talk to this address. People can \
     <a href=\"/bind\">bind their account to a device</a>.</p>"
);

const SCAN: &str = page!(
    "Scan this code with the app",
    "<h1>Scan this code with the app</h1>\n<p>This code binds a device to your account. Open the app on the device, \
     choose its own scan function there and scan the code again: the camera alone cannot use it.</p>\n\
     <p>A code is good for five minutes and for one device. The page that shows it makes a new one when needed.</p>"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanned_code_is_explained() {
        assert_eq!(page("matrix_tuserurms=abc", true), SCAN);
        assert_eq!(page("x=1&matrix_tuserurms=abc", false), SCAN);
        assert_eq!(page("x=matrix_tuserurms=", true), HOME);
        assert_eq!(page("", true), HOME);
        for (has_docs, answers) in [(true, vec!["/docs", "/bind"]), (false, vec!["/bind"])] {
            let links = page("", has_docs).split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
            assert_eq!(links.collect::<Vec<_>>(), answers, "only what answers");
        }
        assert!(!HOME.contains("<script") && !SCAN.contains("<script"));
    }
}
