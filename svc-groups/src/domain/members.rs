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
                if join(conn, id, &uid, max_members, max_groups, now)? && has_provider {
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

/// More joins of one user than this are not under way at a time: there is one for each database thread of each replica.
const UNDER_WAY: i64 = 1_000;

/// `false`: was a member already.
fn join(conn: &mut DbConn, id: GroupId, uid: &str, max_members: i64, max_groups: i64, now: Stamp) -> Result<bool> {
    // Whoever has fewer memberships cannot come to the limit, and need not be locked to be counted.
    let few = max_groups - UNDER_WAY;
    let mut place = if few > 0 { store::take_place_of_few(conn, id, max_members, uid, few)? } else { None };
    let mut is_full = false;
    if place.is_none() && store::count_memberships(conn, uid, max_groups)? >= few {
        // Before the group's row, so that nobody waits for the group because of us.
        store::lock_user(conn, uid)?;
        is_full = has_as_many(conn, uid, max_groups)?;
        place = if is_full { None } else { store::take_place(conn, id, max_members)? };
    }
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

/// Whether a user, whom the caller has locked, is in `max` groups or more.
fn has_as_many(conn: &mut DbConn, uid: &str, max: i64) -> Result<bool> {
    // Memberships of groups that are gone count for nothing, and are looked for only where it matters.
    Ok(store::count_memberships(conn, uid, max)? >= max && store::count_groups(conn, uid, max)? >= max)
}
