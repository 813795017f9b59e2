//! Answers hold what their schemas name and nothing else, and never `null` (contract §0). Requests may: what is
//! unknown is ignored, and `null` is absent.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

const SCHEMAS: &str = "#/components/schemas/";
const COMPOSED: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Seals all schemas that answers lead to. `payloads` stand beside an envelope's keys: whoever composes them closes
/// them.
pub fn seal(schemas: &mut Map<String, Value>, payloads: Vec<String>) {
    let mut open: BTreeSet<String> = payloads.iter().cloned().collect();
    let (mut seen, mut left) = (BTreeSet::new(), payloads);
    while let Some(name) = left.pop() {
        if let Some(schema) = schemas.get(&name)
            && seen.insert(name)
        {
            references(schema, &mut left);
            composed(schema, &mut open);
        }
    }
    for name in seen {
        if let Some(schema) = schemas.get_mut(&name) {
            close(schema, open.contains(&name));
        }
    }
}

/// Names of the schemas that something refers to.
pub fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(SCHEMAS)) {
                found.push(name.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Names of the schemas that are parts of another object.
fn composed(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for part in COMPOSED.iter().filter_map(|key| map.get(*key)?.as_array()).flatten() {
                if let Some(name) = part["$ref"].as_str().and_then(|r| r.strip_prefix(SCHEMAS)) {
                    found.insert(name.to_owned());
                }
            }
            map.values().for_each(|value| composed(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| composed(value, found)),
        _ => {}
    }
}

fn close(schema: &mut Value, is_part: bool) {
    let Some(map) = schema.as_object_mut() else { return };
    without_null(map);
    // Alternatives of ours may overlap: an untagged enum writes one of them, and some have fewer fields.
    if let Some(parts) = map.remove("oneOf") {
        map.insert("anyOf".into(), parts);
    }
    let mut is_composed = false;
    for key in COMPOSED {
        for part in map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            is_composed = true;
            close(part, true);
        }
    }
    for property in map.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        close(property, false);
    }
    if let Some(items) = map.get_mut("items") {
        close(items, false);
    }
    if !is_part && is_composed {
        map.insert("unevaluatedProperties".into(), false.into());
    } else if !is_part && map.contains_key("properties") {
        map.insert("additionalProperties".into(), false.into());
    }
}

fn without_null(map: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = map.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            map.insert("type".into(), only);
        }
    }
    for key in COMPOSED {
        if let Some(Value::Array(parts)) = map.get_mut(key) {
            parts.retain(|part| part["type"] != "null");
        }
    }
}
