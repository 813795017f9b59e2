//! Calls that take GET and POST: families A and C read parameters from a query and from a body (contract §0). Their
//! annotations describe the GET; the POST has the same parameters in its body, and an operation id of its own.

use serde_json::{Map, Value, json};

pub const FORM: &str = "application/x-www-form-urlencoded";
pub const MULTIPART: &str = "multipart/form-data";
pub const JSON: &str = "application/json";

/// The POST of a call whose GET is `get`, which gets an operation id of its own too.
pub fn twin(get: &mut Value, takes_json: bool) -> Value {
    let mut post = get.clone();
    for (operation, suffix) in [(&mut *get, "get"), (&mut post, "post")] {
        let id = operation["operationId"].as_str().unwrap_or_default();
        operation["operationId"] = format!("{id}_{suffix}").into();
    }
    let parameters = post["parameters"].take();
    let all = parameters.as_array().cloned().unwrap_or_default();
    let (query, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|parameter| parameter["in"] == "query");
    post["parameters"] = rest.into();
    let file = get.as_object_mut().and_then(|get| get.remove("x-file"));
    if let Some(post) = post.as_object_mut() {
        post.remove("x-file");
        if !query.is_empty() {
            post.insert("requestBody".into(), body(&query, file.as_ref().and_then(Value::as_str), takes_json));
        }
    }
    post
}

fn body(query: &[Value], file: Option<&str>, takes_json: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in query {
        let name = parameter["name"].as_str().unwrap_or_default();
        let mut schema = parameter["schema"].clone();
        if let (Some(schema), Some(text)) = (schema.as_object_mut(), parameter.get("description")) {
            schema.insert("description".into(), text.clone());
        }
        if parameter["required"] == true {
            required.push(name.to_owned());
        }
        properties.insert(name.to_owned(), schema);
    }
    let form = json!({"type": "object", "properties": properties, "required": required});
    let mut content = Map::new();
    let mut multipart = form.clone();
    if let Some(file) = file {
        multipart["properties"][file] = json!({"type": "string", "format": "binary"});
        required.push(file.to_owned());
        multipart["required"] = required.into();
    } else {
        content.insert(FORM.into(), json!({"schema": form}));
    }
    if takes_json {
        content.insert(JSON.into(), json!({"schema": form}));
    }
    content.insert(MULTIPART.into(), json!({"schema": multipart}));
    json!({"content": content, "description": "A parameter may stand in the query as well; the body's counts."})
}
