//! Groups from their making to their end.

use super::provider::{GROUP, group_intent, member_intent};
use super::{Changed, Core};
use crate::store::groups as store;
use crate::store::groups::GroupRow;
use crate::store::members;
use service_kit::outbox::{enqueue, enqueue_all};
use service_kit::{Code, Error, Result};
use shared_models::GroupId;
use shared_models::internal::Identity;
use std::time::Duration;

/// Memberships deleted in one transaction, so that a large group's end holds nobody up.
const SWEEP_AT_ONCE: i64 = 1000;
/// How often to look for groups that another process left half deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

impl Core {
    /// Only administrators make groups; the maker is owner and first member.
    pub async fn create_group(&self, who: &Identity, name: String) -> Result<GroupId> {
        if !who.is_admin {
            return Err(Code::AdminOnly.into());
        }
        let (uid, now, has_provider) = (who.uid.as_str().to_owned(), self.clock.now(), self.has_provider);
        let id = self
            .db
            .transaction(move |conn| {
                let id = GroupId(store::insert_group(conn, &name, &uid, now)?);
                members::insert_membership(conn, id, &uid, 1, now)?;
                if has_provider {
                    enqueue_all(conn, &[group_intent(id, &uid), member_intent(id, &uid)], now)?;
                }
                Ok(id)
            })
            .await?;
        self.outbox.wake(GROUP);
        Ok(id)
    }

    /// Owner or administrator; afterwards the group does not exist.
    pub async fn dismiss_group(&self, who: &Identity, id: GroupId) -> Result<()> {
        let _turn = self.turns.take([Changed::Group(id)]).await?;
        let (uid, is_admin, now) = (who.uid.as_str().to_owned(), who.is_admin, self.clock.now());
        let has_provider = self.has_provider;
        self.db
            .transaction(move |conn| {
                if !store::delete_group(conn, id, (!is_admin).then_some(&uid))? {
                    let is_there = store::find_group(conn, id)?.is_some();
                    return Err(Error::from(if is_there { Code::NotGroupOwner } else { Code::UnknownGroup }));
                }
                if has_provider {
                    enqueue(conn, &group_intent(id, &uid), now)?;
                }
                Ok(())
            })
            .await?;
        self.outbox.wake(GROUP);
        self.dismissed.notify_one();
        Ok(())
    }

    pub async fn group(&self, id: GroupId) -> Result<GroupRow> {
        self.groups.get(id).await?.ok_or_else(|| Code::UnknownGroup.into())
    }

    /// Deletes what is left of dismissed groups, for ever.
    pub async fn sweep_dismissed(self) {
        loop {
            match self.sweep().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(e) => log::warn!("memberships of dismissed groups are still there: {}", e.chain()),
            }
            let _ = tokio::time::timeout(SWEEP_EVERY, self.dismissed.notified()).await;
        }
    }

    /// One round; `true` if there may be more.
    async fn sweep(&self) -> Result<bool> {
        let ids = self.db.read(|conn| Ok(store::list_dismissed(conn, 100)?)).await?;
        for &id in &ids {
            while !self.db.transaction(move |conn| Ok(store::sweep(conn, id, SWEEP_AT_ONCE)?)).await? {}
        }
        Ok(!ids.is_empty())
    }
}
