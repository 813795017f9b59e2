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
}

impl Default for TerminalUserSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            internal_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9082)),
            database_url: SecretUrl::default(),
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

    fn development_defaults(&self) -> Vec<&'static str> {
        Vec::new()
    }
}
