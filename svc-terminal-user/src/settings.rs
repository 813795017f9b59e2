use serde::{Deserialize, Serialize};
use service_kit::settings::{Seconds, SecretUrl, Section};
use std::net::{Ipv4Addr, SocketAddr};
use utoipa::ToSchema;

/// `[terminal_user]`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TerminalUserSettings {
    /// Where the gateway reaches it.
    #[schema(value_type = String, format = "address:port")]
    pub listen: SocketAddr,
    /// Where the other services, probes and scrapers reach it.
    #[schema(value_type = String, format = "address:port")]
    pub internal_listen: SocketAddr,
    /// `postgres://…` or `sqlite://…`. Empty: `terminal_user.db` in `data_dir`.
    pub database_url: SecretUrl,
    /// Database threads, each with one connection; 0: four per core on PostgreSQL, one per core on SQLite.
    pub database_threads: usize,
    /// Whether a look-up by the public user id alone shows tokens and keys, and whoever has a key may replace it
    /// without a password, as the documents have it. Unset: yes, on loopback only.
    pub secrets_by_user_id: Option<bool>,
    /// Activity records of one kind, and courses, that one key may have in one app, 1–1,000,000. What comes with a
    /// replaced key counts, and is refused to nobody.
    pub max_records: u32,
    /// Life of a binding code, 1–300 s.
    pub code_life: Seconds,
    /// Life of a session of the binding page, 1–1800 s.
    pub session_life: Seconds,
}

/// The contract's own figures; a setting may only be stricter.
const CODE_LIFE: Seconds = Seconds(300);
const SESSION_LIFE: Seconds = Seconds(1800);

impl Default for TerminalUserSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            internal_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9082)),
            database_url: SecretUrl::default(),
            database_threads: 0,
            secrets_by_user_id: None,
            max_records: 10_000,
            code_life: CODE_LIFE,
            session_life: SESSION_LIFE,
        }
    }
}

impl TerminalUserSettings {
    pub fn secrets_by_user_id(&self) -> bool {
        self.secrets_by_user_id.unwrap_or(true)
    }
}

impl Section for TerminalUserSettings {
    const NAME: &'static str = "terminal_user";

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn internal_listen(&self) -> SocketAddr {
        self.internal_listen
    }

    fn database(&self) -> Option<(&SecretUrl, usize)> {
        Some((&self.database_url, self.database_threads))
    }

    fn development_defaults(&self) -> Vec<&'static str> {
        self.secrets_by_user_id.is_none().then_some("terminal_user.secrets_by_user_id").into_iter().collect()
    }

    fn validate(&self) -> Result<(), String> {
        if !(1..=1_000_000).contains(&self.max_records) {
            return Err("terminal_user.max_records: must be 1 to 1000000".into());
        }
        if !(Seconds(1)..=CODE_LIFE).contains(&self.code_life) {
            return Err("terminal_user.code_life: must be 1 to 300".into());
        }
        if !(Seconds(1)..=SESSION_LIFE).contains(&self.session_life) {
            return Err("terminal_user.session_life: must be 1 to 1800".into());
        }
        Ok(())
    }
}
