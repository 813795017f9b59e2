//! Tenants (design §2).

use super::{Common, List, is_base};
use crate::error::Result;
use crate::rate::{Meter, Rate};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared_models::AppId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use utoipa::ToSchema;

/// `[apps.<name>]`; the name (`[a-z0-9_]+`) is only for referring to it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AppSettings {
    /// `[A-Za-z0-9_-]{1,64}`; what clients and app servers know the app by.
    pub id: String,
    /// AppServer secret of family B, 1–32 characters.
    pub secret: Secret,
    /// Also accepted while `secret` is being changed.
    pub previous_secret: Option<Secret>,
    /// REST signature key of family D, 1–64 characters.
    pub auth_token: Secret,
    /// Also accepted while `auth_token` is being changed.
    pub previous_auth_token: Option<Secret>,
    /// Ids of the apps whose users this app's users may befriend.
    #[schema(value_type = Vec<String>)]
    pub cross_app: List<String>,
    /// Leave `avatar` out of friendMessage: the 2017 iOS demo cannot take it.
    pub legacy_invite_list: bool,
    /// Tokens come from RongCloud instead of svc-im-auth.
    pub rongcloud: Option<RongCloudSettings>,
    /// Answered by `/im/customer_service_get_info/`.
    pub customer_service: Option<CustomerService>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RongCloudSettings {
    /// Of RongCloud's console.
    pub app_key: String,
    /// Of RongCloud's console.
    pub app_secret: Secret,
    /// Base URLs, tried in turn.
    #[schema(value_type = Vec<String>)]
    pub hosts: List<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerService {
    /// The account to chat with.
    pub id: String,
    /// What it is called.
    pub name: String,
}

/// How fast apps may ask.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AppLimits {
    /// Requests a second of one app, in each process of a service; 0 = any number.
    pub app_requests_per_second: u32,
    /// Requests that an app may send at once before that rate counts; 0 = as many as the rate.
    pub app_burst: u32,
}

/// A validated tenant.
#[derive(Debug, Clone)]
pub struct App {
    pub id: AppId,
    pub auth_token: Secret,
    pub previous_auth_token: Option<Secret>,
    pub cross_app: HashSet<AppId>,
    pub legacy_invite_list: bool,
    pub rongcloud: Option<RongCloudSettings>,
    pub customer_service: Option<CustomerService>,
    meter: Option<Arc<Meter>>,
}

impl App {
    /// Counts a request of this app, as soon as it is known to be one; fails for one too many.
    pub fn admit(&self) -> Result<()> {
        self.meter.as_ref().map_or(Ok(()), |meter| meter.admit())
    }
}

/// All tenants, looked up by what requests carry.
#[derive(Debug, Clone)]
pub struct Apps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    by_id: HashMap<AppId, Arc<App>>,
    /// By the secret's SHA-256: looking a digest up tells nothing about the secret.
    by_secret: HashMap<[u8; 32], Arc<App>>,
    system: Arc<App>,
}

impl Apps {
    pub fn from_settings(common: &Common) -> Result<Self, String> {
        let settings = common.effective_apps();
        let rate = Rate::new(common.limits.app_requests_per_second, common.limits.app_burst);
        let mut by_id = HashMap::new();
        let mut by_secret = HashMap::new();
        let mut auth_tokens = HashSet::new();
        let mut system = None;
        for (name, app) in settings.iter() {
            let at = |field: &str, rule: &str| format!("apps.{name}.{field}: {rule}");
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                return Err(format!("apps.{name}: names are of a-z 0-9 _"));
            }
            let id = AppId::new(app.id.as_str()).map_err(|e| at("id", &e))?;
            let tokens = [Some(&app.auth_token), app.previous_auth_token.as_ref()];
            for token in tokens.into_iter().flatten() {
                if token.is_empty() || token.expose().chars().count() > 64 {
                    return Err(at("auth_token", "must be 1 to 64 characters"));
                }
                if !auth_tokens.insert(token.expose().to_owned()) {
                    return Err(at("auth_token", "another app has the same"));
                }
            }
            let mut cross_app = HashSet::new();
            for other in &app.cross_app.0 {
                let other = AppId::new(other.as_str()).map_err(|e| at("cross_app", &e))?;
                if !settings.values().any(|a| a.id == other.as_str()) {
                    return Err(at("cross_app", &format!("{other} is the id of no app")));
                }
                cross_app.insert(other);
            }
            if let Some(rongcloud) = &app.rongcloud {
                if rongcloud.app_key.is_empty() || rongcloud.app_secret.is_empty() || rongcloud.hosts.0.is_empty() {
                    return Err(at("rongcloud", "needs app_key, app_secret and hosts"));
                }
                if !rongcloud.app_key.bytes().all(|b| b.is_ascii_graphic()) {
                    let rule = "must be of visible ASCII characters, as it is sent in a header";
                    return Err(at("rongcloud.app_key", rule));
                }
                for host in &rongcloud.hosts.0 {
                    is_base(host).map_err(|why| at("rongcloud.hosts", why))?;
                }
                if common.public_base_url.is_empty() {
                    return Err(at("rongcloud", "needs public_base_url"));
                }
            }
            let built = Arc::new(App {
                id: id.clone(),
                auth_token: app.auth_token.clone(),
                previous_auth_token: app.previous_auth_token.clone(),
                cross_app,
                legacy_invite_list: app.legacy_invite_list,
                rongcloud: app.rongcloud.clone(),
                customer_service: app.customer_service.clone(),
                meter: rate.map(|rate| Arc::new(Meter::new(rate))),
            });
            for secret in [Some(&app.secret), app.previous_secret.as_ref()].into_iter().flatten() {
                if secret.is_empty() || secret.expose().chars().count() > 32 {
                    return Err(at("secret", "must be 1 to 32 characters"));
                }
                if by_secret.insert(digest(secret.expose()), built.clone()).is_some() {
                    return Err(at("secret", "another app has the same"));
                }
            }
            if by_id.insert(id, built.clone()).is_some() {
                return Err(at("id", "another app has the same"));
            }
            if *name == common.system_app {
                system = Some(built);
            }
        }
        let system = system.ok_or_else(|| format!("system_app: there is no apps.{}", common.system_app))?;
        Ok(Self(Arc::new(Inner { by_id, by_secret, system })))
    }

    pub fn by_id(&self, id: &str) -> Option<&Arc<App>> {
        let id = AppId::new(id).ok()?;
        self.0.by_id.get(&id)
    }

    /// The app whose AppServer secret this is.
    pub fn by_secret(&self, secret: &str) -> Option<&Arc<App>> {
        self.0.by_secret.get(&digest(secret))
    }

    /// Meant wherever a dialect names none.
    pub fn system(&self) -> &Arc<App> {
        &self.0.system
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.0.by_id.values()
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Published with the source (the documents' own examples): good for loopback, refused elsewhere.
const DEVELOPMENT_SECRETS: [&str; 4] = ["tuoyun", "tuoyun-2", "kith-dev-token", "kith-dev-token-2"];

/// The two development apps, each of which lists the other in `cross_app`.
fn development() -> BTreeMap<String, AppSettings> {
    const DOCUMENTS_APP: &str = "20150314000000110000000000000010";
    let app = |id: &str, secret: &str, auth_token: &str, other: &str| AppSettings {
        id: id.into(),
        secret: Secret::new(secret),
        auth_token: Secret::new(auth_token),
        cross_app: List(vec![other.into()]),
        customer_service: Some(CustomerService { id: "haorenao_cs_001".into(), name: "客服".into() }),
        ..AppSettings::default()
    };
    BTreeMap::from([
        ("kith".to_owned(), app("kith", "tuoyun", "kith-dev-token", DOCUMENTS_APP)),
        ("documents".to_owned(), app(DOCUMENTS_APP, "tuoyun-2", "kith-dev-token-2", "kith")),
    ])
}

/// The tenants that are in force.
pub(super) fn effective(common: &Common) -> BTreeMap<String, AppSettings> {
    if common.apps.is_empty() { development() } else { common.apps.clone() }
}

pub(super) fn development_defaults(common: &Common) -> Vec<&'static str> {
    let published = |s: &Secret| DEVELOPMENT_SECRETS.iter().any(|d| s.matches(d));
    let mut names = Vec::new();
    if common.apps.is_empty() {
        names.push("apps");
    }
    for app in common.apps.values() {
        if published(&app.secret) || app.previous_secret.as_ref().is_some_and(published) {
            names.push("apps.….secret");
        }
        if published(&app.auth_token) || app.previous_auth_token.as_ref().is_some_and(published) {
            names.push("apps.….auth_token");
        }
    }
    names
}
