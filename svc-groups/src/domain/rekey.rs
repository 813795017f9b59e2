//! Memberships follow a terminal user who changed his key (contract §1, `tu_rk_replace_from_tn`).

use super::Core;
use super::provider::{GROUP, member_intent};
use crate::store::rekey::Held;
use crate::store::{members, rekey as store};
use service_kit::Result;
use service_kit::db::DbConn;
use service_kit::outbox::{Intent, enqueue_all};
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
                let changed = rekey(conn, old, new, request.before)?;
                if has_provider {
                    let of_group = |id: i64| [old, new].map(|uid| member_intent(GroupId(id), uid));
                    let intents: Vec<Intent> = changed.into_iter().flat_map(of_group).collect();
                    enqueue_all(conn, &intents, now)?;
                }
                Ok(())
            })
            .await?;
        self.outbox.wake(GROUP);
        Ok(())
    }
}

/// The groups whose members changed. Few statements, however many groups there are.
fn rekey(conn: &mut DbConn, old: &str, new: &str, before: Stamp) -> Result<Vec<i64>> {
    let touched = store::list_groups_of(conn, [old, new])?;
    store::lock_groups(conn, &touched)?;
    let locked: HashSet<i64> = touched.into_iter().collect();
    let is_locked = |held: &Held| locked.contains(&held.group_id);
    // Looked at under the locks; what either joins from here on waits for us, or is in another group.
    let moving: Vec<Held> = store::list_held(conn, old)?.into_iter().filter(is_locked).collect();
    // What the old one joined while we waited for the locks came after this operation, and is no reason for it.
    if moving.is_empty() {
        return Ok(Vec::new());
    }
    let (kept, left): (Vec<Held>, Vec<Held>) = store::list_held(conn, new)?
        .into_iter()
        .filter(is_locked)
        .partition(|held| held.joined_at >= before.0 || held.owner == new);
    let kept: HashSet<i64> = kept.into_iter().map(|held| held.group_id).collect();
    let left: Vec<i64> = left.into_iter().map(|held| held.group_id).collect();
    members::delete_memberships(conn, &left, new)?;
    // Where both are in a group, one membership is left: the one that was kept.
    let (doubled, moved): (Vec<i64>, Vec<i64>) = moving.iter().map(|h| h.group_id).partition(|id| kept.contains(id));
    members::delete_memberships(conn, &doubled, old)?;
    store::move_memberships(conn, &moved, old, new)?;
    let owned: Vec<i64> = moving.iter().filter(|held| held.owner == old).map(|held| held.group_id).collect();
    store::move_ownership(conn, &owned, old, new)?;
    let mut changed = [left, doubled, moved].concat();
    changed.sort_unstable();
    changed.dedup();
    Ok(changed)
}
