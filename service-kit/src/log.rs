//! The log: one line an event on standard error, as text or JSON, through `env_logger`.
//!
//! Lines of a request carry its id. Never logged: queries, bodies, secrets, tokens, passwords.

use crate::settings::LogFormat;
use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{Error as KvError, Key, Value, VisitSource};
use serde_json::{Map, json};
use std::io::{self, Write};

tokio::task_local! {
    /// Id of the request that the task serves.
    pub(crate) static REQUEST_ID: String;
}

/// The id of the request that this task serves, if any.
pub fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Runs `f` with lines that carry the id of a request, where no task of its own serves the request.
pub fn with_request_id<R>(id: &str, f: impl FnOnce() -> R) -> R {
    REQUEST_ID.sync_scope(id.to_owned(), f)
}

/// actix-http tells every malformed request and every client that leaves as an error: anyone could fill the log.
const DEFAULT_LEVELS: &str = "info,actix_http=off,actix_server=warn";

/// Starts logging. Levels come from `RUST_LOG`, default `info`. A second call in one process does nothing.
pub fn start(format: LogFormat) {
    let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(DEFAULT_LEVELS));
    match format {
        LogFormat::Text => builder.format(text),
        LogFormat::Json => builder.format(json_line),
    };
    // Refused only where a logger is there already: tests start many servers in one process.
    let _ = builder.try_init();
}

fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    write!(out, "{} {:<5} {}", out.timestamp_millis(), record.level(), record.target())?;
    if let Some(id) = request_id() {
        write!(out, " [{id}]")?;
    }
    write!(out, " {}", OneLine(&record.args().to_string()))?;
    let mut pairs = Pairs(Map::new());
    let _ = record.key_values().visit(&mut pairs);
    for (key, value) in pairs.0 {
        match value {
            serde_json::Value::String(s) => write!(out, " {key}={}", OneLine(&s))?,
            other => write!(out, " {key}={other}")?,
        }
    }
    writeln!(out)
}

fn json_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut pairs = Pairs(Map::new());
    pairs.0.insert("time".into(), json!(out.timestamp_millis().to_string()));
    pairs.0.insert("level".into(), json!(record.level().as_str().to_ascii_lowercase()));
    pairs.0.insert("target".into(), json!(record.target()));
    if let Some(id) = request_id() {
        pairs.0.insert("request_id".into(), json!(id));
    }
    pairs.0.insert("message".into(), json!(record.args().to_string()));
    let _ = record.key_values().visit(&mut pairs);
    writeln!(out, "{}", serde_json::Value::Object(pairs.0))
}

struct Pairs(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), KvError> {
        let value = value.to_u64().map_or_else(|| json!(value.to_string()), |n| json!(n));
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}

/// Text from outside on one line: line breaks and other controls would forge log lines.
struct OneLine<'a>(&'a str);

impl std::fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    use super::*;
    use crate::testkit::fuzz::target;

    #[test]
    fn log_line() {
        target(env!("CARGO_MANIFEST_DIR"), "log_line", |input| {
            let text = String::from_utf8_lossy(input);
            let line = OneLine(&text).to_string();
            assert!(!line.contains(char::is_control) && line.len() <= 6 * text.len(), "{line:?}");
            if !text.contains(char::is_control) {
                assert_eq!(line, text);
            }
        });
    }
}
