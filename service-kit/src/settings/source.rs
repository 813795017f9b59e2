//! The environment as a source: `KITH__SECTION__KEY`, and `KITH__SECTION__KEY_FILE` for a value in a file.
//!
//! Values stay text: the `config` crate's own source either parses them (long ids become floats) or knows no
//! files.

use config::{ConfigError, Map, Source, Value, ValueKind};
use std::ffi::OsString;
use std::fs;

const PREFIX: &str = "KITH__";
const ORIGIN: &str = "the environment";

#[derive(Debug, Clone)]
pub(super) struct Environment(pub Vec<(String, String)>);

impl Environment {
    pub fn of_process() -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let all = std::env::vars_os();
        Self::of(all)
    }

    fn of(all: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        // A setting that is dropped is a default in force that nobody chose.
        let text = |shown: &str, s: OsString| {
            s.into_string().map_err(|_not_text| ConfigError::Message(format!("{shown}: not UTF-8")))
        };
        let ours = all.filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        ours.map(|(name, value)| {
            let shown = name.to_string_lossy().into_owned();
            Ok((text(&shown, name)?, text(&shown, value)?))
        })
        .collect::<Result<_, _>>()
        .map(Self)
    }
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut values = Map::new();
        for (name, value) in &self.0 {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            let key = key.to_ascii_lowercase();
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if key.is_empty() || !key.chars().all(plain) || key.split("__").any(str::is_empty) {
                return Err(ConfigError::Message(format!("{name}: not the name of a setting")));
            }
            let (key, value) = match key.strip_suffix("_file") {
                None => (key, value.clone()),
                Some(key) => {
                    let text =
                        fs::read_to_string(value).map_err(|e| ConfigError::Message(format!("{name}: {value}: {e}")))?;
                    (key.to_owned(), text.trim_end_matches(['\r', '\n']).to_owned())
                }
            };
            let key = key.replace("__", ".");
            if values.contains_key(&key) {
                return Err(ConfigError::Message(format!("{name}: given twice, as a value and as a file")));
            }
            values.insert(key, Value::new(Some(&ORIGIN.to_owned()), ValueKind::String(value)));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_setting_that_is_not_utf_8_is_an_error_that_names_it() {
        let bad = || OsString::from_vec(b"s3cret\xff".to_vec());
        let error = Environment::of([("KITH__INTERNAL__TOKEN".into(), bad())].into_iter()).err();
        assert_eq!(error.map(|e| e.to_string()).as_deref(), Some("KITH__INTERNAL__TOKEN: not UTF-8"));
        let name = OsString::from_vec(b"KITH__A\xff".to_vec());
        assert!(Environment::of([(name, "x".into())].into_iter()).is_err());
        assert!(Environment::of([("OTHER".into(), bad())].into_iter()).is_ok());
    }
}
