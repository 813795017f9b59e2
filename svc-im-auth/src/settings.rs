use serde::{Deserialize, Serialize};
use service_kit::Secret;
use service_kit::settings::{List, Network, SecretUrl, Section};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use utoipa::ToSchema;

/// `[im_auth]`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImAuthSettings {
    /// Where the gateway reaches it.
    #[schema(value_type = String, format = "address:port")]
    pub listen: SocketAddr,
    /// Where the other services, probes and scrapers reach it.
    #[schema(value_type = String, format = "address:port")]
    pub internal_listen: SocketAddr,
    /// `postgres://…` or `sqlite://…`. Empty: `im_auth.db` in `data_dir`.
    pub database_url: SecretUrl,
    /// Database threads, each with one connection; 0: four per core on PostgreSQL, one per core on SQLite.
    pub database_threads: usize,
    pub token: TokenSettings,
    /// Whether `cmd=reg_user` registers anybody who asks. Unset: yes, on loopback only.
    pub open_registration: Option<bool>,
    /// Accounts of the system app with these uids are administrators; nobody can register them by himself.
    /// Unset: `admin`, on loopback only.
    #[schema(value_type = Option<Vec<String>>)]
    pub admins: Option<List<String>>,
    /// Addresses or networks that many users share: the lock-out per address does not hold for them.
    #[schema(value_type = Vec<String>)]
    pub lockout_exempt: List<Network>,
    /// Open WebSockets of this process, at most.
    pub max_sockets: usize,
    /// Threads that compute password hashes, 1–64.
    pub password_threads: usize,
}

/// `[im_auth.token]`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// Life of a token, 1–3650.
    pub days: u32,
    /// Name of the key that signs; the other keys only verify.
    pub signing_kid: String,
    /// Unset: a development key, on loopback only.
    pub keys: BTreeMap<String, KeySettings>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// At least 32 bytes.
    pub secret: Secret,
}

/// Published with the source: good for loopback, refused elsewhere.
const DEVELOPMENT_KEY: (&str, &str) = ("dev", "kith-dev-signing-key-kith-dev-signing-key");

impl Default for ImAuthSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            internal_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9081)),
            database_url: SecretUrl::default(),
            database_threads: 0,
            token: TokenSettings::default(),
            open_registration: None,
            admins: None,
            lockout_exempt: List::default(),
            max_sockets: 20_000,
            password_threads: 2,
        }
    }
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self { days: 7, signing_kid: String::new(), keys: BTreeMap::new() }
    }
}

impl ImAuthSettings {
    pub fn open_registration(&self) -> bool {
        self.open_registration.unwrap_or(true)
    }

    pub fn admins(&self) -> Vec<String> {
        self.admins.as_ref().map_or_else(|| vec!["admin".into()], |a| a.0.clone())
    }
}

impl TokenSettings {
    /// The signing key first, then those that only verify.
    pub fn keys(&self) -> Vec<(String, Secret)> {
        if self.keys.is_empty() {
            let (kid, secret) = DEVELOPMENT_KEY;
            return vec![(kid.to_owned(), Secret::new(secret))];
        }
        let mut keys: Vec<_> = self.keys.iter().map(|(kid, key)| (kid.clone(), key.secret.clone())).collect();
        keys.sort_by_key(|(kid, _)| *kid != self.signing_kid);
        keys
    }
}

impl Section for ImAuthSettings {
    const NAME: &'static str = "im_auth";

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn internal_listen(&self) -> SocketAddr {
        self.internal_listen
    }

    fn database(&self) -> Option<(&SecretUrl, usize)> {
        Some((&self.database_url, self.database_threads))
    }

    fn connections(&self) -> usize {
        self.max_sockets + 1_000
    }

    fn development_defaults(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.token.keys().iter().any(|(_, secret)| secret.matches(DEVELOPMENT_KEY.1)) {
            names.push("im_auth.token.keys");
        }
        if self.open_registration.is_none() {
            names.push("im_auth.open_registration");
        }
        if self.admins.is_none() {
            names.push("im_auth.admins");
        }
        names
    }

    fn validate(&self) -> Result<(), String> {
        if !(1..=3650).contains(&self.token.days) {
            return Err("im_auth.token.days: must be 1 to 3650".into());
        }
        for (kid, key) in &self.token.keys {
            if key.secret.expose().len() < 32 {
                return Err(format!("im_auth.token.keys.{kid}.secret: shorter than 32 bytes"));
            }
        }
        if !self.token.keys.is_empty() && !self.token.keys.contains_key(&self.token.signing_kid) {
            return Err("im_auth.token.signing_kid: must name one of im_auth.token.keys".into());
        }
        if !(1..=64).contains(&self.password_threads) {
            return Err("im_auth.password_threads: must be 1 to 64".into());
        }
        Ok(())
    }
}
