use serde::{Deserialize, Serialize};
use service_kit::settings::{SecretUrl, Section};
use std::net::{Ipv4Addr, SocketAddr};
use utoipa::ToSchema;

/// `[friends]`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FriendsSettings {
    /// Where the gateway reaches it.
    #[schema(value_type = String, format = "address:port")]
    pub listen: SocketAddr,
    /// Where the other services, probes and scrapers reach it.
    #[schema(value_type = String, format = "address:port")]
    pub internal_listen: SocketAddr,
    /// `postgres://…` or `sqlite://…`. Empty: `friends.db` in `data_dir`.
    pub database_url: SecretUrl,
    /// Database threads, each with one connection; 0: four per core on PostgreSQL, one per core on SQLite.
    pub database_threads: usize,
    /// Friends of one account, 1–50,000: a whole list is one answer.
    pub max_friends: i64,
    /// Rows with dealState 0 of one account, 1–10,000,000.
    pub max_pending: i64,
}

impl Default for FriendsSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8084)),
            internal_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9084)),
            database_url: SecretUrl::default(),
            database_threads: 0,
            max_friends: 5_000,
            max_pending: 50_000,
        }
    }
}

impl Section for FriendsSettings {
    const NAME: &'static str = "friends";

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

    fn validate(&self) -> Result<(), String> {
        if !(1..=50_000).contains(&self.max_friends) {
            return Err("friends.max_friends: must be 1 to 50000".into());
        }
        if !(1..=10_000_000).contains(&self.max_pending) {
            return Err("friends.max_pending: must be 1 to 10000000".into());
        }
        Ok(())
    }
}
