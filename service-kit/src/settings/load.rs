//! Reading the tree and handing out its parts.

use super::source::Environment;
use super::{Common, Section};
use crate::secret::Secret;
use config::{Config, ConfigError, File, FileFormat, Value, ValueKind};
use serde::Deserialize;
use std::fmt;
use std::path::Path;

/// Sections and the process that each belongs to.
const SECTIONS: [&str; 5] = ["gateway", "im_auth", "terminal_user", "groups", "friends"];

/// Read where no file is named, if it is there.
const DEFAULT_FILE: &str = "kith.toml";

/// What is wrong with the settings, naming the setting.
#[derive(Debug)]
pub struct SettingsError(String);

impl SettingsError {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

impl From<ConfigError> for SettingsError {
    fn from(e: ConfigError) -> Self {
        Self(without_values(&e))
    }
}

impl From<String> for SettingsError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The tree as read, before its parts have types.
#[derive(Debug, Clone)]
pub struct Loaded {
    top: Value,
    sections: Vec<(&'static str, Value)>,
}

impl Loaded {
    /// Reads `file`, or `kith.toml` in the working folder if there, and the environment over it.
    pub fn read(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::from_parts(file, Environment::of_process()?)
    }

    /// For tests: no file, and an environment of the test's own.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SettingsError> {
        let pairs = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self::build(None, Environment(pairs))
    }

    fn from_parts(file: Option<&Path>, environment: Environment) -> Result<Self, SettingsError> {
        match file {
            Some(file) => Self::build(Some(file), environment),
            None => {
                let default = Path::new(DEFAULT_FILE);
                Self::build(default.exists().then_some(default), environment)
            }
        }
    }

    fn build(file: Option<&Path>, environment: Environment) -> Result<Self, SettingsError> {
        let mut builder = Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml));
        }
        let config = builder.add_source(environment).build()?;
        let mut top = config.cache;
        let mut sections = Vec::new();
        if let ValueKind::Table(table) = &mut top.kind {
            for name in SECTIONS {
                let section =
                    table.remove(name).unwrap_or_else(|| Value::new(None, ValueKind::Table(config::Map::new())));
                sections.push((name, section));
            }
        }
        Ok(Self { top, sections })
    }

    /// The top level, validated.
    pub fn common(&self) -> Result<Common, SettingsError> {
        let mut common: Common = typed("", self.top.clone())?;
        if let Some(token) = self.of_gateway("token").filter(|token| !token.is_empty()) {
            common.gateway_token = Secret::new(token);
        }
        common.gateway_listen = self.of_gateway("listen").and_then(|address| address.parse().ok());
        common.validate()?;
        Ok(common)
    }

    /// Keys of another's section that every service needs: the token that proves the gateway, and where it listens.
    fn of_gateway(&self, key: &str) -> Option<String> {
        let (_, gateway) = self.sections.iter().find(|(name, _)| *name == "gateway")?;
        let table = gateway.clone().into_table().ok()?;
        table.get(key)?.clone().into_string().ok()
    }

    /// One process's section with the right types; the caller checks the rest.
    pub fn section_unchecked<S: Section>(&self) -> Result<S, SettingsError> {
        let value = self.sections.iter().find(|(name, _)| *name == S::NAME).map(|(_, v)| v.clone());
        typed(S::NAME, value.unwrap_or_else(|| Value::new(None, ValueKind::Table(config::Map::new()))))
    }

    /// One process's section, validated, development defaults refused off loopback.
    pub fn section<S: Section>(&self, common: &Common) -> Result<S, SettingsError> {
        let section: S = self.section_unchecked()?;
        section.validate()?;
        common.validate_database(&section)?;
        common.refuse_development_defaults(&section)?;
        Ok(section)
    }
}

/// What is wrong, without the value or the line that is: either may be a secret.
fn without_values(e: &ConfigError) -> String {
    match e {
        ConfigError::Type { unexpected, expected, origin, .. } => {
            let origin = origin.as_ref().map(|origin| format!(" in {origin}")).unwrap_or_default();
            without_value(&format!("invalid type: {unexpected}, expected {expected}{origin}"))
        }
        ConfigError::At { error, .. } => without_values(error),
        ConfigError::FileParse { uri, cause } => {
            format!("{}: {}", uri.as_deref().unwrap_or("the file"), without_line(&cause.to_string()))
        }
        ConfigError::Message(text) => without_value(text),
        other => other.to_string(),
    }
}

/// serde: `invalid type: string "s3cret", expected struct TokenSettings`.
fn without_value(text: &str) -> String {
    if let Some((kind, _)) = text.split_once(" does not have variant constructor ") {
        return format!("{kind} has no such value");
    }
    if !["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|begin| text.starts_with(begin)) {
        return text.to_owned();
    }
    let (found, expected) = text.rsplit_once(", expected ").unwrap_or((text, "another"));
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{kind}, expected {expected}")
}

/// The parser puts three lines between position and message: the line that is wrong and its frame.
fn without_line(text: &str) -> String {
    let Some((position, rest)) = text.split_once('\n').filter(|(_, rest)| rest.trim_start().starts_with('|')) else {
        return text.trim_end().to_owned();
    };
    let message: Vec<&str> = rest.lines().skip(3).collect();
    format!("{position}: {}", message.join(" "))
}

fn typed<T: for<'de> Deserialize<'de>>(prefix: &str, value: Value) -> Result<T, SettingsError> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let path = match (prefix, path.as_str()) {
            ("", ".") => String::new(),
            ("", path) => format!("{path}: "),
            (prefix, ".") => format!("{prefix}: "),
            (prefix, path) => format!("{prefix}.{path}: "),
        };
        SettingsError(format!("{path}{}", without_values(&e.into_inner())))
    })
}
