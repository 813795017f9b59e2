//! What the gateway itself answers, and what the document says of the whole.

use serde_json::{Value, json};
use service_kit::openapi::Document;

pub fn info(missing: &[&str]) -> Value {
    let mut about = "The control plane of an instant-messaging back end. Four families of calls, each in the words of \
                     an API document of its own, over one set of accounts. HTTP is 200 whenever a call was judged, \
                     failures included: look at `rc`, `errCode`, `ret` or `statusCode`. A slash at the end of a path \
                     is optional, unknown parameters are ignored, and numbers may be sent as strings and strings as \
                     numbers."
        .to_owned();
    if !missing.is_empty() {
        about.push_str(&format!(" Not reachable so far, and therefore left out: {}.", missing.join(", ")));
    }
    json!({
        "title": "Kith",
        "version": env!("CARGO_PKG_VERSION"),
        "description": about,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    })
}

pub fn document() -> Document {
    let page = |id: &str, summary: &str, kind: &str| {
        json!({"get": {
            "operationId": id,
            "summary": summary,
            "responses": {"200": {"description": "As said", "content": {kind: {"schema": {"type": "string"}}}}},
            "x-bare": true,
        }})
    };
    let mut ready = page("ready", "Whether the gateway takes requests", "text/plain");
    ready["get"]["responses"]["503"] =
        json!({"description": "It is about to end", "content": {"text/plain": {"schema": {"type": "string"}}}});
    ready["get"]["x-failures"] = json!({"503": ["Overloaded"]});
    let mut home = page("home", "A page for people; says what to do with a code that a camera read", "text/html");
    home["get"]["parameters"] = json!([{"name": "matrix_tuserurms", "in": "query", "required": false,
        "schema": {"type": "string"}, "description": "The code of a binding page"}]);
    let document = json!({"get": {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {
            "200": {"description": "The document", "content": {"application/json": {"schema": {
                "type": "object", "required": ["openapi", "info", "paths"]}}}},
            "304": {"description": "Still the same"},
        },
        "x-bare": true,
    }});
    Document::complete(json!({"paths": {
        "/": home,
        "/healthz": page("alive", "Whether the gateway runs", "text/plain"),
        "/readyz": ready,
        "/openapi.json": document,
        "/docs": page("docs", "This document, to be read", "text/html"),
        "/docs/docs.css": page("docs_style", "The style of that page", "text/css"),
        "/docs/docs.js": page("docs_script", "The script of that page", "text/javascript"),
    }}))
}
