//! Settings (design §6): built-in defaults ← file ← environment, one tree for all processes.
//!
//! Each process reads the top level and its own sections; unknown section names and unknown keys of what it reads
//! are errors.

mod apps;
pub(crate) mod database;
mod load;
mod media;
pub mod reference;
mod source;
#[cfg(test)]
mod tests;
mod types;

pub use apps::{App, AppLimits, AppSettings, Apps, CustomerService, RongCloudSettings};
pub use load::{Loaded, SettingsError};
pub use media::MediaSettings;
pub use types::{List, Network, Seconds, SecretUrl, UtcOffset};

use crate::secret::Secret;
use redis::IntoConnectionInfo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use utoipa::ToSchema;

/// The top level: what every process reads.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// SQLite files and local media.
    #[schema(value_type = String, format = "folder")]
    pub data_dir: PathBuf,
    /// For absolute links, without a slash at the end. Empty (loopback only): taken from the request.
    pub public_base_url: String,
    /// How timestamps are written on the wire.
    pub utc_offset: UtcOffset,
    /// Name (key under `apps`) of the app that is meant where a dialect names none.
    pub system_app: String,
    /// Tenants. Empty: the two development apps.
    pub apps: BTreeMap<String, AppSettings>,
    pub limits: AppLimits,
    pub state: StateSettings,
    pub internal: InternalSettings,
    pub media: MediaSettings,
    pub log: LogSettings,
    /// After SIGTERM connections are accepted for so long, 0–20.
    pub drain: Seconds,
    /// Worker threads of each server; 0: one per core.
    pub workers: usize,
    /// `gateway.token`, which the services need in order to believe the gateway. Filled in by the loader.
    #[serde(skip)]
    pub gateway_token: Secret,
    /// `gateway.listen`, where given: what others reach through the gateway is as open as the gateway. Filled in by
    /// the loader.
    #[serde(skip)]
    pub gateway_listen: Option<SocketAddr>,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            public_base_url: String::new(),
            utc_offset: UtcOffset::default(),
            system_app: "kith".into(),
            apps: BTreeMap::new(),
            limits: AppLimits::default(),
            state: StateSettings::default(),
            internal: InternalSettings::default(),
            media: MediaSettings::default(),
            log: LogSettings::default(),
            drain: Seconds(5),
            workers: 0,
            gateway_token: Secret::new(DEVELOPMENT_GATEWAY_TOKEN),
            gateway_listen: None,
        }
    }
}

/// The state store.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StateSettings {
    /// `redis://[:password@]host:port[/db]`, or `memory:`, which only `kith` can use.
    pub url: SecretUrl,
    /// Goes before every key, so that several installations can share one Redis.
    pub prefix: String,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self { url: SecretUrl::new("memory:"), prefix: "kith:".into() }
    }
}

/// How services reach each other.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InternalSettings {
    /// Proves to a service that another service calls. Unset: a development token, on loopback only.
    pub token: Option<Secret>,
    /// svc-im-auth's internal listeners, tried in turn.
    #[schema(value_type = Vec<String>)]
    pub im_auth: List<String>,
    /// svc-groups' internal listeners, tried in turn.
    #[schema(value_type = Vec<String>)]
    pub groups: List<String>,
}

impl Default for InternalSettings {
    fn default() -> Self {
        Self {
            token: None,
            im_auth: List(vec!["http://127.0.0.1:9081".into()]),
            groups: List(vec!["http://127.0.0.1:9083".into()]),
        }
    }
}

/// Published with the source: good for loopback, refused elsewhere.
const DEVELOPMENT_INTERNAL_TOKEN: &str = "kith-dev-internal";
const DEVELOPMENT_GATEWAY_TOKEN: &str = "kith-dev-gateway";

impl InternalSettings {
    pub fn token(&self) -> Secret {
        let given = self.token.clone().filter(|_| self.has_token());
        given.unwrap_or_else(|| Secret::new(DEVELOPMENT_INTERNAL_TOKEN))
    }

    /// An empty one is none.
    pub fn has_token(&self) -> bool {
        self.token.as_ref().is_some_and(|token| !token.is_empty())
    }
}

/// The log, on standard error. Levels come from `RUST_LOG` (default `info`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// For people or for machines: one line an event either way.
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// One process's part of the settings.
pub trait Section: Default + Serialize + for<'de> Deserialize<'de> {
    /// Its key at the top level.
    const NAME: &'static str;

    fn listen(&self) -> SocketAddr;
    fn internal_listen(&self) -> SocketAddr;

    /// Its database and the number of threads for it, where it has one.
    fn database(&self) -> Option<(&SecretUrl, usize)> {
        None
    }

    /// Names of settings left at a development default that must not be used off loopback.
    fn development_defaults(&self) -> Vec<&'static str>;

    /// Connections that it may have open at once, by its limits; each is an open file.
    fn connections(&self) -> usize {
        1_000
    }

    /// What is wrong beyond types, naming the setting.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Common {
    /// Checks the top level by itself.
    pub fn validate(&self) -> Result<(), String> {
        Apps::from_settings(self)?;
        if self.drain.0 > 20 {
            return Err("drain: longer than 20 seconds".into());
        }
        let url = self.state.url.expose();
        if url != "memory:" && !url.starts_with("redis://") {
            return Err("state.url: must be memory: or redis://…".into());
        }
        // What the parser says may quote the password.
        if url != "memory:" && url.into_connection_info().is_err() {
            return Err("state.url: must be redis://[[user]:password@]host[:port][/db], percent-encoded".into());
        }
        for (name, token) in [("gateway.token", &self.gateway_token), ("internal.token", &self.internal.token())] {
            // Other characters cannot be sent, or do not arrive as they were.
            if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
                return Err(format!("{name}: must be of visible ASCII characters, as it is sent in a header"));
            }
        }
        for (name, bases) in [("internal.im_auth", &self.internal.im_auth), ("internal.groups", &self.internal.groups)]
        {
            for base in &bases.0 {
                is_base(base).map_err(|why| format!("{name}: {why}"))?;
            }
        }
        self.media.validate()?;
        let base = &self.public_base_url;
        if !base.is_empty() {
            let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
            if host.is_none_or(str::is_empty) || base.ends_with('/') || base.contains(['?', '#', ' ']) {
                return Err("public_base_url: must be http(s)://host[:port][/path] without a slash at the end".into());
            }
        }
        Ok(())
    }

    /// Whether the gateway token is the published one.
    pub fn gateway_token_is_development(&self) -> bool {
        self.gateway_token.is_empty() || self.gateway_token.matches(DEVELOPMENT_GATEWAY_TOKEN)
    }

    /// A service's database: the one named, or a SQLite file of its own in `data_dir`.
    pub fn database_url(&self, section: &str, url: &SecretUrl) -> String {
        if !url.expose().is_empty() {
            return url.expose().to_owned();
        }
        // sqlite:// and a relative path, or a third slash and an absolute one.
        format!("sqlite://{}", self.data_dir.join(format!("{section}.db")).display())
    }

    /// The tenants in force: those given, or the two of development.
    pub fn effective_apps(&self) -> BTreeMap<String, AppSettings> {
        apps::effective(self)
    }

    /// Names of top-level settings left at a development default.
    pub fn development_defaults(&self) -> Vec<&'static str> {
        let mut names = apps::development_defaults(self);
        if self.internal.token().matches(DEVELOPMENT_INTERNAL_TOKEN) {
            names.push("internal.token");
        }
        if self.gateway_token_is_development() {
            names.push("gateway.token");
        }
        if self.public_base_url.is_empty() {
            names.push("public_base_url");
        }
        names
    }

    /// Checks the URL of a section's database.
    pub fn validate_database<S: Section>(&self, section: &S) -> Result<(), String> {
        let Some((url, _)) = section.database() else { return Ok(()) };
        database::check(&self.database_url(S::NAME, url)).map_err(|why| format!("{}.database_url: {why}", S::NAME))
    }

    /// Refuses the store in memory where services are processes of their own: other processes could not see it.
    pub fn refuse_store_in_memory(&self) -> Result<(), String> {
        if self.state.url.expose() == "memory:" {
            return Err("state.url: memory: is for kith, where all services share one process; set redis://…".into());
        }
        Ok(())
    }

    /// Where others than this machine come in, by the settings as a whole: each process listens on loopback behind
    /// an open gateway or a proxy too, and its development defaults would be as open as those are.
    fn opening(&self, section: &impl Section) -> Option<String> {
        let own = [section.listen(), section.internal_listen()];
        if let Some(open) = own.into_iter().find(|a| !a.ip().is_loopback()) {
            return Some(format!("on {open}, which is not a loopback address"));
        }
        if let Some(open) = self.gateway_listen.filter(|a| !a.ip().is_loopback()) {
            return Some(format!("behind a gateway on {open}, which is not a loopback address"));
        }
        let base = &self.public_base_url;
        (!base.is_empty() && !is_of_this_machine(base))
            .then(|| format!("where public_base_url is {base}, which is not a loopback address"))
    }

    /// Refuses development defaults where anyone but this machine could connect (design §5.6).
    pub fn refuse_development_defaults(&self, section: &impl Section) -> Result<(), String> {
        let Some(open) = self.opening(section) else { return Ok(()) };
        let mut names = self.development_defaults();
        names.extend(section.development_defaults());
        match names.first() {
            None => Ok(()),
            Some(_) => Err(format!("{}: a development default cannot be used {open}; set it", names.join(", "))),
        }
    }
}

/// Whether a URL's host is this machine for whoever uses it.
fn is_of_this_machine(base: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether calls can be sent there.
fn is_base(base: &str) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(url) if url.query().is_none() && url.fragment().is_none() && url.username().is_empty() => Ok(()),
        _ => Err("must be like http://host:port"),
    }
}
