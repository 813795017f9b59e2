//! Joining and quitting.

use super::provider::{GROUP, SYNC, member_intent, sync_intent};
use super::{Changed, Core};
use crate::store::{groups, members as store};
use service_kit::db::DbConn;
use service_kit::outbox::enqueue;
use service_kit::{Code, Error, Result};
use shared_models::internal::Identity;
use shared_models::{GroupId, Stamp};

impl Core {
    /// Who is a member already is one afterwards.
    pub async fn join_group(&self, who: &Identity, id: GroupId) -> Result<()> {
        let uid = who.uid.as_str().to_owned();
        let asked = uid.clone();
        // Asked before the group's row is taken: joining again is common, and full groups are popular.
        match self.db.read(move |conn| Ok(groups::find_standing(conn, id, &asked)?)).await? {
            None => return Err(Code::UnknownGroup.into()),
            Some(true) => return Ok(()),
            Some(false) => {}
        }
        let _turn = self.turns.take([Changed::Joins(who.uid.clone()), Changed::Group(id)]).await?;
        let (now, has_provider) = (self.clock.now(), self.has_provider);
        let (max_members, max_groups) = (self.max_members, self.max_groups_per_user);
        self.db
            .transaction(move |conn| {
                // Before the group's row, so that nobody waits for the group because of us.
                let is_full = is_near_to(conn, &uid, max_groups)? && {
                    store::lock_user(conn, &uid)?;
                    has_as_many(conn, &uid, max_groups)?
                };
                if join(conn, id, &uid, max_members, is_full, now)? && has_provider {
                    enqueue(conn, &member_intent(id, &uid), now)?;
                }
                Ok(())
            })
            .await?;
        self.outbox.wake(GROUP);
        Ok(())
    }

    /// The owner cannot quit, only dismiss.
    pub async fn quit_group(&self, who: &Identity, id: GroupId) -> Result<()> {
        let _turn = self.turns.take([Changed::Group(id)]).await?;
        let (uid, now, has_provider) = (who.uid.as_str().to_owned(), self.clock.now(), self.has_provider);
        self.db
            .transaction(move |conn| {
                if !store::give_up_place(conn, id, &uid)? {
                    let is_there = groups::find_group(conn, id)?.is_some();
                    return Err(Error::from(if is_there { Code::OwnerCannotQuit } else { Code::UnknownGroup }));
                }
                if !store::delete_membership(conn, id, &uid)? {
                    return Err(Code::NotMember.into());
                }
                if has_provider {
                    enqueue(conn, &member_intent(id, &uid), now)?;
                }
                Ok(())
            })
            .await?;
        self.outbox.wake(GROUP);
        Ok(())
    }

    /// Has the provider told all groups of the user; with builtin tokens there is nobody to tell.
    pub async fn sync_groups(&self, who: &Identity) -> Result<()> {
        if !self.has_provider {
            return Ok(());
        }
        let (intent, now) = (sync_intent(who.uid.as_str()), self.clock.now());
        self.db.transaction(move |conn| Ok(enqueue(conn, &intent, now)?)).await?;
        self.outbox.wake(SYNC);
        Ok(())
    }
}

/// Whether the joins of a user that may be under way at this moment, one for each database thread of each replica, may
/// bring him to `max`. Farther away nobody has to be locked, which saves a round trip.
fn is_near_to(conn: &mut DbConn, uid: &str, max: i64) -> Result<bool> {
    const UNDER_WAY: i64 = 1_000;
    Ok(store::count_memberships(conn, uid, max)? + UNDER_WAY >= max)
}

/// Whether a user, whom the caller has locked, is in `max` groups or more.
fn has_as_many(conn: &mut DbConn, uid: &str, max: i64) -> Result<bool> {
    // Memberships of groups that are gone count for nothing, and are looked for only where it matters.
    Ok(store::count_memberships(conn, uid, max)? >= max && store::count_groups(conn, uid, max)? >= max)
}

/// `false`: was a member already. `is_full`: the user is in as many groups as he may be.
fn join(conn: &mut DbConn, id: GroupId, uid: &str, max_members: i64, is_full: bool, now: Stamp) -> Result<bool> {
    let place = if is_full { None } else { store::take_place(conn, id, max_members)? };
    let Some(place) = place else {
        // Full, gone, or the last place was given to the same user a moment ago.
        return match groups::find_standing(conn, id, uid)? {
            None => Err(Code::UnknownGroup.into()),
            Some(true) => Ok(false),
            Some(false) if is_full => Err(Code::TooManyGroups.into()),
            Some(false) => Err(Code::GroupFull.into()),
        };
    };
    if store::insert_membership(conn, id, uid, place, now)? {
        return Ok(true);
    }
    store::uncount(conn, id)?;
    Ok(false)
}
