//! A terminal user changes his key (document 001, X).

use super::courses::Kind;
use super::users::{ensure_user, is_user};
use super::{Core, in_time};
use crate::store::replace::{Reached, Replacement};
use crate::store::{mappings, replace as store, users};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use service_kit::auth::Credential;
use service_kit::db::DbConn;
use service_kit::internal::InternalClient;
use service_kit::outbox::{Deliver, Intent, Pending, Undelivered, enqueue};
use service_kit::{Code, Error, Result, Secret, random};
use shared_models::internal::RekeyRequest;
use shared_models::{AppId, Stamp, Text, TuserKey, Uid};
use std::net::IpAddr;

/// Memberships of the system app follow. One lane an app, one intent a replacement.
pub const REKEY: &str = "groups.rekey";

/// Replacements of a chain that one statement follows. Who logs in by replacement on several phones in turn makes his
/// chain longer each time; as far as it was followed is kept, so this is about chains that grew by keys alone.
const HOPS: i64 = 1_000;

/// The key that is replaced, as the caller names it.
pub struct Old {
    pub key: Option<TuserKey>,
    /// Username and password in the system app.
    pub account: Option<(Uid, Secret)>,
}

pub struct Replace {
    pub app_id: AppId,
    pub old: Old,
    pub new: TuserKey,
    pub address: IpAddr,
}

/// The user whose key is replaced, and what entitles the caller to it.
enum Replaced {
    /// Whoever has the key, whatever it is mapped to.
    Key(TuserKey),
    /// Whoever has the key, if it is mapped to no account but the one whose password he has given.
    KeyOf(TuserKey, Option<Uid>),
    /// Whoever the account is mapped to, and then the newest of his keys in the app.
    MappedTo(Uid),
}

/// Whom the key belongs to, and the newest of the chain that begins with him.
#[derive(PartialEq, Eq)]
struct OldUser {
    first: Uid,
    newest: Uid,
}

/// What the intent says besides its operation's id.
#[derive(Serialize, Deserialize)]
struct Operation {
    old_uid: Uid,
    new_uid: Uid,
    before: Stamp,
}

impl Core {
    pub async fn replace(&self, request: Replace) -> Result<()> {
        in_time(self.replace_now(request)).await
    }

    async fn replace_now(&self, request: Replace) -> Result<()> {
        let Replace { app_id, old, new, address } = request;
        let replaced = self.entitled(old, address).await?;
        if let Replaced::MappedTo(user_id) = &replaced {
            self.follow_chain(&app_id, user_id).await?;
        }
        let (now, operation_id) = (self.clock.now(), random::hex(16));
        let moves_groups = app_id == self.apps.system().id;
        self.db
            .transaction(move |conn| {
                ensure_user(conn, &new, now)?;
                let OldUser { first, newest: old_uid } = settle(conn, &app_id, &replaced, &new)?;
                let new_uid = new.im_uid();
                if old_uid == new_uid {
                    return Err(Code::SameKey.into());
                }
                let replacement = store::insert_replacement(conn, app_id.as_str(), &old_uid, &new_uid, now)?;
                move_rows(conn, &replacement)?;
                if matches!(replaced, Replaced::MappedTo(_)) {
                    let reached = Reached { uid: new_uid.as_str().to_owned(), id: replacement.id };
                    store::keep_reached(conn, app_id.as_str(), first.as_str(), &reached)?;
                }
                if moves_groups {
                    let operation = Operation { old_uid, new_uid, before: now };
                    let detail = serde_json::to_string(&operation).map_err(Error::internal)?;
                    let lane = app_id.as_str().to_owned();
                    enqueue(conn, &Intent { kind: REKEY.into(), lane, key: operation_id.clone(), detail }, now)?;
                }
                Ok(())
            })
            .await?;
        self.outbox.wake(REKEY);
        Ok(())
    }

    /// Whom the caller may replace. The key counts where both are given, and needs no password; without
    /// `secrets_by_user_id` one that is mapped needs that account's. The mapping is looked at again in the transaction.
    async fn entitled(&self, old: Old, address: IpAddr) -> Result<Replaced> {
        let Old { key, account } = old;
        match (key, account) {
            (None, None) => Err(Error::parameter("tuser_key_s", "tuser_key_s or tuser_uid_s must be given")),
            (Some(key), _) if self.rules.secrets_by_user_id => Ok(Replaced::Key(key)),
            (Some(key), account) => {
                let asked = key.im_uid();
                let mapping = self.db.read(move |conn| Ok(mappings::find_of_user(conn, asked.as_str())?)).await?;
                let Some(mapping) = mapping else { return Ok(Replaced::KeyOf(key, None)) };
                let theirs = account.filter(|(uid, _)| uid.as_str() == mapping.user_id);
                let (uid, password) = theirs.ok_or(Code::WrongCredentials)?;
                self.check_password(uid.clone(), password, address).await?;
                Ok(Replaced::KeyOf(key, Some(uid)))
            }
            (None, Some((uid, password))) => {
                self.check_password(uid.clone(), password, address).await?;
                Ok(Replaced::MappedTo(uid))
            }
        }
    }

    /// Follows the chain of the key that an account is mapped to, piece by piece, each kept: however long it has grown,
    /// the transaction finds the end nearby, and who is told "busy" meanwhile comes further the next time.
    async fn follow_chain(&self, app_id: &AppId, user_id: &Uid) -> Result<()> {
        loop {
            let (app, user) = (app_id.clone(), user_id.clone());
            let piece = self.db.read(move |conn| {
                let Some(mapping) = mappings::find_of_account(conn, user.as_str())? else { return Ok(None) };
                let (before, reached) = follow(conn, &app, &mapping.im_uid)?;
                Ok((before != reached).then_some((mapping.im_uid, reached)))
            });
            let Some((first, reached)) = piece.await? else { return Ok(()) };
            let app = app_id.clone();
            self.db.write(move |conn| Ok(store::keep_reached(conn, app.as_str(), &first, &reached)?)).await?;
        }
    }

    async fn check_password(&self, username: Uid, password: Secret, address: IpAddr) -> Result<()> {
        let credential = Credential { username, password: Some(password), token: None };
        self.credentials.check(&credential, address).await.map(drop)
    }
}

/// Finds the old key's user and holds all users' rows that this rests on: nobody binds or unbinds the first of the chain
/// meanwhile. What changed before the rows were held is found again.
fn settle(conn: &mut DbConn, app_id: &AppId, replaced: &Replaced, new: &TuserKey) -> Result<OldUser> {
    let new_uid = new.im_uid();
    let mut old = old_user(conn, app_id, replaced)?;
    loop {
        users::lock_users(conn, &[&old.first, &old.newest, &new_uid], true)?;
        let again = old_user(conn, app_id, replaced)?;
        if again == old {
            return Ok(old);
        }
        old = again;
    }
}

fn old_user(conn: &mut DbConn, app_id: &AppId, replaced: &Replaced) -> Result<OldUser> {
    match replaced {
        Replaced::Key(key) => user_of(conn, key),
        Replaced::KeyOf(key, account) => {
            let mapping = mappings::find_of_user(conn, key.im_uid().as_str())?;
            if mapping.is_some_and(|m| account.as_ref().is_none_or(|uid| uid.as_str() != m.user_id)) {
                return Err(Code::WrongCredentials.into());
            }
            user_of(conn, key)
        }
        Replaced::MappedTo(user_id) => {
            // The wording of a wrong password: who only guesses learns nothing.
            let mapping = mappings::find_of_account(conn, user_id.as_str())?.ok_or(Code::WrongCredentials)?;
            let newest = newest(conn, app_id, &mapping.im_uid)?;
            Ok(OldUser { first: Uid::new(mapping.im_uid).map_err(Error::internal)?, newest })
        }
    }
}

fn user_of(conn: &mut DbConn, key: &TuserKey) -> Result<OldUser> {
    if !is_user(conn, key)? {
        return Err(Code::UnknownTerminalUser.into());
    }
    Ok(OldUser { first: key.im_uid(), newest: key.im_uid() })
}

/// The newest key of a chain: replacements in their order, each followed once.
fn newest(conn: &mut DbConn, app_id: &AppId, first: &str) -> Result<Uid> {
    let (_, reached) = follow(conn, app_id, first)?;
    // It was followed to its end before this transaction; what was added since is hardly a piece.
    if store::follow(conn, app_id.as_str(), &reached, 1)? != reached {
        return Err(Error::from(Code::Busy).because("a chain of keys grows faster than it is followed"));
    }
    Uid::new(reached.uid).map_err(Error::internal)
}

/// One piece of a chain, from where it was followed to before: where that is, and its end.
fn follow(conn: &mut DbConn, app_id: &AppId, first: &str) -> Result<(Reached, Reached)> {
    let before = store::find_reached(conn, app_id.as_str(), first)?.unwrap_or_else(|| Reached::first(first));
    let reached = store::follow(conn, app_id.as_str(), &before, HOPS)?;
    Ok((before, reached))
}

/// A kind of which the old key has no rows is left alone, so that doing it again changes nothing.
fn move_rows(conn: &mut DbConn, replacement: &Replacement) -> Result<()> {
    store::delete_doubles(conn, replacement, &Kind::JOINED)?;
    let superseded = store::list_kinds(conn, replacement, &Kind::SUPERSEDED)?;
    if !superseded.is_empty() {
        store::delete_own(conn, replacement, &superseded)?;
    }
    store::move_records(conn, replacement)?;
    store::move_validities(conn, replacement)?;
    Ok(())
}

/// Has svc-groups move the memberships.
pub struct RekeyDelivery {
    pub groups: InternalClient,
}

impl Deliver for RekeyDelivery {
    fn deliver<'a>(&'a self, _: &'a str, batch: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            for pending in batch {
                self.send(pending).await?;
                pending.mark_delivered();
            }
            Ok(())
        })
    }
}

impl RekeyDelivery {
    async fn send(&self, pending: &Pending) -> Result<(), Undelivered> {
        let refused = |e: String| Undelivered::Refused(e);
        let Operation { old_uid, new_uid, before } =
            serde_json::from_str(&pending.detail).map_err(|e| refused(e.to_string()))?;
        let operation_id = Text::new(pending.key.as_str()).map_err(refused)?;
        let request = RekeyRequest { operation_id, old_uid, new_uid, before };
        let answer: Result<Done> = self.groups.call("/internal/memberships/rekey", &request).await;
        // Whatever may be otherwise tomorrow (a wrong token, an older svc-groups) is no refusal: the next operation of
        // the lane builds on this one.
        answer.map(drop).map_err(|e| match e.code() {
            Code::BadParameter | Code::BadBody => Undelivered::Refused(e.chain()),
            _ => Undelivered::Later(e.chain()),
        })
    }
}

#[derive(Deserialize)]
struct Done {}
