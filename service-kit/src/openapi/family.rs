//! What the calls of each family have in common.

use crate::error::{Code, Error};
use crate::wire::Dialect;
use serde_json::{Map, Value, json};

/// The gateway's own answers, by HTTP status (contract §0).
pub const TRANSPORT: [(u16, Code); 7] = [
    (404, Code::UnknownPath),
    (405, Code::WrongMethod),
    (413, Code::BodyTooLarge),
    (429, Code::RateLimited),
    (502, Code::BadUpstream),
    (503, Code::UpstreamDown),
    (504, Code::UpstreamTimeout),
];

pub fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::RcRm => "RcRm",
        Dialect::ErrCodeMsg => "ErrCodeMsg",
        Dialect::RetReason => "RetReason",
        Dialect::StatusCodeMsg => "StatusCodeMsg",
        Dialect::Internal => "Internal",
    }
}

/// The heading that a family's calls stand under.
pub fn tag(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::RcRm => "A: terminal users",
        Dialect::ErrCodeMsg => "B: accounts and tokens, for app servers",
        Dialect::RetReason => "C: accounts and groups",
        Dialect::StatusCodeMsg => "D: friends",
        Dialect::Internal => "internal",
    }
}

/// Reasons for which any call of the family may fail, at HTTP 200.
pub fn common(dialect: Dialect) -> &'static [Code] {
    use Code::*;
    match dialect {
        Dialect::ErrCodeMsg => &[BadParameter, NotAuthorized, BodyTooLarge, RateLimited, Internal, Busy],
        Dialect::StatusCodeMsg => &[
            WrongVersion,
            BadParameter,
            UnknownApp,
            NoAuthorization,
            AuthorizationNotBase64,
            AuthorizationMalformed,
            AuthorizationWithoutId,
            AuthorizationWithoutTime,
            AuthorizationTimeMalformed,
            AuthorizationExpired,
            AuthorizationOfOtherApp,
            NoSignature,
            WrongSignature,
            EmptyBody,
            BadBody,
            RateLimited,
            Internal,
        ],
        Dialect::RcRm | Dialect::RetReason | Dialect::Internal => &[],
    }
}

/// Keys and values of a success, as an example has them.
pub fn success_value(dialect: Dialect) -> Map<String, Value> {
    let value = match dialect {
        Dialect::RcRm => json!({"rc": "1", "rm": ""}),
        Dialect::ErrCodeMsg => json!({"errCode": 0, "errMsg": ""}),
        Dialect::RetReason => json!({"ret": "ok", "reason": ""}),
        Dialect::StatusCodeMsg => json!({"statusCode": "000000", "statusMsg": "success"}),
        Dialect::Internal => json!({}),
    };
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// A failure as it is answered.
pub fn failure_value(dialect: Dialect, code: Code) -> Value {
    serde_json::from_str(&dialect.failure(&Error::from(code)).0).unwrap_or_default()
}

/// Of a failure its code, where the family has codes.
pub fn number(dialect: Dialect, code: Code) -> Option<Value> {
    let key = match dialect {
        Dialect::ErrCodeMsg => "errCode",
        Dialect::StatusCodeMsg => "statusCode",
        Dialect::RcRm | Dialect::RetReason | Dialect::Internal => return None,
    };
    failure_value(dialect, code).get(key).cloned()
}

/// The envelope of a success.
pub fn success(dialect: Dialect) -> Value {
    let value = success_value(dialect);
    let constants = value.iter().map(|(key, value)| (key.clone(), constant(value)));
    json!({
        "type": "object",
        "properties": constants.collect::<Map<_, _>>(),
        "required": value.keys().collect::<Vec<_>>(),
    })
}

/// A failure for one of these reasons: the two keys of the envelope and nothing else.
pub fn failure(dialect: Dialect, codes: &[Code]) -> Value {
    let sample = failure_value(dialect, codes.first().copied().unwrap_or(Code::Internal));
    let sample = sample.as_object().cloned().unwrap_or_default();
    let mut numbers: Vec<Value> = codes.iter().filter_map(|code| number(dialect, *code)).collect();
    numbers.sort_by_key(ToString::to_string);
    numbers.dedup();
    let property = |(key, value): (&String, &Value)| {
        let schema = match key.as_str() {
            "rm" | "errMsg" | "reason" | "statusMsg" => {
                json!({"type": "string", "minLength": 1, "description": "Why, in English: names field and rule"})
            }
            _ if numbers.is_empty() => constant(value),
            _ => json!({"type": kind(value), "enum": numbers}),
        };
        (key.clone(), schema)
    };
    json!({
        "type": "object",
        "properties": sample.iter().map(property).collect::<Map<_, _>>(),
        "required": sample.keys().collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn constant(value: &Value) -> Value {
    json!({"type": kind(value), "const": value})
}

fn kind(value: &Value) -> &'static str {
    if value.is_string() { "string" } else { "integer" }
}

/// What the paths of family D begin with.
pub fn path_parameters() -> [Value; 2] {
    [
        json!({"name": "SoftVersion", "in": "path", "required": true,
            "schema": {"type": "string", "enum": ["2013-12-26", "2016-08-15"]}}),
        json!({"name": "appId", "in": "path", "required": true, "description": "The caller's app",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
            "example": "20150314000000110000000000000010"}),
    ]
}

/// Family D's signature, in the two places that it stands in.
pub fn signature() -> Value {
    json!({
        "Authorization": {"type": "apiKey", "in": "header", "name": "Authorization",
            "description": "Base64 of `appId:timestamp`; the timestamp is yyyyMMddHHmmss in `utc_offset`, within 24 hours"},
        "sig": {"type": "apiKey", "in": "query", "name": "sig",
            "description": "MD5 (hex, either case) of appId + auth_token + the timestamp of Authorization"},
    })
}
