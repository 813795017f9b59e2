//! What a database URL means: backend, connection string, file.

use super::{DbSettings, OpenError};
use crate::settings::database;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::PathBuf;
use std::time::Duration;

/// Where connections go.
#[derive(Clone)]
pub(super) enum Target {
    /// A libpq URL with our time-outs merged in.
    Pg(String),
    Sqlite {
        path: PathBuf,
        /// How long SQLite waits for another process's lock.
        busy: Duration,
    },
}

impl Target {
    pub fn parse(settings: &DbSettings) -> Result<Self, OpenError> {
        let url = settings.url.expose();
        database::check(url).map_err(|why| OpenError::Settings(why.into()))?;
        match url.strip_prefix("sqlite://") {
            // Shorter than the caller's patience, so that a job that found the file locked is answered by us.
            Some(path) => Ok(Self::Sqlite { path: sqlite_path(path), busy: settings.wait.mul_f32(0.75) }),
            None => Ok(Self::Pg(postgres_url(url, &settings.application_name, settings.wait))),
        }
    }
}

fn sqlite_path(path: &str) -> PathBuf {
    // SQLite gives names such as "file:…" a meaning of their own; a path never begins so.
    if path.starts_with('/') { path.into() } else { PathBuf::from(".").join(path) }
}

/// Adds what makes libpq and the server give up in time, wherever the operator has not said otherwise.
fn postgres_url(url: &str, application_name: &str, wait: Duration) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parameters: Vec<String> = query.split('&').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    let has = |list: &[String], key: &str| list.iter().any(|p| p.split('=').next() == Some(key));
    let name = utf8_percent_encode(application_name, NON_ALPHANUMERIC).to_string();
    for (key, value) in [
        ("connect_timeout", "2"),
        // A peer that vanished without a word: unanswered data (ms), and silence while we wait for an answer.
        ("tcp_user_timeout", "5000"),
        ("keepalives_idle", "5"),
        ("keepalives_interval", "2"),
        ("keepalives_count", "3"),
        ("application_name", &name),
    ] {
        if !has(&parameters, key) {
            parameters.push(format!("{key}={value}"));
        }
    }
    // Callers are gone after `wait`: the server need not work much longer than that, nor hold locks for a client
    // that stopped in the middle of a transaction.
    let statement = (wait + Duration::from_secs(1)).as_millis();
    let mut options = String::new();
    let given = parameters.iter().find(|p| p.starts_with("options=")).cloned().unwrap_or_default();
    for (key, value) in [("statement_timeout", statement), ("idle_in_transaction_session_timeout", 10_000)] {
        if !given.contains(key) {
            options.push_str(&format!("%20-c%20{key}%3D{value}"));
        }
    }
    match parameters.iter_mut().find(|p| p.starts_with("options=")) {
        Some(given) => given.push_str(&options),
        None => parameters.push(format!("options={}", options.trim_start_matches("%20"))),
    }
    format!("{base}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const WAIT: Duration = Duration::from_secs(2);

    #[test]
    fn our_time_outs_are_merged_into_the_url() {
        assert_eq!(
            postgres_url("postgres://u:p@h/d", "kith im", WAIT),
            "postgres://u:p@h/d?connect_timeout=2&tcp_user_timeout=5000&keepalives_idle=5&keepalives_interval=2\
             &keepalives_count=3&application_name=kith%20im\
             &options=-c%20statement_timeout%3D3000%20-c%20idle_in_transaction_session_timeout%3D10000"
        );
    }

    #[test]
    fn what_the_operator_set_stays() {
        let url = postgres_url(
            "postgres://h/d?options=-c%20statement_timeout%3D9&connect_timeout=7&application_name=x&sslmode=require",
            "kith",
            WAIT,
        );
        assert!(url.contains("connect_timeout=7") && !url.contains("connect_timeout=2"), "{url}");
        assert!(url.contains("application_name=x") && !url.contains("kith"), "{url}");
        assert!(url.contains("statement_timeout%3D9%20-c%20idle_in_transaction_session_timeout%3D10000"), "{url}");
        assert!(!url.contains("statement_timeout%3D3000"), "{url}");
        assert!(url.contains("sslmode=require"), "{url}");
    }

    #[test]
    fn urls_are_files_or_servers() {
        let parse = |url: &str| Target::parse(&DbSettings::new(url));
        let Target::Sqlite { path, .. } = parse("sqlite:///var/lib/k.db").unwrap() else { panic!() };
        assert_eq!(path, PathBuf::from("/var/lib/k.db"));
        let Target::Sqlite { path, .. } = parse("sqlite://data/k.db").unwrap() else { panic!() };
        assert_eq!(path, PathBuf::from("./data/k.db"));
        assert!(matches!(parse("postgresql://h/d").unwrap(), Target::Pg(_)));
        for bad in
            ["", "mysql://h/d", "sqlite::memory:", "sqlite://:memory:", "sqlite://", "sqlite://a.db?mode=ro", "a.db"]
        {
            assert!(matches!(parse(bad), Err(OpenError::Settings(_))), "{bad}");
        }
    }
}
