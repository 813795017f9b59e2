//! JSON bodies.

use super::tidy_map;
use crate::error::{Code, Error, Result};
use serde_json::{Map, Value};

/// A JSON object, whatever the Content-Type says.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Code::EmptyBody.into());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(tidy_map(map)),
        Ok(_) => Err(Error::new(Code::BadBody, "the request's body is not a JSON object")),
        Err(e) => Err(Error::new(
            Code::BadBody,
            format!("the request's body is not JSON (line {}, column {})", e.line(), e.column()),
        )),
    }
}

/// A JSON object that may have a comma before a closing bracket, as the examples of document 003 have.
pub(super) fn lenient_object(body: &[u8]) -> Result<Map<String, Value>> {
    object(&without_trailing_commas(body))
}

fn without_trailing_commas(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let (mut in_string, mut escaped) = (false, false);
    // Where in `out` a comma stands that nothing but white space has followed so far.
    let mut comma = None;
    for &b in body {
        if in_string {
            in_string = escaped || b != b'"';
            escaped = !escaped && b == b'\\';
        } else {
            match b {
                b'}' | b']' => {
                    if let Some(at) = comma.take() {
                        out.remove(at);
                    }
                }
                b',' => comma = Some(out.len()),
                _ if b.is_ascii_whitespace() => {}
                _ => {
                    comma = None;
                    in_string = b == b'"';
                }
            }
        }
        out.push(b);
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_documents_examples_are_read() {
        let body = br#"{ "username":"username", "password":"pass,}word", "list": [1, 2, ], }"#;
        let map = lenient_object(body).unwrap();
        assert_eq!(Value::Object(map), json!({"username": "username", "password": "pass,}word", "list": [1, 2]}));
    }

    #[test]
    fn other_broken_json_stays_broken() {
        for bad in ["{,}x", "{\"a\":1,,}", "{\"a\" 1}", "{", "{\"a\":\"}", "[1,]", "{'a':1}"] {
            assert!(lenient_object(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z,}\\]\"\\\\]{1,6}", inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn proper_json_is_untouched(value in any_json()) {
            let text = serde_json::to_vec_pretty(&value).unwrap();
            prop_assert_eq!(without_trailing_commas(&text), text);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = lenient_object(&bytes);
        }
    }
}

#[cfg(all(test, feature = "testkit"))]
pub(super) mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testkit::fuzz::target;

    /// Nested, no key of an object has white space around it, and none stands for null.
    pub(in crate::params) fn is_tidy(map: &Map<String, Value>) -> bool {
        let nested = |value: &Value| match value {
            Value::Object(map) => is_tidy(map),
            Value::Array(items) => items.iter().all(|item| item.as_object().is_none_or(is_tidy)),
            _ => true,
        };
        map.iter().all(|(key, value)| key.trim() == key && !value.is_null() && nested(value))
    }

    #[test]
    fn json() {
        target(env!("CARGO_MANIFEST_DIR"), "json", |input| {
            let lenient = lenient_object(input);
            if let Ok(strict) = object(input) {
                assert_eq!(lenient.as_ref().ok(), Some(&strict), "proper JSON means what it means");
            }
            let plain = without_trailing_commas(input);
            let mut left = plain.iter().peekable();
            for b in input {
                assert!(left.next_if_eq(&b).is_some() || *b == b',', "only commas are left out");
            }
            assert_eq!(left.next(), None);
            let Ok(map) = lenient else { return };
            assert!(is_tidy(&map));
            let again = serde_json::to_vec(&map).unwrap();
            assert_eq!(without_trailing_commas(&again), again);
            // Of numbers with a fraction the last digit may differ.
            if !String::from_utf8_lossy(&again).contains(['.', 'e']) {
                assert_eq!(object(&again).unwrap(), map);
            }
        });
    }
}
