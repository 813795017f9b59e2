//! IM providers other than ourselves: RongCloud's tokens, and its copy of names and portraits.

use super::outside::{ACCOUNT, AccountDelivery};
use super::tokens::{Issued, TokenState};
use super::{Core, accounts};
use crate::store::accounts::{Changes, find_account};
use crate::store::provider as store;
use crate::store::tokens::TokenRow;
use futures_util::future::BoxFuture;
use service_kit::clock::Clock;
use service_kit::db::{Db, DbConn};
use service_kit::links::Links;
use service_kit::outbox::{Deliver, Intent, Outbox, Pending, Undelivered, enqueue};
use service_kit::rongcloud::{RongCloud, Trouble};
use service_kit::settings::Apps;
use service_kit::{Code, Result};
use sha2::{Digest, Sha256};
use shared_models::internal::AccountKey;
use shared_models::{AppId, Platform, Stamp, Uid};
use std::collections::HashMap;
use std::sync::Arc;

/// Name and portrait of a user. One kind an app (`rongcloud.user.{app}`), so that an app whose RongCloud is dead or
/// slow holds up no other; one lane a user: `{app}:{uid}` (an app id holds no colon).
const USER: &str = "rongcloud.user";

/// The apps whose tokens come from RongCloud. Cheap to clone.
#[derive(Clone)]
pub struct Providers(Arc<Inner>);

struct Inner {
    clients: HashMap<AppId, RongCloud>,
    /// For links to portraits; settings demand it of apps that use RongCloud.
    public_base_url: String,
}

impl Providers {
    pub fn new(apps: &Apps, public_base_url: &str, clock: &Clock) -> Self {
        let clients = apps.iter().filter_map(|app| {
            let client = RongCloud::new(app.rongcloud.as_ref()?, clock.clone());
            Some((app.id.clone(), client))
        });
        Self(Arc::new(Inner { clients: clients.collect(), public_base_url: public_base_url.to_owned() }))
    }

    pub fn is_empty(&self) -> bool {
        self.0.clients.is_empty()
    }

    pub fn of(&self, app_id: &AppId) -> Option<&RongCloud> {
        self.0.clients.get(app_id)
    }

    /// In the transaction of a change, which holds the account's row: has the provider told, if it knows the user
    /// and the change concerns it.
    pub fn changed(&self, conn: &mut DbConn, key: &AccountKey, changes: &Changes, now: Stamp) -> Result<()> {
        let concerned = (changes.name.is_some() || changes.icon.is_some()) && self.of(&key.app_id).is_some();
        if concerned && store::is_provider_user(conn, key)? {
            enqueue(conn, &intent(key), now)?;
        }
        Ok(())
    }

    /// After a commit with [`changed`](Self::changed) in it.
    pub fn wake(&self, outbox: &Outbox, app_id: &AppId) {
        if self.of(app_id).is_some() {
            outbox.wake(&kind_of(app_id));
        }
    }

    /// Name and portrait as the provider is told them: it takes no empty name.
    fn shown<'a>(&self, uid: &'a Uid, name: &'a str, icon: &str) -> (&'a str, String) {
        let portrait = Links::fixed(&self.0.public_base_url).shown(icon);
        // RongCloud takes 1024 bytes; an icon holds as many characters (contract §0). Better none than no token.
        let portrait = if portrait.len() > 1024 { String::new() } else { portrait };
        (if name.is_empty() { uid.as_str() } else { name }, portrait)
    }
}

fn kind_of(app_id: &AppId) -> String {
    format!("{USER}.{app_id}")
}

fn intent(key: &AccountKey) -> Intent {
    let (kind, lane) = (kind_of(&key.app_id).into(), format!("{}:{}", key.app_id, key.uid));
    Intent { kind, lane, key: String::new(), detail: String::new() }
}

/// The id under which a provider's token is kept.
pub fn token_id(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

impl Core {
    /// A token of the provider; with `reuse` one that still has half its life before it, if there is one.
    pub(super) async fn provider_token(
        &self,
        rongcloud: &RongCloud,
        key: AccountKey,
        platform: Platform,
        reuse: bool,
        ensure: bool,
    ) -> Result<Issued> {
        let now = self.clock.unix_seconds();
        let life = self.keys.life_seconds();
        let asked = key.clone();
        let (live, account) = self
            .db
            .read(move |conn| {
                let find = |conn: &mut DbConn| store::find_live_provider_token(conn, &asked, platform, now + life / 2);
                let live = if reuse { find(conn)? } else { None };
                Ok((live, find_account(conn, &asked)?))
            })
            .await?;
        if let Some(TokenRow { text: Some(token), expires_at, .. }) = live {
            return Ok(Issued { token, expires_at });
        }
        let is_missing = account.is_none();
        let (name, icon) = match account {
            Some(account) => (account.name, account.icon),
            None if ensure => (String::new(), String::new()),
            None => return Err(Code::NotRegistered.into()),
        };
        let (shown, portrait) = self.providers.shown(&key.uid, &name, &icon);
        let token = rongcloud.get_token(key.uid.as_str(), shown, &portrait).await?;
        let row = TokenRow {
            id: token_id(token.expose()),
            app_id: key.app_id.as_str().to_owned(),
            uid: key.uid.as_str().to_owned(),
            platform: platform.number().into(),
            issued_at: now,
            expires_at: now + life,
            state: TokenState::Live.number(),
            text: Some(token.expose().to_owned()),
        };
        let (told, stamp, app_id) = ((name, icon), self.clock.now(), key.app_id.clone());
        let made = self
            .db
            .transaction(move |conn| {
                let made = is_missing.then(|| accounts::ensure_any(conn, &key, stamp)).transpose()?;
                // The row is held, so that a change of the profile comes wholly before this or sees the user.
                let profile = store::lock_profile(conn, &key)?.ok_or(Code::NotRegistered)?;
                store::insert_provider_user(conn, &key)?;
                if !store::upsert_provider_token(conn, &row)? {
                    return Err(Code::ProviderRefused.into());
                }
                if profile != told {
                    enqueue(conn, &intent(&key), stamp)?;
                }
                Ok(made)
            })
            .await?;
        self.providers.wake(&self.outbox, &app_id);
        if let Some(account) = made {
            self.directory.changed(self.profile(&account)?).await;
        }
        Ok(Issued { token: token.expose().to_owned(), expires_at: now + life })
    }
}

/// Tells RongCloud name and portrait as they are now.
#[derive(Clone)]
pub struct UserDelivery {
    pub db: Db,
    pub providers: Providers,
}

impl Deliver for UserDelivery {
    fn deliver<'a>(&'a self, lane: &'a str, _: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(self.refresh(lane))
    }
}

impl UserDelivery {
    async fn refresh(&self, lane: &str) -> Result<(), Undelivered> {
        let (app_id, uid) = lane.split_once(':').unwrap_or_default();
        let refused = |e: String| Undelivered::Refused(e);
        let key = AccountKey { app_id: AppId::new(app_id).map_err(refused)?, uid: Uid::new(uid).map_err(refused)? };
        let Some(rongcloud) = self.providers.of(&key.app_id) else {
            return Err(Undelivered::Refused("the app has no RongCloud credentials any more".into()));
        };
        let asked = key.clone();
        let account = self.db.read(move |conn| Ok(find_account(conn, &asked)?)).await;
        let Some(account) = account.map_err(|e| Undelivered::Later(e.chain()))? else { return Ok(()) };
        let (name, portrait) = self.providers.shown(&key.uid, &account.name, &account.icon);
        rongcloud.refresh_user(key.uid.as_str(), name, &portrait).await.map_err(|trouble| match trouble {
            Trouble::Refused { .. } => Undelivered::Refused(trouble.to_string()),
            Trouble::RateLimited | Trouble::Unavailable(_) => Undelivered::Later(trouble.to_string()),
        })
    }
}

/// The running outbox.
pub fn outbox(
    db: &Db,
    clock: &Clock,
    providers: &Providers,
    accounts: AccountDelivery,
    metrics: &service_kit::metrics::Metrics,
) -> Outbox {
    let builder = Outbox::builder(db.clone(), clock.clone(), service_kit::outbox::Options::default());
    let builder = builder.kind(ACCOUNT, 1, accounts);
    let delivery = UserDelivery { db: db.clone(), providers: providers.clone() };
    let of_apps = providers.0.clients.keys().map(kind_of);
    // Earlier versions had one kind for all apps; what they left is delivered like the rest.
    let of_before = (!providers.is_empty()).then(|| USER.to_owned());
    of_apps.chain(of_before).fold(builder, |builder, kind| builder.kind(kind, 1, delivery.clone())).start(metrics)
}
