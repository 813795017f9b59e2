//! RongCloud kept in step: intents written with each change, and their delivery from the current state.

use crate::store::groups::{GroupRow, find_group, list_existing};
use crate::store::{lists, members};
use futures_util::future::BoxFuture;
use service_kit::clock::Clock;
use service_kit::db::Db;
use service_kit::outbox::{Deliver, Intent, Pending, Undelivered, enqueue_all};
use service_kit::rongcloud::{RongCloud, Trouble};
use service_kit::{Error, Result};
use shared_models::GroupId;
use std::collections::HashSet;

/// One lane a group. Key: a user whose membership changed; empty: the group itself, with the uid of who made or
/// dismissed it.
pub const GROUP: &str = "rongcloud.group";
/// One lane a user: all his groups.
pub const SYNC: &str = "rongcloud.sync";

/// Rows read at once.
const CHUNK: i64 = 1000;

pub fn group_intent(GroupId(id): GroupId, actor: &str) -> Intent {
    Intent { kind: GROUP.into(), lane: id.to_string(), key: String::new(), detail: actor.to_owned() }
}

pub fn member_intent(GroupId(id): GroupId, uid: &str) -> Intent {
    Intent { kind: GROUP.into(), lane: id.to_string(), key: uid.to_owned(), detail: String::new() }
}

pub fn sync_intent(uid: &str) -> Intent {
    Intent { kind: SYNC.into(), lane: uid.to_owned(), key: String::new(), detail: String::new() }
}

/// A group's members and the group itself.
pub struct GroupDelivery {
    pub db: Db,
    pub rongcloud: RongCloud,
}

impl Deliver for GroupDelivery {
    fn deliver<'a>(&'a self, lane: &'a str, batch: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(self.reconcile(lane, batch))
    }
}

impl GroupDelivery {
    async fn reconcile(&self, lane: &str, batch: &[Pending]) -> Result<(), Undelivered> {
        let id = GroupId(lane.parse().map_err(|_e| Undelivered::Refused("the lane is no group id".into()))?);
        let uids: Vec<String> = batch.iter().map(|p| p.key.clone()).filter(|uid| !uid.is_empty()).collect();
        let asked = uids.clone();
        let state = self.db.read(move |conn| {
            let present = members::list_present(conn, id, &asked)?;
            // Looked at last: members of a group that is being swept away are no leavers.
            Ok(find_group(conn, id)?.map(|group| (group, present)))
        });
        match state.await.map_err(away)? {
            Some((group, present)) => self.tell(&group, batch, &present).await,
            None => {
                let itself = batch.iter().find(|p| p.key.is_empty());
                let actor = itself.map(|p| p.detail.as_str()).filter(|a| !a.is_empty());
                let actor = actor.or(uids.first().map(String::as_str)).unwrap_or_default();
                self.rongcloud.dismiss_group(actor, lane).await.map_err(trouble)
            }
        }
    }

    /// Up to three calls, each of which may take most of the time there is: what one did is not done again.
    async fn tell(&self, group: &GroupRow, batch: &[Pending], present: &[String]) -> Result<(), Undelivered> {
        let id = group.id.to_string();
        let (itself, users): (Vec<&Pending>, Vec<&Pending>) = batch.iter().partition(|p| p.key.is_empty());
        if !itself.is_empty() {
            self.rongcloud.create_group(&[&group.owner], &id, &group.name).await.map_err(trouble)?;
            itself.into_iter().for_each(Pending::mark_delivered);
        }
        let present: HashSet<&str> = present.iter().map(String::as_str).collect();
        let (members, others): (Vec<&Pending>, Vec<&Pending>) =
            users.into_iter().partition(|p| present.contains(p.key.as_str()));
        if !members.is_empty() {
            self.rongcloud.join_group(&uids(&members), &id, &group.name).await.map_err(trouble)?;
            members.into_iter().for_each(Pending::mark_delivered);
        }
        if !others.is_empty() {
            self.rongcloud.quit_group(&uids(&others), &id).await.map_err(trouble)?;
        }
        Ok(())
    }
}

fn uids<'a>(some: &[&'a Pending]) -> Vec<&'a str> {
    some.iter().map(|p| p.key.as_str()).collect()
}

/// All groups of a user at once.
pub struct SyncDelivery {
    pub db: Db,
    pub clock: Clock,
    pub rongcloud: RongCloud,
}

impl Deliver for SyncDelivery {
    fn deliver<'a>(&'a self, lane: &'a str, _: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(self.sync(lane))
    }
}

impl SyncDelivery {
    async fn sync(&self, uid: &str) -> Result<(), Undelivered> {
        let sent = self.groups(uid).await.map_err(away)?;
        let told = self.rongcloud.sync_groups(uid, &sent).await;
        // Changes made while that was under way have lanes of their own, and theirs may have arrived first. Looked at
        // whatever the answer was: a call that was not answered may have been heard.
        let is_current = self.groups(uid).await.map_err(away)? == sent;
        if !is_current {
            self.renew_gone(uid, &sent).await.map_err(away)?;
        }
        told.map_err(trouble)?;
        if is_current {
            return Ok(());
        }
        Err(Undelivered::Later("the user's groups changed while they were sent".into()))
    }

    /// What we sent may have brought back a group that was dismissed meanwhile: each is reconciled once more.
    async fn renew_gone(&self, uid: &str, sent: &[(String, String)]) -> Result<()> {
        let now = self.clock.now();
        let ids: Vec<i64> = sent.iter().filter_map(|(id, _)| id.parse().ok()).collect();
        let uid = uid.to_owned();
        self.db
            .transaction(move |conn| {
                let there: HashSet<i64> = list_existing(conn, &ids)?.into_iter().collect();
                let gone = ids.iter().filter(|id| !there.contains(id));
                let intents: Vec<Intent> = gone.map(|id| member_intent(GroupId(*id), &uid)).collect();
                Ok(enqueue_all(conn, &intents, now)?)
            })
            .await
    }

    async fn groups(&self, uid: &str) -> Result<Vec<(String, String)>> {
        let uid = uid.to_owned();
        self.db
            .read(move |conn| {
                let mut groups = Vec::new();
                let mut after = 0;
                loop {
                    let some = lists::list_groups(conn, &uid, after, CHUNK)?;
                    let Some(last) = some.last() else { return Ok(groups) };
                    after = last.membership;
                    groups.extend(some.into_iter().map(|g| (g.id.to_string(), g.name)));
                }
            })
            .await
    }
}

fn trouble(trouble: Trouble) -> Undelivered {
    match trouble {
        Trouble::Refused { .. } => Undelivered::Refused(trouble.to_string()),
        Trouble::RateLimited | Trouble::Unavailable(_) => Undelivered::Later(trouble.to_string()),
    }
}

/// A database of ours that is away is an outage like any other.
fn away(e: Error) -> Undelivered {
    Undelivered::Later(e.chain())
}
