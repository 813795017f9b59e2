//! Registration, and what a terminal user tells of himself.

use super::{Core, in_time};
use crate::store::users as store;
use service_kit::db::DbConn;
use service_kit::internal::operation_id;
use service_kit::media::{Image, MediaName};
use service_kit::{Error, Result};
use shared_models::internal::{
    AccountKey, EnsureAccountRequest, EnsureAccountResponse, IssueTokenRequest, IssueTokenResponse,
};
use shared_models::{AppId, Platform, Stamp, TuserKey, Uid};

/// Fields that a caller may set; `None` leaves one as it is.
pub struct Basics {
    pub name: Option<String>,
    /// As stored (`service_kit::media::Links`).
    pub icon: Option<String>,
    pub br_intro: Option<String>,
}

// The order in the calls below: first a look whether this service can do its part at all, then svc-im-auth, then our
// own rows in one transaction. So svc-im-auth's failure leaves nothing here, a failure of ours is mostly known
// before anything is done there, and what the moment between may leave is an account that the same call sets again.
impl Core {
    /// Name and portrait go to the account, the introduction stays here. Registers whom it does not know.
    pub async fn sync_basics(&self, app_id: AppId, key: TuserKey, basics: Basics) -> Result<()> {
        let Basics { name, icon, br_intro } = basics;
        in_time(async move {
            self.is_registered(&key).await?;
            self.set_account(&app_id, &key, name, icon).await?;
            let now = self.clock.now();
            self.db
                .transaction(move |conn| {
                    let uid = hold_user(conn, &key, now)?;
                    if let Some(br_intro) = &br_intro {
                        store::upsert_introduction(conn, &app_id, &uid, br_intro)?;
                    }
                    Ok(())
                })
                .await
        })
        .await
    }

    /// The image becomes the portrait. Registers whom it does not know.
    pub async fn sync_portrait(&self, app_id: AppId, key: TuserKey, image: Image) -> Result<MediaName> {
        let is_registered = self.is_registered(&key).await?;
        // A file that no account names in the end is only a file: the next upload of the same finds it there.
        let name = self.media.put(image).await?;
        in_time(async move {
            self.set_account(&app_id, &key, None, Some(name.as_str().to_owned())).await?;
            self.register_if(!is_registered, key).await?;
            Ok(name)
        })
        .await
    }

    /// A token of the app's IM provider. Registers whom it does not know.
    pub async fn token(&self, app_id: AppId, key: TuserKey, platform: Platform) -> Result<String> {
        in_time(async move {
            let is_registered = self.is_registered(&key).await?;
            let account = AccountKey { app_id, uid: key.im_uid() };
            let request = IssueTokenRequest { key: account, platform, reuse: true, ensure: true };
            let issued: IssueTokenResponse = self.im_auth.call("/internal/tokens/issue", &request).await?;
            self.register_if(!is_registered, key).await?;
            Ok(issued.token)
        })
        .await
    }

    /// Registers; `false` if he was registered.
    pub async fn register(&self, key: TuserKey) -> Result<bool> {
        let now = self.clock.now();
        self.db.transaction(move |conn| ensure_user(conn, &key, now)).await
    }

    pub(super) async fn is_registered(&self, key: &TuserKey) -> Result<bool> {
        is_stored(key, self.keys.get(key.im_uid().into_inner()).await?)
    }

    async fn register_if(&self, is_new: bool, key: TuserKey) -> Result<()> {
        if is_new {
            self.register(key).await?;
        }
        Ok(())
    }

    async fn set_account(
        &self,
        app_id: &AppId,
        key: &TuserKey,
        name: Option<String>,
        icon: Option<String>,
    ) -> Result<()> {
        let account = AccountKey { app_id: app_id.clone(), uid: key.im_uid() };
        let request = EnsureAccountRequest { key: account, operation_id: Some(operation_id()?), name, icon };
        let answer: EnsureAccountResponse = self.im_auth.call("/internal/accounts/ensure", &request).await?;
        self.directory.learn(answer.profile);
        Ok(())
    }
}

/// Whether the key is a terminal user's.
pub(super) fn is_user(conn: &mut DbConn, key: &TuserKey) -> Result<bool> {
    is_stored(key, store::find_key(conn, key.im_uid().as_str())?)
}

/// Keys are known by their md5; two with the same one cannot both be users.
fn is_stored(key: &TuserKey, stored: Option<String>) -> Result<bool> {
    match stored {
        None => Ok(false),
        Some(stored) if stored == key.as_str() => Ok(true),
        Some(_) => Err(Error::parameter("tuser_key", "cannot be used")),
    }
}

/// Registers; `false` if he was registered.
pub(super) fn ensure_user(conn: &mut DbConn, key: &TuserKey, now: Stamp) -> Result<bool> {
    if is_user(conn, key)? {
        return Ok(false);
    }
    let is_new = store::insert_user(conn, key, now)?;
    if !is_new {
        // Somebody registered the same key meanwhile, or another one with its md5.
        is_user(conn, key)?;
    }
    Ok(is_new)
}

/// Registers whom it does not know, and shares his row until the end of the transaction, so that a replacement of his
/// key comes wholly before or wholly after.
pub(super) fn hold_user(conn: &mut DbConn, key: &TuserKey, now: Stamp) -> Result<Uid> {
    ensure_user(conn, key, now)?;
    let uid = key.im_uid();
    store::lock_users(conn, &[&uid], false)?;
    Ok(uid)
}
