//! Codes that bind a terminal user to an account, and the mapping that they make.

use super::Core;
use super::users::ensure_user;
use crate::cache;
use crate::store::mappings as store;
use serde::{Deserialize, Serialize};
use service_kit::{Code, Error, Result, random};
use shared_models::internal::AccountKey;
use shared_models::{Stamp, TuserKey, Uid};
use std::time::Duration;

/// Used codes are remembered far longer than any lives, and then forgotten.
const KEEP_USED: Duration = Duration::from_secs(3600);
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Of a short key less is shown than four characters: never the half of it.
const SHOWN_END: usize = 4;

/// What a code stands for, in the state store.
#[derive(Serialize, Deserialize)]
struct Ticket {
    user_id: Uid,
    credential_version: i64,
    /// Milliseconds since 1970.
    until: i64,
}

/// A mapping as its account's owner sees it.
pub struct Bound {
    /// The terminal user's; may be empty.
    pub name: String,
    /// The key's last characters.
    pub key_end: String,
    pub bound_at: Stamp,
}

impl Core {
    /// A new code for an account; answers it and when it ends.
    pub(super) async fn new_code(&self, user_id: &Uid, credential_version: i64) -> Result<(String, Stamp)> {
        let code = random::hex(16);
        let life = i64::try_from(self.rules.code_life.as_millis()).unwrap_or(i64::MAX);
        let until = self.clock.now().0.saturating_add(life);
        let ticket = Ticket { user_id: user_id.clone(), credential_version, until };
        let ticket = serde_json::to_string(&ticket).map_err(Error::internal)?;
        self.state.set(&cache::code(&cache::hash(&code)), &ticket, self.rules.code_life).await?;
        Ok((code, Stamp(until)))
    }

    /// A phone has scanned a code. Registers whom it does not know; the same again by the same one changes nothing.
    ///
    /// The store says whether the code lives, the database that it was used: in the transaction of its effect, so
    /// that there is neither a binding without its code used up nor the reverse, whatever ends or sets back what.
    pub async fn bind(&self, key: TuserKey, code: &str) -> Result<()> {
        if code.len() > 64 || !code.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Code::UnusableCode.into());
        }
        let code_hash = cache::hash(code);
        let ticket = self.state.get(&cache::code(&code_hash)).await?.ok_or(Code::UnusableCode)?;
        let Ticket { user_id, credential_version, until } = serde_json::from_str(&ticket).map_err(Error::internal)?;
        let profile = self.directory.get(&self.system_key(user_id.clone())).await?;
        let now = self.clock.now();
        // Whoever changed his password has ended his sessions, and with them what they showed.
        if until <= now.0 || profile.is_none_or(|p| p.credential_version != credential_version) {
            return Err(Code::UnusableCode.into());
        }
        self.db
            .transaction(move |conn| {
                let im_uid = key.im_uid();
                if store::insert_used_code(conn, &code_hash, &im_uid, now)? {
                    ensure_user(conn, &key, now)?;
                    store::replace_mapping(conn, &im_uid, &user_id, now)?;
                    return Ok(());
                }
                match store::find_used_code(conn, &code_hash)? {
                    Some(by) if by == im_uid.as_str() => Ok(()),
                    _ => Err(Code::UnusableCode.into()),
                }
            })
            .await
    }

    /// What an account is bound to.
    pub async fn bound(&self, user_id: &Uid) -> Result<Option<Bound>> {
        let asked = user_id.clone();
        let row = self.db.read(move |conn| Ok(store::find_of_account(conn, asked.as_str())?)).await?;
        let Some(row) = row else { return Ok(None) };
        let uid = Uid::new(row.im_uid).map_err(Error::internal)?;
        let key = AccountKey { app_id: self.apps.system().id.clone(), uid };
        let name = self.directory.get(&key).await?.map(|p| p.name.clone()).unwrap_or_default();
        Ok(Some(Bound { name, key_end: end_of(&row.tuser_key), bound_at: Stamp(row.bound_at) }))
    }

    /// When an account was bound, if it is.
    pub async fn bound_at(&self, user_id: &Uid) -> Result<Option<Stamp>> {
        let asked = user_id.clone();
        let row = self.db.read(move |conn| Ok(store::find_of_account(conn, asked.as_str())?)).await?;
        Ok(row.map(|row| Stamp(row.bound_at)))
    }

    /// Ends the mapping that the owner was shown; a newer one stays.
    pub async fn unbind(&self, user_id: &Uid, bound_at: Stamp) -> Result<()> {
        let user_id = user_id.clone();
        self.db.write(move |conn| Ok(store::delete_mapping(conn, &user_id, bound_at)?)).await?;
        Ok(())
    }

    pub(super) async fn is_used(&self, code: &str) -> Result<bool> {
        let hash = cache::hash(code);
        Ok(self.db.read(move |conn| Ok(store::find_used_code(conn, &hash)?)).await?.is_some())
    }

    /// Forgets codes that were used long ago, now and then, for ever.
    pub async fn sweep_used_codes(self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        let keep = i64::try_from(KEEP_USED.as_millis()).unwrap_or(i64::MAX);
        loop {
            ticks.tick().await;
            let before = Stamp(self.clock.now().0.saturating_sub(keep));
            if let Err(e) = self.db.write(move |conn| Ok(store::delete_used_codes(conn, before)?)).await {
                log::warn!("used codes could not be deleted: {}", e.chain());
            }
        }
    }
}

fn end_of(key: &str) -> String {
    let length = key.chars().count();
    key.chars().skip(length - SHOWN_END.min(length / 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_its_end_is_shown_and_never_the_whole() {
        for (key, end) in
            [("a", ""), ("ab", "b"), ("abcd", "cd"), ("abcdefgh", "efgh"), ("钥匙钥匙一二三四", "一二三四")]
        {
            assert_eq!(end_of(key), end);
        }
    }
}
