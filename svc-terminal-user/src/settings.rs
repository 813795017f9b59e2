use serde::{Deserialize, Serialize};
use service_kit::settings::{SecretUrl, Section};
use std::net::{Ipv4Addr, SocketAddr};

/// `[terminal_user]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TerminalUserSettings {
    pub listen: SocketAddr,
    pub internal_listen: SocketAddr,
    /// `postgres://…` or `sqlite://…`. Empty: `terminal_user.db` in `data_dir`.
    pub database_url: SecretUrl,
    /// Database threads, each with one connection; 0: four per core on PostgreSQL, one per core on SQLite.
    pub database_threads: usize,
}

impl Default for TerminalUserSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            internal_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9082)),
            database_url: SecretUrl::default(),
            database_threads: 0,
        }
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
        Vec::new()
    }
}
