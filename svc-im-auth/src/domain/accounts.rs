//! Accounts and their profiles.

use super::Core;
use super::tokens::Issued;
use crate::store::accounts as store;
use crate::store::accounts::{AccountRow, Changes};
use crate::store::operations::insert_operation;
use crate::store::tokens as token_store;
use futures_util::future::BoxFuture;
use service_kit::db::{Db, DbConn};
use service_kit::directory::ProfileSource;
use service_kit::{Code, Error, Result};
use shared_models::internal::{AccountInfo, AccountKey, EnsureAccountRequest};
use shared_models::{AppId, Gender, Platform, Profile, Stamp, Uid};
use std::collections::{BTreeMap, HashSet};

/// A registration by an app server.
pub struct Registration {
    pub key: AccountKey,
    pub platform: Platform,
    pub changes: Changes,
    pub password: Option<String>,
}

impl Core {
    /// Registers an account with its first token. An implicit account becomes a registered one once, and keeps name
    /// and icon where the registration's are empty.
    pub async fn register(&self, registration: Registration) -> Result<Issued> {
        let Registration { key, platform, changes, password } = registration;
        let now = self.clock.now();
        let password_hash = self.hashed(password).await?;
        let mut changes = Changes { implicit: Some(false), password_hash, ..changes };
        let row = filled(&key, false, &changes, now);
        changes.name = changes.name.filter(|name| !name.is_empty());
        changes.icon = changes.icon.filter(|icon| !icon.is_empty());
        let token = self.keys.token_row(&key, platform, &self.clock);
        let issued = self.keys.sign(&token)?;
        let (providers, app_id) = (self.providers.clone(), key.app_id.clone());
        let account = self
            .db
            .transaction(move |conn| {
                let account = store::register_account(conn, &row, &changes, now)?.ok_or(Code::AlreadyRegistered)?;
                token_store::insert_token(conn, &token)?;
                providers.changed(conn, &key, &changes, now)?;
                Ok(account)
            })
            .await?;
        self.providers.wake(&self.outbox, &app_id);
        self.directory.changed(self.profile(&account)?).await;
        Ok(issued)
    }

    /// Self-registration (`cmd=reg_user`), in the system app, while it is open.
    pub async fn register_oneself(&self, username: Uid, password: String, nickname: String) -> Result<()> {
        if !self.open_registration {
            return Err(Code::RegistrationClosed.into());
        }
        // Names of 32 hex digits are those of terminal users (md5); administrators' are not for everybody.
        let name = username.as_str();
        let is_md5 = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if is_md5 || self.profiles.view.admins.contains(name) {
            return Err(Code::NameReserved.into());
        }
        let key = self.system_key(username);
        let now = self.clock.now();
        // Asked before the hash is computed, which costs; the insert decides.
        let asked = key.clone();
        if self.db.read(move |conn| Ok(store::find_account(conn, &asked)?)).await?.is_some() {
            return Err(Code::AlreadyRegistered.into());
        }
        let row = AccountRow {
            name: nickname,
            password_hash: Some(self.passwords.hash(&password).await?),
            ..AccountRow::empty(&key, false, now)
        };
        let inserted = row.clone();
        if !self.db.write(move |conn| Ok(store::insert_account(conn, &inserted)?)).await? {
            return Err(Code::AlreadyRegistered.into());
        }
        self.directory.changed(self.profile(&row)?).await;
        Ok(())
    }

    /// Changes an account, implicit ones too.
    pub async fn update_user(&self, key: AccountKey, changes: Changes, password: Option<String>) -> Result<()> {
        let changes = Changes { password_hash: self.hashed(password).await?, ..changes };
        let (now, app_id) = (self.clock.now(), key.app_id.clone());
        let account = if self.providers.of(&key.app_id).is_none() {
            self.db.write(move |conn| Ok(store::update_account(conn, &key, &changes, now)?)).await?
        } else {
            let providers = self.providers.clone();
            let change = move |conn: &mut DbConn| {
                let account = store::update_account(conn, &key, &changes, now)?;
                providers.changed(conn, &key, &changes, now)?;
                Ok(account)
            };
            self.db.transaction(change).await?
        };
        let account = account.ok_or(Code::NotRegistered)?;
        self.providers.wake(&self.outbox, &app_id);
        self.directory.changed(self.profile(&account)?).await;
        Ok(())
    }

    /// Makes an implicit account if there is none, and sets what is given, once per operation.
    pub async fn ensure_account(&self, request: EnsureAccountRequest) -> Result<Profile> {
        let EnsureAccountRequest { key, operation_id, name, icon } = request;
        let (now, app_id) = (self.clock.now(), key.app_id.clone());
        let changes = Changes { name, icon, ..Changes::default() };
        let row = filled(&key, true, &changes, now);
        let account = if operation_id.is_none() && self.providers.of(&key.app_id).is_none() {
            self.db.write(move |conn| Ok(store::ensure_account(conn, &row, &changes, now)?)).await?
        } else {
            let providers = self.providers.clone();
            let change = move |conn: &mut DbConn| {
                if let Some(id) = &operation_id
                    && !insert_operation(conn, id, now)?
                    && let Some(account) = store::find_account(conn, &key)?
                {
                    return Ok(account);
                }
                let account = store::ensure_account(conn, &row, &changes, now)?;
                providers.changed(conn, &key, &changes, now)?;
                Ok(account)
            };
            self.db.transaction(change).await?
        };
        self.providers.wake(&self.outbox, &app_id);
        let profile = self.profile(&account)?;
        self.directory.changed(profile.clone()).await;
        Ok(profile)
    }

    pub async fn find_account(&self, key: AccountKey) -> Result<Option<AccountRow>> {
        self.accounts.get(key).await
    }

    /// The accounts of those `uids` that have one, in the order asked, each time it was asked.
    pub async fn list_accounts(&self, app_id: &AppId, uids: &[Uid]) -> Result<Vec<AccountRow>> {
        let distinct: HashSet<&Uid> = uids.iter().collect();
        let distinct: Vec<String> = distinct.into_iter().map(|u| u.as_str().to_owned()).collect();
        let app_id = app_id.as_str().to_owned();
        let rows = self.db.read(move |conn| Ok(store::list_accounts(conn, &app_id, &distinct)?)).await?;
        let by_uid: BTreeMap<&str, &AccountRow> = rows.iter().map(|row| (row.uid.as_str(), row)).collect();
        Ok(uids.iter().filter_map(|uid| by_uid.get(uid.as_str()).copied().cloned()).collect())
    }

    /// Accounts as they are in the database, past every cache; keys without one are left out.
    pub async fn read_accounts(&self, keys: Vec<AccountKey>) -> Result<Vec<AccountInfo>> {
        self.profiles.rows(keys).await?.into_iter().map(info_of).collect()
    }

    /// Profiles as they are now, for the other services' directories.
    pub async fn profiles(&self, keys: Vec<AccountKey>) -> Result<Vec<Profile>> {
        self.profiles.fetch(keys).await
    }

    async fn hashed(&self, password: Option<String>) -> Result<Option<String>> {
        match password {
            None => Ok(None),
            Some(password) => Ok(Some(self.passwords.hash(&password).await?)),
        }
    }
}

/// In a transaction of its own or of what needs the account: makes an implicit one if there is none.
pub(super) fn ensure_any(conn: &mut DbConn, key: &AccountKey, now: Stamp) -> Result<AccountRow> {
    Ok(store::ensure_account(conn, &AccountRow::empty(key, true, now), &Changes::default(), now)?)
}

/// The row of an account that is new.
fn filled(key: &AccountKey, implicit: bool, changes: &Changes, now: shared_models::Stamp) -> AccountRow {
    let changes = changes.clone();
    let empty = AccountRow::empty(key, implicit, now);
    let icon = changes.icon.unwrap_or_default();
    AccountRow {
        name: changes.name.unwrap_or_default(),
        icon_changed_at: if icon.is_empty() { 0 } else { now.0 },
        icon,
        gender: changes.gender.unwrap_or(empty.gender),
        mobile: changes.mobile.unwrap_or_default(),
        birth: changes.birth.unwrap_or_default(),
        email: changes.email.unwrap_or_default(),
        ex: changes.ex.unwrap_or_default(),
        region: changes.region.unwrap_or_default(),
        sign: changes.sign.unwrap_or_default(),
        is_admin: changes.is_admin.unwrap_or_default(),
        is_public_number: changes.is_public_number.unwrap_or_default(),
        expert_status: changes.expert_status.unwrap_or_default(),
        point: changes.point.unwrap_or(empty.point),
        yue: changes.yue.unwrap_or_default(),
        jifen: changes.jifen.unwrap_or_default(),
        password_hash: changes.password_hash,
        ..AccountRow::empty(key, implicit, now)
    }
}

/// Whose a row is.
pub(super) fn stored_key(app_id: &str, uid: &str) -> Result<AccountKey> {
    let bad = |e: String| Error::internal(format!("a row has a bad owner: {e}"));
    Ok(AccountKey { app_id: AppId::new(app_id).map_err(bad)?, uid: Uid::new(uid).map_err(bad)? })
}

/// What turns a row into a profile.
#[derive(Clone)]
pub struct ProfileView {
    pub system_app: AppId,
    pub admins: HashSet<String>,
}

impl ProfileView {
    pub fn profile(&self, row: &AccountRow) -> Result<Profile> {
        let key = stored_key(&row.app_id, &row.uid)?;
        let is_system = key.app_id == self.system_app;
        Ok(Profile {
            revision: row.revision,
            app_id: key.app_id,
            uid: key.uid,
            name: row.name.clone(),
            icon: row.icon.clone(),
            icon_changed_at: Stamp(row.icon_changed_at),
            is_admin: row.is_admin || (is_system && self.admins.contains(&row.uid)),
            credential_version: row.credential_version,
        })
    }
}

/// Profiles out of this service's own database.
#[derive(Clone)]
pub struct LocalProfiles {
    pub db: Db,
    pub view: ProfileView,
}

impl ProfileSource for LocalProfiles {
    fn fetch(&self, keys: Vec<AccountKey>) -> BoxFuture<'_, Result<Vec<Profile>>> {
        Box::pin(async move {
            let rows = self.rows(keys).await?;
            rows.iter().map(|row| self.view.profile(row)).collect()
        })
    }
}

impl LocalProfiles {
    async fn rows(&self, keys: Vec<AccountKey>) -> Result<Vec<AccountRow>> {
        let mut by_app = BTreeMap::<AppId, Vec<String>>::new();
        for key in keys {
            by_app.entry(key.app_id).or_default().push(key.uid.into_inner());
        }
        self.db
            .read(move |conn| {
                let mut rows = Vec::new();
                for (app_id, uids) in &by_app {
                    rows.extend(store::list_accounts(conn, app_id.as_str(), uids)?);
                }
                Ok(rows)
            })
            .await
    }
}

fn info_of(row: AccountRow) -> Result<AccountInfo> {
    Ok(AccountInfo {
        key: stored_key(&row.app_id, &row.uid)?,
        name: row.name,
        icon: row.icon,
        icon_changed_at: Stamp(row.icon_changed_at),
        gender: Gender::from_number(row.gender.into()).unwrap_or_default(),
        mobile: row.mobile,
        birth: row.birth,
        email: row.email,
        ex: row.ex,
        region: row.region,
        sign: row.sign,
    })
}
