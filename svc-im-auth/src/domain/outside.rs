//! Accounts that were changed past this service, in its database itself, by `kith admin`; or by a process of it that
//! could not tell the others.
//!
//! Whoever does that writes an intent in the same transaction. Delivering it means to bring what is remembered of the
//! account, in this process, in the state store and in open sockets, to what the database says now.

use super::Core;
use super::accounts::LocalProfiles;
use crate::cache;
use crate::store::accounts::find_account;
use crate::store::tokens as token_store;
use futures_util::future::BoxFuture;
use service_kit::clock::Clock;
use service_kit::copies::Copies;
use service_kit::directory::Directory;
use service_kit::outbox::{Deliver, Intent, Pending, Undelivered};
use service_kit::presence::{Presence, Reason};
use service_kit::{Error, Result};
use shared_models::internal::AccountKey;
use shared_models::{AppId, Uid};
use std::sync::{Arc, OnceLock};

/// One lane an account: `{app}:{uid}` (an app id holds no colon).
pub const ACCOUNT: &str = "account.changed";

pub fn intent(key: &AccountKey) -> Intent {
    Intent {
        kind: ACCOUNT.into(),
        lane: format!("{}:{}", key.app_id, key.uid),
        key: String::new(),
        detail: String::new(),
    }
}

/// Delivers such intents, once the service is put together.
#[derive(Clone, Default)]
pub struct AccountDelivery(Arc<OnceLock<Remembered>>);

/// Where accounts are remembered.
struct Remembered {
    profiles: LocalProfiles,
    directory: Directory,
    copies: Copies,
    presence: Presence,
    clock: Clock,
}

impl AccountDelivery {
    pub fn begin(&self, core: &Core) {
        let remembered = Remembered {
            profiles: core.profiles.clone(),
            directory: core.directory.clone(),
            copies: core.copies.clone(),
            presence: core.presence.clone(),
            clock: core.clock.clone(),
        };
        // It is begun once.
        let _ = self.0.set(remembered);
    }
}

impl Deliver for AccountDelivery {
    fn deliver<'a>(&'a self, lane: &'a str, _: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let (app_id, uid) = lane.split_once(':').unwrap_or_default();
            let refused = |e: String| Undelivered::Refused(e);
            let key = AccountKey { app_id: AppId::new(app_id).map_err(refused)?, uid: Uid::new(uid).map_err(refused)? };
            let remembered = self.0.get().ok_or_else(|| Undelivered::Later("the service is starting".into()))?;
            remembered.refresh(key).await.map_err(|e| Undelivered::Later(e.chain()))
        })
    }

    /// Another process may reach the state store where this one does not.
    fn is_able(&self) -> bool {
        self.0.get().is_some_and(|remembered| remembered.presence.reaches_others())
    }
}

impl Remembered {
    async fn refresh(&self, key: AccountKey) -> Result<(), Error> {
        let (asked, now) = (key.clone(), self.clock.unix_seconds());
        let (account, ended) = self
            .profiles
            .db
            .read(move |conn| {
                Ok((find_account(conn, &asked)?, token_store::list_ended(conn, &asked, now, token_store::AT_ONCE)?))
            })
            .await?;
        if let Some(account) = account {
            self.directory.changed(self.profiles.view.profile(&account)?).await;
        }
        overwrite(&self.copies, &ended).await;
        // Closes those whose token is dead; the others stay.
        self.presence.kick_all(&key.app_id, &key.uid, None, Reason::LoggedOut).await
    }
}

/// Overwrites the copies of these tokens' states.
pub async fn overwrite(copies: &Copies, states: &[(String, i32)]) {
    let entries: Vec<(String, String)> =
        states.iter().map(|(id, state)| (cache::token_state(id), state.to_string())).collect();
    copies.overwrite(&entries).await;
}
