//! What operators do to accounts: `kith admin`. Works on the database itself, whether the service runs or not.
//!
//! A running service is told by its outbox (`outside`), within about a second. Where the state store is Redis, the
//! copies there are right before the command ends.

use super::accounts::{LocalProfiles, ProfileView};
use super::outside;
use super::tokens::end_all;
use crate::settings::ImAuthSettings;
use crate::store::accounts::{Changes, list_page, update_account};
use service_kit::auth::Passwords;
use service_kit::clock::Clock;
use service_kit::copies::Copies;
use service_kit::db::{Db, DbConn};
use service_kit::directory::Directory;
use service_kit::outbox::enqueue;
use service_kit::settings::Apps;
use service_kit::state::State;
use service_kit::{Code, Error, Result};
use shared_models::internal::AccountKey;
use shared_models::{AppId, Platform, Text, Uid};

pub struct Admin {
    db: Db,
    clock: Clock,
    apps: Apps,
    view: ProfileView,
    /// Redis; what is in memory is another process's.
    state: Option<State>,
}

/// An account, as operators see it.
pub struct ListedAccount {
    pub uid: String,
    pub name: String,
    /// Not only made along the way by a terminal user or an avatar.
    pub is_registered: bool,
    pub has_password: bool,
    /// By its own flag or by `im_auth.admins`.
    pub is_admin: bool,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl Admin {
    pub fn new(db: Db, apps: Apps, settings: &ImAuthSettings, state: Option<State>) -> Self {
        let admins = settings.admins().into_iter().collect();
        let view = ProfileView { system_app: apps.system().id.clone(), admins };
        Self { db, clock: Clock::system(), apps, view, state }
    }

    pub async fn close(self) {
        self.db.close().await;
    }

    /// An account's key; without an app that of the system app.
    pub fn key(&self, app: Option<&str>, uid: &str) -> Result<AccountKey> {
        let uid = Uid::new(uid).map_err(|rule| Error::parameter("uid", rule))?;
        Ok(AccountKey { app_id: self.app(app)?, uid })
    }

    pub fn app(&self, id: Option<&str>) -> Result<AppId> {
        match id {
            None => Ok(self.apps.system().id.clone()),
            Some(id) => Ok(self.apps.by_id(id).ok_or(Code::UnknownApp)?.id.clone()),
        }
    }

    pub async fn set_password(&self, key: AccountKey, password: &str) -> Result<()> {
        let password = Text::<128, 8>::new(password).map_err(|rule| Error::parameter("password", rule))?;
        let hash = Passwords::start(1)?.hash(&password).await?;
        self.change(key, Changes { password_hash: Some(hash), ..Changes::default() }).await
    }

    pub async fn set_admin(&self, key: AccountKey, is_admin: bool) -> Result<()> {
        self.change(key, Changes { is_admin: Some(is_admin), ..Changes::default() }).await
    }

    async fn change(&self, key: AccountKey, changes: Changes) -> Result<()> {
        let now = self.clock.now();
        let account = self
            .db
            .transaction(move |conn| {
                let account = update_account(conn, &key, &changes, now)?.ok_or(Code::NotRegistered)?;
                enqueue(conn, &outside::intent(&key), now)?;
                Ok(account)
            })
            .await?;
        if let Some(state) = &self.state {
            let profiles = LocalProfiles { db: self.db.clone(), view: self.view.clone() };
            Directory::new(state.clone(), profiles).changed(self.view.profile(&account)?).await;
        }
        Ok(())
    }

    /// Ends a user's tokens on a platform, or all; answers how many. A running service closes their sockets.
    pub async fn force_logout(&self, key: AccountKey, platform: Option<Platform>) -> Result<usize> {
        let (now, intent) = (self.clock.now(), outside::intent(&key));
        let copies = self.state.clone().map(Copies::new);
        let seconds = self.clock.unix_seconds();
        let tell = move |conn: &mut DbConn| Ok(enqueue(conn, &intent, now)?);
        end_all(&self.db, copies.as_ref(), &key, platform, seconds, tell).await
    }

    /// Accounts of an app by their uids, after `after`.
    pub async fn list(&self, app_id: AppId, after: String, limit: i64) -> Result<Vec<ListedAccount>> {
        let asked = app_id.clone();
        let rows = self.db.read(move |conn| Ok(list_page(conn, asked.as_str(), &after, limit)?)).await?;
        let listed = rows.into_iter().map(|row| {
            let is_admin = self.view.profile(&row)?.is_admin;
            Ok(ListedAccount {
                uid: row.uid,
                name: row.name,
                is_registered: !row.implicit,
                has_password: row.password_hash.is_some(),
                is_admin,
                created_at: row.created_at,
            })
        });
        listed.collect()
    }
}
