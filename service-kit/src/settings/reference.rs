//! The settings as a reference for people, out of the settings' own types: keys, types and meaning from their schemas
//! (which take the comments along), defaults from `Default`.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `gateway.limits.body`; a part in angle brackets is a name of one's own.
    pub key: String,
    pub kind: String,
    pub default: String,
    pub meaning: String,
}

impl Setting {
    /// `KITH__GATEWAY__LIMITS__BODY`.
    pub fn variable(&self) -> String {
        format!("KITH__{}", self.key.replace('.', "__").to_uppercase())
    }
}

/// All settings of a section; of the top level with an empty name.
pub fn settings<T: ToSchema + Default + Serialize>(section: &str) -> Vec<Setting> {
    let mut types = Vec::<(String, RefOr<Schema>)>::new();
    T::schemas(&mut types);
    let types = types.into_iter().map(|(name, schema)| (name, to_json(&schema))).collect();
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    let mut found = Vec::new();
    Walk { types: &types, found: &mut found }.object(section, &to_json(&T::schema()), Some(&defaults));
    found
}

/// A table of settings, in Markdown.
pub fn table(settings: &[Setting]) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let mut out = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for setting in settings {
        let Setting { key, kind, default, meaning } = setting;
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        out.push_str(&format!(
            "| `{key}`<br>`{}` | {} | {default} | {} |\n",
            setting.variable(),
            cell(kind),
            cell(meaning)
        ));
    }
    out
}

fn to_json(schema: &RefOr<Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

struct Walk<'a> {
    types: &'a BTreeMap<String, Value>,
    found: &'a mut Vec<Setting>,
}

impl Walk<'_> {
    fn object(&mut self, path: &str, schema: &Value, default: Option<&Value>) {
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        for (name, property) in &properties {
            let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.property(&key, property, default.and_then(|d| d.get(name)));
        }
    }

    fn property(&mut self, key: &str, property: &Value, default: Option<&Value>) {
        let resolved = self.resolve(property);
        let meaning = described(property).or_else(|| described(&resolved)).unwrap_or_default().to_owned();
        if resolved["properties"].is_object() {
            return self.object(key, &resolved, default.filter(|d| d.is_object()));
        }
        if resolved["additionalProperties"].is_object() {
            let inner = self.resolve(&resolved["additionalProperties"]);
            let name = format!("{key}.<name>");
            if inner["properties"].is_object() {
                return self.object(&name, &inner, None);
            }
            return self.push(
                &name,
                &inner,
                default.filter(|d| d.as_object().is_some_and(|d| !d.is_empty())),
                &meaning,
            );
        }
        self.push(key, &resolved, default, &meaning);
    }

    fn push(&mut self, key: &str, schema: &Value, default: Option<&Value>, meaning: &str) {
        self.found.push(Setting {
            key: key.to_owned(),
            kind: kind(schema),
            default: default.map(shown).unwrap_or_default(),
            meaning: meaning.to_owned(),
        });
    }

    /// What a reference stands for, also one that may be absent.
    fn resolve(&self, schema: &Value) -> Value {
        let parts = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|key| schema[key].as_array());
        if let Some(only) = parts.and_then(|parts| parts.iter().find(|part| part["type"] != "null")) {
            return self.resolve(only);
        }
        let named = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()).and_then(|name| self.types.get(name));
        named.map_or_else(|| schema.clone(), |named| self.resolve(named))
    }
}

/// What is said of a schema, or, where it may be absent, of what it is otherwise.
fn described(schema: &Value) -> Option<&str> {
    let parts = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|key| schema[key].as_array());
    let of_part = || parts.into_iter().flatten().find_map(|part| part["description"].as_str());
    schema["description"].as_str().or_else(of_part)
}

fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().filter_map(Value::as_str).map(|v| format!("`{v}`")).collect::<Vec<_>>().join(" or ");
    }
    let named = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    match (named, schema["format"].as_str()) {
        ("integer" | "number", Some("seconds")) => "seconds".to_owned(),
        ("integer" | "number", _) => "integer".to_owned(),
        ("array", _) => "list".to_owned(),
        (_, Some(format)) => format.to_owned(),
        ("boolean", None) => "true or false".to_owned(),
        ("string", None) => "text".to_owned(),
        (other, None) => other.to_owned(),
    }
}

fn shown(default: &Value) -> String {
    match default {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k} = {}", shown(v))).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
