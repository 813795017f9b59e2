//! What is shown of a terminal user.

use super::{Core, in_time};
use crate::store::{mappings, records, users};
use futures_util::future::try_join3;
use service_kit::{Code, Error, Result};
use shared_models::internal::{AccountKey, CurrentTokenRequest, CurrentTokenResponse};
use shared_models::{AppId, TuserKey, Uid};

use super::courses::Kind;
use super::values::LnMd5;

/// A terminal user that was looked up.
pub struct Found {
    pub im_uid: String,
    pub key: String,
    /// Whether the caller showed the key; otherwise he only knows the public id.
    pub by_key: bool,
}

/// What of him is asked for.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    pub profile: bool,
    pub token: bool,
    pub br_intro: bool,
}

/// What there is; `""` where there is nothing.
#[derive(Default)]
pub struct Shown {
    pub name: String,
    /// As stored.
    pub icon: String,
    pub token: String,
    pub br_intro: String,
}

impl Core {
    /// By key, by IM user id, or by both, which must then be one user. Never registers.
    pub async fn find(&self, key: Option<TuserKey>, im_uid: Option<String>) -> Result<Found> {
        let by_key = key.is_some();
        let asked = match (&key, im_uid) {
            (None, None) => return Err(Error::parameter("tuser_key", "tuser_key or user_id must be given")),
            (None, Some(im_uid)) => im_uid.to_ascii_lowercase(),
            (Some(key), None) => key.im_uid().into_inner(),
            (Some(key), Some(im_uid)) => {
                let of_key = key.im_uid().into_inner();
                if !of_key.eq_ignore_ascii_case(&im_uid) {
                    return Err(Code::UnknownTerminalUser.into());
                }
                of_key
            }
        };
        let stored = self.keys.get(asked.clone()).await?;
        let stored = stored.filter(|stored| key.is_none_or(|key| key.as_str() == stored));
        let key = stored.ok_or(Code::UnknownTerminalUser)?;
        Ok(Found { im_uid: asked, key, by_key })
    }

    pub async fn shown(&self, app_id: AppId, found: &Found, wanted: Wanted) -> Result<Shown> {
        let uid = Uid::new(found.im_uid.as_str()).map_err(Error::internal)?;
        let account = AccountKey { app_id, uid };
        let profile = async { if wanted.profile { self.directory.get(&account).await } else { Ok(None) } };
        let token = async {
            if !wanted.token || !(found.by_key || self.rules.secrets_by_user_id) {
                return Ok(None);
            }
            let request = CurrentTokenRequest { key: account.clone() };
            let answer: CurrentTokenResponse = self.im_auth.call("/internal/tokens/current", &request).await?;
            Ok(answer.token)
        };
        let br_intro = async {
            if !wanted.br_intro {
                return Ok(None);
            }
            let AccountKey { app_id, uid } = account.clone();
            self.db.read(move |conn| Ok(users::find_introduction(conn, &app_id, uid.as_str())?)).await
        };
        let (profile, token, br_intro) = in_time(try_join3(profile, token, br_intro)).await?;
        let (name, icon) = profile.map(|p| (p.name.clone(), p.icon.clone())).unwrap_or_default();
        Ok(Shown { name, icon, token: token.unwrap_or_default(), br_intro: br_intro.unwrap_or_default() })
    }

    /// Whether the key may be shown to whoever found the user this way.
    pub fn shows_key(&self, by_key: bool) -> bool {
        by_key || self.rules.secrets_by_user_id
    }

    /// `None`: not registered; otherwise whether there are consumption data in the app.
    pub async fn status(&self, app_id: AppId, key: TuserKey) -> Result<Option<bool>> {
        self.db
            .read(move |conn| {
                let uid = key.im_uid();
                if users::find_key(conn, uid.as_str())?.is_none_or(|stored| stored != key.as_str()) {
                    return Ok(None);
                }
                Ok(Some(records::has_any(conn, &app_id, uid.as_str(), &Kind::CONSUMPTION_DATA)?))
            })
            .await
    }

    /// Start and end of a course that was bought.
    pub async fn validity(&self, app_id: AppId, key: TuserKey, course: LnMd5) -> Result<Option<(String, String)>> {
        let course = course.into_inner();
        self.db
            .read(move |conn| {
                let uid = key.im_uid();
                if users::find_key(conn, uid.as_str())?.is_none_or(|stored| stored != key.as_str()) {
                    return Ok(None);
                }
                Ok(records::find_validity(conn, &app_id, uid.as_str(), &course)?)
            })
            .await
    }

    /// Key and account that are mapped to each other; of the two given ones, if both are.
    pub async fn mapping(&self, key: Option<TuserKey>, user_id: Option<Uid>) -> Result<Option<(String, String)>> {
        if key.is_none() && user_id.is_none() {
            return Err(Error::parameter("tuser_key", "tuser_key or user_id must be given"));
        }
        self.db
            .read(move |conn| {
                let row = match (&key, &user_id) {
                    (Some(key), _) => mappings::find_of_user(conn, key.im_uid().as_str())?,
                    (None, Some(user_id)) => mappings::find_of_account(conn, user_id.as_str())?,
                    (None, None) => None,
                };
                let same_key = |stored: &str| key.as_ref().is_none_or(|key| key.as_str() == stored);
                let same_account = |stored: &str| user_id.as_ref().is_none_or(|id| id.as_str() == stored);
                let row = row.filter(|row| same_key(&row.tuser_key) && same_account(&row.user_id));
                Ok(row.map(|row| (row.tuser_key, row.user_id)))
            })
            .await
    }
}
