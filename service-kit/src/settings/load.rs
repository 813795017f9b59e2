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
        Self(e.to_string())
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
        if let Some(token) = self.of_gateway("token") {
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

fn typed<T: for<'de> Deserialize<'de>>(prefix: &str, value: Value) -> Result<T, SettingsError> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let path = match (prefix, path.as_str()) {
            ("", ".") => String::new(),
            ("", path) => format!("{path}: "),
            (prefix, ".") => format!("{prefix}: "),
            (prefix, path) => format!("{prefix}.{path}: "),
        };
        SettingsError(format!("{path}{}", e.into_inner()))
    })
}
