//! From what annotations say to a whole document.

use super::methods::{FORM, JSON, MULTIPART, twin};
use super::{METHODS, answers, codes, family, seal};
use crate::wire::Dialect;
use serde_json::{Map, Value, json};

pub fn complete(document: &mut Value) {
    let mut dialects = Vec::new();
    let mut payloads = Vec::new();
    let mut paths = document["paths"].as_object().cloned().unwrap_or_default();
    for (path, item) in &mut paths {
        let dialect = Dialect::of_path(path);
        if !dialects.contains(&dialect) {
            dialects.push(dialect);
        }
        let two_ways = matches!(dialect, Dialect::RcRm | Dialect::RetReason);
        if two_ways && item.get("post").is_none() && item.get("get").is_some() {
            item["post"] = twin(&mut item["get"], dialect == Dialect::RetReason);
        }
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                seal::references(&operation["responses"], &mut payloads);
                finish(operation, dialect);
            }
        }
    }
    document["paths"] = Value::Object(paths);

    let mut schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    seal::seal(&mut schemas, payloads);
    let mut responses = answers::bare();
    for dialect in &dialects {
        schemas.insert(format!("{}Success", family::name(*dialect)), family::success(*dialect));
        responses.extend(answers::shared(*dialect));
    }
    document["components"] = json!({"schemas": schemas, "responses": responses});
    if dialects.contains(&Dialect::StatusCodeMsg) {
        document["components"]["securitySchemes"] = family::signature();
    }
    document["openapi"] = "3.1.0".into();
}

/// Adds to an operation what its family has in common.
fn finish(operation: &mut Map<String, Value>, dialect: Dialect) {
    let mut taken = |name: &str| operation.remove(name).unwrap_or_default();
    let (fails, is_bare) = (codes(&taken("x-fails")), taken("x-bare") == true);
    let failures = taken("x-failures");
    taken("x-file");
    if dialect == Dialect::StatusCodeMsg {
        let own = taken("parameters").as_array().cloned().unwrap_or_default();
        let own = own.into_iter().filter(|parameter| parameter["in"] != "path");
        operation.insert("parameters".into(), family::path_parameters().into_iter().chain(own).collect());
        operation.insert("security".into(), json!([{"Authorization": [], "sig": []}]));
    }
    if dialect == Dialect::RetReason
        && let Some(content) = operation.get_mut("requestBody").and_then(|body| body.get_mut("content"))
    {
        let read = content[JSON].clone();
        for kind in [FORM, MULTIPART] {
            content[kind] = json!({"schema": read["schema"]});
        }
    }
    let tag = if is_bare && dialect == Dialect::ErrCodeMsg { "Pages, media and sockets" } else { family::tag(dialect) };
    operation.insert("tags".into(), json!([tag]));

    let mut responses = operation.remove("responses").and_then(|r| r.as_object().cloned()).unwrap_or_default();
    if let Some(answer) = responses.get_mut("200") {
        let own_headers = answer["headers"].as_object().cloned().unwrap_or_default();
        if !is_bare {
            answers::wrap(answer, dialect, &fails);
        }
        let mut headers = answers::headers(dialect, !own_headers.contains_key("Cache-Control"));
        headers.extend(own_headers);
        answer["headers"] = headers.into();
    }
    for (status, names) in failures.as_object().into_iter().flatten() {
        if let Some(answer) = responses.get_mut(status) {
            answers::also_fails(answer, dialect, &codes(names));
        }
    }
    for kind in responses.values_mut().filter_map(|answer| answer.get_mut("content")?.as_object_mut()) {
        describe_bytes(kind);
    }
    if let Some(Value::Object(kinds)) = operation.get_mut("requestBody").and_then(|body| body.get_mut("content")) {
        describe_bytes(kinds);
    }
    for (status, answer) in answers::of_any_call(dialect) {
        // What the annotation says itself counts.
        responses.entry(status).or_insert(answer);
    }
    operation.insert("responses".into(), responses.into());
}

/// Bodies that are neither JSON, a form nor text are bytes.
fn describe_bytes(content: &mut Map<String, Value>) {
    for (kind, described) in content.iter_mut() {
        if ![JSON, FORM, MULTIPART].contains(&kind.as_str()) && !kind.starts_with("text/") {
            described["schema"] = json!({"type": "string", "format": "binary"});
        }
    }
}
