use serde::{Deserialize, Serialize};
use service_kit::settings::{SecretUrl, Section};
use std::net::{Ipv4Addr, SocketAddr};
use utoipa::ToSchema;

/// `[groups]`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GroupsSettings {
    /// Where the gateway reaches it.
    #[schema(value_type = String, format = "address:port")]
    pub listen: SocketAddr,
    /// Where the other services, probes and scrapers reach it.
    #[schema(value_type = String, format = "address:port")]
    pub internal_listen: SocketAddr,
    /// `postgres://…` or `sqlite://…`. Empty: `groups.db` in `data_dir`.
    pub database_url: SecretUrl,
    /// Database threads, each with one connection; 0: four per core on PostgreSQL, one per core on SQLite.
    pub database_threads: usize,
    /// Members of one group, 1–10,000,000.
    pub max_members: u32,
    /// Groups that one user may be in before he joins another, 1–100,000. Groups that he makes and memberships that a
    /// replaced key brings with it count, and are refused to nobody.
    pub max_groups_per_user: u32,
}

impl Default for GroupsSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8083)),
            internal_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9083)),
            database_url: SecretUrl::default(),
            database_threads: 0,
            max_members: 100_000,
            max_groups_per_user: 5_000,
        }
    }
}

impl Section for GroupsSettings {
    const NAME: &'static str = "groups";

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
        if !(1..=10_000_000).contains(&self.max_members) {
            return Err("groups.max_members: must be 1 to 10000000".into());
        }
        if !(1..=100_000).contains(&self.max_groups_per_user) {
            return Err("groups.max_groups_per_user: must be 1 to 100000".into());
        }
        Ok(())
    }
}
