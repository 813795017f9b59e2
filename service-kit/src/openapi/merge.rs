//! Several services' documents as one. Names of components get their service's name before them, so that no two
//! services' types are taken for one another.

use super::METHODS;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// One document of many.
pub struct Merged {
    pub document: Value,
    /// What several services claim: a path and method, or an operation id. The first has it.
    pub clashes: Vec<String>,
}

/// Merges documents by their services' names; `info` is the whole's.
pub fn merge<'a>(info: Value, parts: impl IntoIterator<Item = (&'a str, Value)>) -> Merged {
    let (mut paths, mut components) = (Map::new(), Map::new());
    let (mut ids, mut clashes) = (BTreeSet::new(), Vec::new());
    let mut tags = BTreeSet::new();
    for (name, mut part) in parts {
        rename(&mut part, name);
        for (kind, some) in entries(part["components"].take()) {
            let all = components.entry(kind).or_insert_with(|| json!({}));
            for (component, value) in entries(some) {
                all[format!("{name}_{component}")] = value;
            }
        }
        for (path, item) in entries(part["paths"].take()) {
            let there = paths.entry(path.clone()).or_insert_with(|| json!({}));
            for (method, mut operation) in entries(item).filter(|(m, _)| METHODS.contains(&m.as_str())) {
                if there.get(&method).is_some() {
                    clashes.push(format!("{name}: {} {path}", method.to_uppercase()));
                    continue;
                }
                let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
                if !ids.insert(id.clone()) {
                    clashes.push(format!("{name}: operation id {id}"));
                    operation["operationId"] = format!("{name}_{id}").into();
                }
                tags.extend(
                    operation["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
                );
                there[method] = operation;
            }
        }
    }
    let tags: Vec<Value> = tags.into_iter().map(|tag| json!({"name": tag})).collect();
    let document = json!({"openapi": "3.1.0", "info": info, "tags": tags, "paths": paths, "components": components});
    Merged { document, clashes }
}

fn entries(value: Value) -> impl Iterator<Item = (String, Value)> {
    let map = if let Value::Object(map) = value { map } else { Map::new() };
    map.into_iter()
}

/// References and security requirements get the service's name before theirs.
fn rename(value: &mut Value, service: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref")
                && let Some((kind, name)) = reference.strip_prefix("#/components/").and_then(|r| r.split_once('/'))
            {
                *reference = format!("#/components/{kind}/{service}_{name}");
            }
            if let Some(Value::Array(requirements)) = map.get_mut("security") {
                for requirement in requirements.iter_mut().filter_map(Value::as_object_mut) {
                    *requirement = requirement.iter().map(|(k, v)| (format!("{service}_{k}"), v.clone())).collect();
                }
            }
            map.values_mut().for_each(|value| rename(value, service));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, service)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str, kind: &str) -> Value {
        json!({
            "paths": {path: {"get": {
                "operationId": "read",
                "tags": ["t"],
                "security": [{"sig": []}],
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Same"}}}}},
            }}},
            "components": {
                "schemas": {"Same": {"type": kind, "items": {"$ref": "#/components/schemas/Same"}}},
                "securitySchemes": {"sig": {"type": "apiKey"}},
            },
        })
    }

    #[test]
    fn types_of_one_name_stay_apart() {
        let (one, two) = (part("/one", "string"), part("/two", "integer"));
        let Merged { document, clashes } = merge(json!({"title": "x"}), [("one", one), ("two", two)]);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["one_Same"]["type"], "string");
        assert_eq!(schemas["two_Same"]["type"], "integer");
        assert_eq!(schemas["two_Same"]["items"]["$ref"], "#/components/schemas/two_Same");
        let operation = &document["paths"]["/two"]["get"];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(schema["$ref"], "#/components/schemas/two_Same");
        assert_eq!(operation["security"], json!([{"two_sig": []}]));
        assert_eq!(operation["operationId"], "two_read", "ids are unique");
        assert_eq!(clashes, ["two: operation id read"]);
    }

    #[test]
    fn a_call_that_two_services_claim_is_the_firsts() {
        let (one, two) = (part("/same", "string"), part("/same", "integer"));
        let merged = merge(json!({}), [("one", one), ("two", two)]);
        assert_eq!(merged.clashes, ["two: GET /same"]);
        let read = &merged.document["paths"]["/same"]["get"]["responses"]["200"];
        assert_eq!(read["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/one_Same");
    }
}
