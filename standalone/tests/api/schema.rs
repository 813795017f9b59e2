//! JSON against the schemas of the API document: as much of JSON Schema 2020-12 as the document uses, and a panic at
//! what it does not know.

use regex_lite::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a schema finds wrong with a value; nothing: it holds.
pub fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    Checker { document }.check(schema, value, "$").map(drop)
}

struct Checker<'a> {
    document: &'a Value,
}

/// The properties of an object that some part of a schema spoke of.
type Seen = BTreeSet<String>;

/// What says nothing about the value.
const NOTES: [&str; 12] = [
    "$schema",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "example",
    "examples",
    "format",
    "title",
    "propertyNames",
    "readOnly",
    "writeOnly",
];

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<Seen, String> {
        let Some(schema) = schema.as_object() else {
            return if schema == &Value::Bool(false) {
                Err(format!("{at}: must not be there"))
            } else {
                Ok(Seen::new())
            };
        };
        let mut seen = Seen::new();
        for (word, rule) in schema {
            match word.as_str() {
                "$ref" => {
                    let pointer = rule.as_str().unwrap().trim_start_matches('#');
                    let target = self.document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
                    seen.extend(self.check(target, value, at)?);
                }
                "allOf" => {
                    for part in rule.as_array().unwrap() {
                        seen.extend(self.check(part, value, at)?);
                    }
                }
                "anyOf" | "oneOf" => {
                    let parts: Vec<_> =
                        rule.as_array().unwrap().iter().map(|part| self.check(part, value, at)).collect();
                    let fit = parts.iter().filter(|part| part.is_ok()).count();
                    if fit == 0 || (word == "oneOf" && fit > 1) {
                        let why: Vec<_> = parts.into_iter().filter_map(Result::err).collect();
                        return Err(format!("{at}: {word}: {fit} fit: {}", why.join(" / ")));
                    }
                    seen.extend(parts.into_iter().flatten().flatten());
                }
                "properties" => {
                    let Some(object) = value.as_object() else { continue };
                    for (name, part) in rule.as_object().unwrap() {
                        if let Some(value) = object.get(name) {
                            self.check(part, value, &format!("{at}.{name}"))?;
                            seen.insert(name.clone());
                        }
                    }
                }
                "items" => {
                    for (n, entry) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, entry, &format!("{at}[{n}]"))?;
                    }
                }
                // After all others: they ask what those have seen.
                "additionalProperties" | "unevaluatedProperties" => {}
                _ => simple(word, rule, value).map_err(|why| format!("{at}: {why}: {value}"))?,
            }
        }
        let Some(object) = value.as_object() else { return Ok(seen) };
        let named = |name: &String| schema.get("properties").is_some_and(|p| p.get(name).is_some());
        if let Some(rule) = schema.get("additionalProperties") {
            self.rest(rule, object, named, at)?;
            seen.extend(object.keys().cloned());
        }
        if let Some(rule) = schema.get("unevaluatedProperties") {
            self.rest(rule, object, |name| seen.contains(name), at)?;
        }
        Ok(seen)
    }

    fn rest(
        &self,
        rule: &Value,
        object: &Map<String, Value>,
        is_known: impl Fn(&String) -> bool,
        at: &str,
    ) -> Result<(), String> {
        for (name, value) in object.iter().filter(|(name, _)| !is_known(name)) {
            self.check(rule, value, &format!("{at}.{name}"))?;
        }
        Ok(())
    }
}

fn simple(word: &str, rule: &Value, value: &Value) -> Result<(), String> {
    let holds = match word {
        "type" => match rule {
            Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
            kind => is(kind, value),
        },
        "const" => rule == value,
        "enum" => rule.as_array().unwrap().contains(value),
        "required" => {
            let missing = |object: &Map<String, Value>| {
                rule.as_array().unwrap().iter().any(|name| !object.contains_key(name.as_str().unwrap()))
            };
            value.as_object().is_none_or(|object| !missing(object))
        }
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
        "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
        "minItems" => value.as_array().is_none_or(|list| list.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= rule.as_u64().unwrap()),
        note if NOTES.contains(&note) || note.starts_with("x-") => true,
        other => panic!("a schema says {other}, which this checker does not know"),
    };
    if holds { Ok(()) } else { Err(format!("{word} {rule}")) }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("a schema has the type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_hold_is_found() {
        let document = json!({"components": {"schemas": {
            "Ok": {"type": "object", "properties": {"rc": {"const": "1"}}, "required": ["rc"]},
            "Data": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}},
        }}});
        let schema = json!({"allOf": [{"$ref": "#/components/schemas/Ok"}, {"$ref": "#/components/schemas/Data"}],
            "unevaluatedProperties": false});
        for good in [json!({"rc": "1"}), json!({"rc": "1", "n": 3})] {
            assert_eq!(check(&document, &schema, &good), Ok(()));
        }
        for bad in [json!({"rc": "0"}), json!({"n": 1}), json!({"rc": "1", "n": -1}), json!({"rc": "1", "x": 1})] {
            assert!(check(&document, &schema, &bad).is_err(), "{bad}");
        }
        let one = json!({"oneOf": [{"type": "string", "pattern": "^a+$"}, {"enum": ["b"]}]});
        assert!(check(&document, &one, &json!("aa")).is_ok() && check(&document, &one, &json!("b")).is_ok());
        assert!(check(&document, &one, &json!("ab")).is_err());
    }
}
