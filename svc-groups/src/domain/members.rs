//! Joining and quitting.

use super::provider::{GROUP, SYNC, member_intent, sync_intent};
use super::{Changed, Core};
use crate::store::{groups, members as store};
use service_kit::db::{DbConn, OrCode};
use service_kit::outbox::enqueue;
use service_kit::{Code, Error, Result};
use shared_models::GroupId;
use shared_models::internal::Identity;

impl Core {
    /// Who is a member already is one afterwards.
    pub async fn join_group(&self, who: &Identity, id: GroupId) -> Result<()> {
        let uid = who.uid.as_str().to_owned();
        let turns = [Changed::Joins(who.uid.clone()), Changed::Group(id)];
        // Where nobody stands in line one statement does it all. Whoever is a member, or finds the group full, takes
        // nothing by it.
        if self.joins_in_one_statement()
            && let Some(_turn) = self.turns.take_if_free(turns.clone())
            && self.join_one_of_few(id, uid.clone()).await?
        {
            return Ok(());
        }
        // Asked before standing in line: joining again is common, and full groups are popular.
        if self.is_member(id, &uid).await? {
            return Ok(());
        }
        let _turn = self.turns.take(turns).await?;
        if self.join_one_of_few(id, uid.clone()).await? {
            return Ok(());
        }
        match self.join_counted(id, uid.clone()).await {
            // By another call of his, a moment ago.
            Err(e) if e.code() == Code::AlreadyMember => {
                let is_member = self.is_member(id, &uid).await?;
                if is_member { Ok(()) } else { Err(Error::from(Code::Busy).because(e.chain())) }
            }
            joined => joined,
        }
    }

    /// Fails where he is none and there is no room for him.
    async fn is_member(&self, id: GroupId, uid: &str) -> Result<bool> {
        let (uid, max_members) = (uid.to_owned(), self.max_members);
        let standing = self.db.read(move |conn| Ok(groups::find_standing(conn, id, &uid)?)).await?;
        let standing = standing.ok_or(Code::UnknownGroup)?;
        if !standing.is_member && standing.members >= max_members {
            return Err(Code::GroupFull.into());
        }
        Ok(standing.is_member)
    }

    fn joins_in_one_statement(&self) -> bool {
        !self.has_provider && !self.db.has_one_writer()
    }

    /// `false` where he has memberships not far below the limit, or is a member, or there is no room or no group.
    async fn join_one_of_few(&self, id: GroupId, uid: String) -> Result<bool> {
        // Whoever has fewer cannot come to the limit, and need not be locked to be counted.
        let few = self.max_groups_per_user - UNDER_WAY;
        if few <= 0 {
            return Ok(false);
        }
        let join = self.joining(id, uid);
        let join = move |conn: &mut DbConn| join(conn, Some(few));
        // Where its connection is lost it is not repeated; whoever was told so joins again, and is a member.
        let joined = match self.joins_in_one_statement() {
            true => self.db.write(join).await,
            false => self.db.transaction(join).await,
        };
        match joined {
            Err(e) if e.code() == Code::AlreadyMember => Ok(false),
            Ok(true) => {
                self.outbox.wake(GROUP);
                Ok(true)
            }
            joined => joined,
        }
    }

    /// With his memberships counted one join after another.
    async fn join_counted(&self, id: GroupId, uid: String) -> Result<()> {
        let (max_groups, max_members) = (self.max_groups_per_user, self.max_members);
        let join = self.joining(id, uid.clone());
        let join_counted = move |conn: &mut DbConn| {
            // Before the group's row, so that nobody waits for the group because of us.
            store::lock_user(conn, &uid)?;
            let has_all = has_as_many(conn, &uid, max_groups)?;
            if !has_all && join(conn, None)? {
                return Ok(());
            }
            match groups::find_standing(conn, id, &uid)? {
                None => Err(Code::UnknownGroup.into()),
                Some(standing) if standing.is_member => Ok(()),
                Some(_) if has_all => Err(Code::TooManyGroups.into()),
                Some(standing) if standing.members >= max_members => Err(Code::GroupFull.into()),
                // A moment ago there was no room, or he was a member.
                Some(_) => Err(Code::Busy.into()),
            }
        };
        self.db.transaction(join_counted).await?;
        self.outbox.wake(GROUP);
        Ok(())
    }

    /// A join; of whoever has fewer memberships than this, where it is told a number.
    fn joining(&self, id: GroupId, uid: String) -> impl Fn(&mut DbConn, Option<i64>) -> Result<bool> + Send + use<> {
        let (now, max_members, has_provider) = (self.clock.now(), self.max_members, self.has_provider);
        move |conn, few| {
            let joined = store::join(conn, id, &uid, max_members, few, now).or_conflict(Code::AlreadyMember)?;
            if joined && has_provider {
                enqueue(conn, &member_intent(id, &uid), now)?;
            }
            Ok(joined)
        }
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

/// Whether a user, whom the caller has locked, is in `max` groups or more.
fn has_as_many(conn: &mut DbConn, uid: &str, max: i64) -> Result<bool> {
    // Memberships of groups that are gone count for nothing, and are looked for only where it matters.
    Ok(store::count_memberships(conn, uid, max)? >= max && store::count_groups(conn, uid, max)? >= max)
}
