//! What operators see and do: `kith outbox list|retry`.

use super::store::{outbox, outbox_lanes, take_lane};
use crate::clock::Clock;
use crate::db::{Db, DbConn};
use crate::error::Result;
use diesel::prelude::*;
use shared_models::Stamp;

/// Rows in one transaction.
const AT_ONCE: i64 = 500;

/// An intent, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Listed {
    pub id: i64,
    pub kind: String,
    pub lane: String,
    pub key: String,
    /// Milliseconds since 1970.
    pub since: i64,
    pub is_dead: bool,
    /// Why it is dead.
    pub reason: String,
    /// Of its lane: failures in a row and the last one's reason.
    pub failures: Option<i32>,
    pub trouble: Option<String>,
}

/// The intents after `after` (an id), at most `limit`; the dead only, or all.
pub async fn list(db: &Db, dead_only: bool, after: i64, limit: i64) -> Result<Vec<Listed>> {
    db.read(move |conn| {
        let lane = outbox_lanes::kind.eq(outbox::kind).and(outbox_lanes::lane.eq(outbox::lane));
        let all = outbox::table
            .left_join(outbox_lanes::table.on(lane))
            .filter(outbox::id.gt(after))
            .filter(outbox::dead.eq(true).or(outbox::dead.eq(dead_only)))
            .order(outbox::id)
            .limit(limit)
            .select((
                outbox::id,
                outbox::kind,
                outbox::lane,
                outbox::key,
                outbox::since,
                outbox::dead,
                outbox::reason,
                outbox_lanes::failures.nullable(),
                outbox_lanes::reason.nullable(),
            ));
        Ok(all.load(conn)?)
    })
    .await
}

/// Revives dead letters, all or those of `ids`, and ends the pauses of lanes that failed; answers how many were
/// revived. A running service finds them within a second or so.
pub async fn retry(db: &Db, clock: &Clock, ids: Option<Vec<i64>>) -> Result<u64> {
    let mut revived = 0;
    loop {
        let (ids, now) = (ids.clone(), clock.now());
        let some = db.transaction(move |conn| Ok(revive(conn, ids.as_deref(), now)?)).await?;
        revived += u64::try_from(some).unwrap_or_default();
        if some == 0 {
            break;
        }
    }
    let now = clock.now();
    db.write(move |conn| {
        let paused = outbox_lanes::table.filter(outbox_lanes::claim.eq("")).filter(outbox_lanes::failures.gt(0));
        Ok(diesel::update(paused).set(outbox_lanes::due_at.eq(now.0)).execute(conn)?)
    })
    .await?;
    Ok(revived)
}

fn revive(conn: &mut DbConn, ids: Option<&[i64]>, now: Stamp) -> QueryResult<usize> {
    let dead = outbox::table.filter(outbox::dead.eq(true)).order(outbox::id).limit(AT_ONCE);
    let columns = (outbox::id, outbox::kind, outbox::lane);
    let mut rows: Vec<(i64, String, String)> = match ids {
        None => dead.select(columns).load(conn)?,
        Some(ids) => dead.filter(outbox::id.eq_any(ids.to_vec())).select(columns).load(conn)?,
    };
    // In one order everywhere, so that two who do this do not wait for each other in a ring.
    rows.sort_by(|a, b| (&a.1, &a.2).cmp(&(&b.1, &b.2)));
    for (_, kind, lane) in &rows {
        take_lane(conn, kind, lane, now)?;
    }
    let ids: Vec<i64> = rows.iter().map(|(id, ..)| *id).collect();
    diesel::update(outbox::table.filter(outbox::id.eq_any(ids)))
        .set((outbox::dead.eq(false), outbox::since.eq(now.0), outbox::reason.eq("")))
        .execute(conn)
}
