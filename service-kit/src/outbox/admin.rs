//! What operators see and do: `kith outbox list|retry`.

use super::store::{outbox, outbox_lanes, take_lanes};
use crate::clock::Clock;
use crate::db::{Db, DbConn};
use crate::error::Result;
use diesel::dsl::max;
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

/// Revives dead letters, all that there are now or those of `ids`, and ends the pauses of lanes that failed; answers
/// how many were revived. A running service finds them within a second or so. Each is revived once, even where it is
/// refused again meanwhile.
pub async fn retry(db: &Db, clock: &Clock, ids: Option<Vec<i64>>) -> Result<u64> {
    let newest: Option<i64> = db.read(|conn| Ok(outbox::table.select(max(outbox::id)).first(conn)?)).await?;
    let (mut after, newest) = (0, newest.unwrap_or_default());
    let mut revived = 0;
    loop {
        let (ids, now) = (ids.clone(), clock.now());
        let some = db.transaction(move |conn| Ok(revive(conn, ids.as_deref(), after, newest, now)?)).await?;
        let Some((last, some)) = some else { break };
        after = last;
        revived += some as u64;
    }
    end_pauses(db, clock).await?;
    Ok(revived)
}

/// The first dead letters after one id up to another; answers the last one's id and how many there were.
fn revive(
    conn: &mut DbConn,
    ids: Option<&[i64]>,
    after: i64,
    upto: i64,
    now: Stamp,
) -> QueryResult<Option<(i64, usize)>> {
    let dead = outbox::table
        .filter(outbox::dead.eq(true))
        .filter(outbox::id.gt(after).and(outbox::id.le(upto)))
        .order(outbox::id)
        .limit(AT_ONCE)
        .select((outbox::id, outbox::kind, outbox::lane));
    let rows: Vec<(i64, String, String)> = match ids {
        None => dead.load(conn)?,
        Some(ids) => {
            // The next of those asked for; SQLite limits the number of variables.
            let mut ids: Vec<i64> = ids.iter().copied().filter(|id| *id > after).collect();
            ids.sort_unstable();
            ids.dedup();
            let mut rows = Vec::new();
            for some in ids.chunks(AT_ONCE as usize) {
                rows = dead.filter(outbox::id.eq_any(some.to_vec())).load(conn)?;
                if !rows.is_empty() {
                    break;
                }
            }
            rows
        }
    };
    take_lanes(conn, rows.iter().map(|(_, kind, lane)| (kind.as_str(), lane.as_str())).collect(), now)?;
    let ids: Vec<i64> = rows.iter().map(|(id, ..)| *id).collect();
    let Some(last) = ids.last().copied() else { return Ok(None) };
    let revived = diesel::update(outbox::table.filter(outbox::dead.eq(true)).filter(outbox::id.eq_any(ids)))
        .set((outbox::dead.eq(false), outbox::since.eq(now.0), outbox::reason.eq("")))
        .execute(conn)?;
    Ok(Some((last, revived)))
}

/// Lanes that failed and are nobody's are due now.
async fn end_pauses(db: &Db, clock: &Clock) -> Result<()> {
    let (mut after, now) = (Some((String::new(), String::new())), clock.now());
    while let Some(from) = after.take() {
        after = db.transaction(move |conn| Ok(end_some_pauses(conn, &from, now)?)).await?;
    }
    Ok(())
}

/// Those of the first lanes after one (kind and name); answers the last one.
fn end_some_pauses(
    conn: &mut DbConn,
    (kind, lane): &(String, String),
    now: Stamp,
) -> QueryResult<Option<(String, String)>> {
    let paused = || outbox_lanes::table.filter(outbox_lanes::claim.eq("")).filter(outbox_lanes::failures.gt(0));
    let mut lanes: Vec<(String, String)> = paused()
        .filter(outbox_lanes::kind.gt(kind).or(outbox_lanes::kind.eq(kind).and(outbox_lanes::lane.gt(lane))))
        .order((outbox_lanes::kind, outbox_lanes::lane))
        .limit(AT_ONCE)
        .select((outbox_lanes::kind, outbox_lanes::lane))
        .load(conn)?;
    let last = lanes.last().cloned();
    // As every transaction that takes several.
    lanes.sort_unstable();
    for (kind, lane) in &lanes {
        let lane = paused().filter(outbox_lanes::kind.eq(kind)).filter(outbox_lanes::lane.eq(lane));
        diesel::update(lane).set(outbox_lanes::due_at.eq(now.0)).execute(conn)?;
    }
    Ok(last)
}
