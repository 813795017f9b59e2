//! Memberships follow a terminal user who changed his key (contract §1, `tu_rk_replace_from_tn`).

use super::Core;
use super::provider::member_intent;
use crate::store::{members, rekey as store};
use service_kit::Result;
use service_kit::db::DbConn;
use service_kit::outbox::enqueue;
use shared_models::internal::RekeyRequest;
use shared_models::{GroupId, Stamp};
use std::collections::HashSet;

impl Core {
    /// Done once, however often it is delivered: the operation's id is stored with its effect. A user who is in no
    /// group leaves the other's memberships alone.
    pub async fn rekey(&self, request: RekeyRequest) -> Result<()> {
        let (now, has_provider) = (self.clock.now(), self.has_provider);
        self.db
            .transaction(move |conn| {
                if !store::insert_rekeying(conn, &request.operation_id, now)? {
                    return Ok(());
                }
                let (old, new) = (request.old_uid.as_str(), request.new_uid.as_str());
                if old == new {
                    return Ok(());
                }
                for id in rekey(conn, old, new, request.before)? {
                    if has_provider {
                        enqueue(conn, &member_intent(id, old), now)?;
                        enqueue(conn, &member_intent(id, new), now)?;
                    }
                }
                Ok(())
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }
}

/// The groups whose members changed.
fn rekey(conn: &mut DbConn, old: &str, new: &str, before: Stamp) -> Result<Vec<GroupId>> {
    let touched = store::list_groups_of(conn, [old, new])?;
    store::lock_groups(conn, &touched)?;
    // Looked at under the locks; what either joins from here on waits for us, or is in another group.
    let moving = store::list_held(conn, old)?;
    if moving.is_empty() {
        return Ok(Vec::new());
    }
    let locked: HashSet<i64> = touched.into_iter().collect();
    let mut changed = Vec::new();
    let mut kept = HashSet::new();
    for held in store::list_held(conn, new)?.into_iter().filter(|h| locked.contains(&h.group_id)) {
        if held.joined_at >= before.0 || held.owner == new {
            kept.insert(held.group_id);
        } else {
            leave(conn, GroupId(held.group_id), new)?;
            changed.push(GroupId(held.group_id));
        }
    }
    for held in moving.into_iter().filter(|h| locked.contains(&h.group_id)) {
        let id = GroupId(held.group_id);
        if kept.contains(&held.group_id) {
            // Both are in it, and one membership is left: the one that was kept.
            leave(conn, id, old)?;
        } else {
            store::move_membership(conn, id, old, new)?;
        }
        if held.owner == old {
            store::move_ownership(conn, id, old, new)?;
        }
        changed.push(id);
    }
    changed.sort_unstable();
    changed.dedup();
    Ok(changed)
}

fn leave(conn: &mut DbConn, id: GroupId, uid: &str) -> Result<()> {
    members::uncount(conn, id)?;
    members::delete_membership(conn, id, uid)?;
    Ok(())
}
