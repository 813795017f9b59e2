//! Codes that bind a terminal user to an account, and the mapping that they make.

use super::users::ensure_user;
use super::{Core, Session, in_time};
use crate::cache;
use crate::store::mappings as store;
use crate::store::users;
use serde::{Deserialize, Serialize};
use service_kit::db::DbConn;
use service_kit::{Code, Error, Result};
use shared_models::internal::AccountKey;
use shared_models::{Stamp, TuserKey, Uid};
use std::time::Duration;

/// Used codes are remembered far longer than any lives, and then forgotten.
const KEEP_USED: Duration = Duration::from_secs(3600);
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// So many characters of a key's end are shown.
const SHOWN_END: usize = 4;
/// Of a key of at most so many characters only a quarter is: four of them would leave little to guess.
const SHORT_KEY: usize = 8;

/// What a code stands for, in the state store.
#[derive(Serialize, Deserialize)]
struct Ticket {
    user_id: Uid,
    credential_version: i64,
    /// Of the session that shows it, by hash.
    session: String,
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
    /// Makes a code of a session's good from now on; answers until when.
    pub(super) async fn keep_code(&self, session: &Session, code: &str) -> Result<Stamp> {
        let life = i64::try_from(self.rules.code_life.as_millis()).unwrap_or(i64::MAX);
        let until = self.clock.now().0.saturating_add(life);
        let ticket = Ticket {
            user_id: session.user_id.clone(),
            credential_version: session.credential_version(),
            session: session.id_hash().to_owned(),
            until,
        };
        let ticket = serde_json::to_string(&ticket).map_err(Error::internal)?;
        self.state.set(&cache::code(&cache::hash(code)), &ticket, self.rules.code_life).await?;
        Ok(Stamp(until))
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
        in_time(async move {
            let ticket = self.state.get(&cache::code(&code_hash)).await?.ok_or(Code::UnusableCode)?;
            let Ticket { user_id, credential_version, session, until } =
                serde_json::from_str(&ticket).map_err(Error::internal)?;
            let now = self.clock.now();
            if until <= now.0 {
                return Err(Code::UnusableCode.into());
            }
            let profile = self.directory.get(&self.system_key(user_id.clone())).await?;
            // Whoever signed out, or changed his password, has ended what his sessions showed.
            let is_good =
                profile.is_some_and(|p| p.credential_version == credential_version) && self.is_kept(&session).await?;
            self.db.transaction(move |conn| bind_by(conn, &code_hash, is_good, &key, &user_id, now)).await
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
        self.db
            .transaction(move |conn| {
                hold_mapping(conn, &user_id, None)?;
                store::delete_mapping(conn, &user_id, bound_at)?;
                Ok(())
            })
            .await
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

/// The same code again from the one who used it succeeds for as long as it would have lived, and does nothing.
fn bind_by(conn: &mut DbConn, code_hash: &str, is_good: bool, key: &TuserKey, user_id: &Uid, now: Stamp) -> Result<()> {
    let im_uid = key.im_uid();
    if is_good && store::insert_used_code(conn, code_hash, &im_uid, now)? {
        ensure_user(conn, key, now)?;
        hold_mapping(conn, user_id, Some(&im_uid))?;
        store::replace_mapping(conn, &im_uid, user_id, now)?;
        return Ok(());
    }
    match store::find_used_code(conn, code_hash)? {
        Some(by) if by == im_uid.as_str() => Ok(()),
        _ => Err(Code::UnusableCode.into()),
    }
}

/// Holds all that a change of an account's mapping concerns, until the end of the transaction: the account, the user to
/// whom it is mapped, and the one to whom it will be. Who holds a user's row knows that his mapping stays as it is.
///
/// Accounts come before users, and users in one order, so that nobody waits in a circle. Without the account two could
/// each find it free; with it, what is read of its mapping only goes, and never becomes another one.
fn hold_mapping(conn: &mut DbConn, user_id: &Uid, new: Option<&Uid>) -> Result<()> {
    store::lock_account(conn, user_id)?;
    let old = store::find_of_account(conn, user_id.as_str())?;
    let old = old.map(|row| Uid::new(row.im_uid)).transpose().map_err(Error::internal)?;
    let concerned: Vec<&Uid> = old.iter().chain(new).collect();
    users::lock_users(conn, &concerned, true)?;
    Ok(())
}

fn end_of(key: &str) -> String {
    let length = key.chars().count();
    let shown = if length <= SHORT_KEY { length / 4 } else { SHOWN_END };
    key.chars().skip(length - shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_its_end_is_shown_and_never_the_whole() {
        for (key, end) in [
            ("", ""),
            ("abc", ""),
            ("abcd", "d"),
            ("abcdefg", "g"),
            ("abcdefgh", "gh"),
            ("abcdefghi", "fghi"),
            ("0123456789abcdef0123456789abcdef01234567", "4567"),
            ("钥匙钥匙一二三四", "三四"),
            ("钥匙钥匙一二三四五", "二三四五"),
        ] {
            assert_eq!(end_of(key), end);
        }
    }
}
