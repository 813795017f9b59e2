//! The answers of one operation: its own, in the envelope of its family, and those that any call may get.

use super::family;
use super::methods::JSON;
use crate::error::{Code, Error};
use crate::wire::Dialect;
use serde_json::{Map, Value, json};

/// Puts an operation's success into the envelope, beside the family's failures.
pub fn wrap(answer: &mut Value, dialect: Dialect, fails: &[Code]) {
    let payload = answer["content"][JSON]["schema"].take();
    let shown = answer["content"][JSON]["example"].take();
    let success = match payload {
        Value::Null => json!({"$ref": component("schemas", dialect, "Success"), "unevaluatedProperties": false}),
        payload => json!({
            "allOf": [{"$ref": component("schemas", dialect, "Success")}, payload],
            "unevaluatedProperties": false,
        }),
    };
    let mut reasons = fails.to_vec();
    reasons.extend(family::common(dialect));
    let mut example = family::success_value(dialect);
    if let Value::Object(shown) = shown {
        example.extend(shown);
    }
    let mut examples = json!({"success": {"value": example}});
    for code in fails {
        examples[code.name()] = json!({"value": family::failure_value(dialect, *code)});
    }
    answer["content"] = json!({JSON: {
        "schema": {"oneOf": [success, family::failure(dialect, &reasons)]},
        "examples": examples,
    }});
    answer["description"] = described(dialect, fails).into();
}

/// Adds to an answer that wears no envelope how it looks where the call failed.
pub fn also_fails(answer: &mut Value, dialect: Dialect, codes: &[Code]) {
    let failure = family::failure(dialect, codes);
    let own = answer["content"][JSON]["schema"].take();
    answer["content"][JSON]["schema"] = if own.is_null() { failure } else { json!({"oneOf": [own, failure]}) };
    if answer.get("headers").is_none() {
        answer["headers"] = headers(dialect, true).into();
    }
}

fn described(dialect: Dialect, fails: &[Code]) -> String {
    let mut text = "Whenever the call was judged, failures included: the body tells which.".to_owned();
    if !fails.is_empty() {
        text.push_str(" Beyond what any call may fail for:");
    }
    for code in fails {
        let number = family::number(dialect, *code).map(|n| format!("{} ", n.to_string().trim_matches('"')));
        text.push_str(&format!("\n- {}{}", number.unwrap_or_default(), code.text()));
    }
    text
}

/// What else the gateway may answer, by status; names of shared answers.
pub fn of_any_call(dialect: Dialect) -> Map<String, Value> {
    let enveloped = family::TRANSPORT
        .iter()
        .map(|(status, _)| (status.to_string(), json!({"$ref": component("responses", dialect, &status.to_string())})));
    // The server library's own, without a body: what was sent is no HTTP, too slow, or too large a head.
    let bare = ["400", "408", "431"]
        .map(|status| (status.to_owned(), json!({"$ref": format!("#/components/responses/Http{status}")})));
    enveloped.chain(bare).collect()
}

/// The shared answers of a family.
pub fn shared(dialect: Dialect) -> Map<String, Value> {
    let mut all = Map::new();
    for (status, code) in family::TRANSPORT {
        let hidden = status >= 413 && dialect.hides_status();
        let when = if hidden { "; HTTP 200 unless the setting `gateway.real_status` is on" } else { "" };
        let mut headers = headers(dialect, true);
        match code {
            Code::WrongMethod => drop(headers.insert("Allow".into(), text_header("The methods that the call takes"))),
            Code::RateLimited => {
                let seconds =
                    json!({"required": true, "description": "Seconds to wait", "schema": {"type": "integer"}});
                headers.insert("Retry-After".into(), seconds);
            }
            _ => {}
        }
        // Reasons of one status have one number.
        let answer = json!({
            "description": format!("{}{when}", Error::from(code).text()),
            "headers": headers,
            "content": {JSON: {
                "schema": family::failure(dialect, &[code]),
                "example": family::failure_value(dialect, code),
            }},
        });
        all.insert(format!("{}{status}", family::name(dialect)), answer);
    }
    all
}

/// The answers without an envelope.
pub fn bare() -> Map<String, Value> {
    [("400", "The request is no HTTP"), ("408", "The request did not come in time"), ("431", "The head is too large")]
        .into_iter()
        .map(|(status, text)| (format!("Http{status}"), json!({"description": format!("{text}. No body.")})))
        .collect()
}

/// The header fields of every answer of a family.
pub fn headers(dialect: Dialect, never_cached: bool) -> Map<String, Value> {
    let failure = json!({"description": "The HTTP status that a failure of ours would have elsewhere",
        "schema": {"type": "string", "pattern": "^[45][0-9][0-9]$"}});
    let mut all = Map::new();
    all.insert(
        "X-Request-Id".into(),
        text_header("Finds the request in the logs; the client's own, where it sent one"),
    );
    all.insert("X-Kith-Failure".into(), failure);
    if dialect == Dialect::RcRm && never_cached {
        all.insert(
            "Cache-Control".into(),
            json!({"required": true, "schema": {"type": "string", "const": "no-store"}}),
        );
    }
    all
}

fn text_header(description: &str) -> Value {
    json!({"required": true, "description": description, "schema": {"type": "string"}})
}

fn component(kind: &str, dialect: Dialect, what: &str) -> String {
    format!("#/components/{kind}/{}{what}", family::name(dialect))
}
