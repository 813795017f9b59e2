//! Tables `outbox` (intents) and `outbox_lanes` (one row a lane that has live intents), the same in each service.
//!
//! Whoever adds, settles or revives intents takes the lane's row first. That row's lock is what keeps a lane from
//! being dropped as empty while somebody adds to it, and orders the intents of a lane as their commits. Whoever needs
//! several lanes in one transaction takes them by [`take_lanes`], in one order everywhere (that of their bytes,
//! whatever the database's collation), so that no two wait for each other in a ring.

use super::{Intent, many};
use crate::db::DbConn;
use crate::on_backend;
use diesel::dsl::{case_when, count_star, min};
use diesel::prelude::*;
use diesel::upsert::excluded;
use shared_models::Stamp;
use std::collections::HashMap;

/// Rows of one statement.
const AT_ONCE: usize = 1000;

diesel::table! {
    outbox (id) {
        id -> BigInt,
        kind -> Text,
        lane -> Text,
        key -> Text,
        detail -> Text,
        /// Grows when the intent is renewed, so that a delivery under way does not settle the renewed one.
        version -> BigInt,
        /// Milliseconds since 1970: the oldest change that was not delivered.
        since -> BigInt,
        dead -> Bool,
        reason -> Text,
    }
}

diesel::table! {
    outbox_lanes (kind, lane) {
        kind -> Text,
        lane -> Text,
        /// Milliseconds since 1970; of a claimed lane the end of the claim.
        due_at -> BigInt,
        /// Empty: nobody's.
        claim -> Text,
        /// Failures in a row, and the last one's reason.
        failures -> Integer,
        reason -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(outbox, outbox_lanes);

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub(super) struct IntentRow {
    pub id: i64,
    pub key: String,
    pub detail: String,
    pub version: i64,
}

/// Writes an intent, in the transaction of the change. A dead one of the same key is revived. A transaction that
/// writes intents of several lanes uses [`enqueue_all`].
pub fn enqueue(conn: &mut DbConn, intent: &Intent, now: Stamp) -> QueryResult<()> {
    take_lane(conn, &intent.kind, &intent.lane, now)?;
    put(conn, intent, now)
}

/// Writes intents of any lanes, with few statements for many. Once in a transaction, because of the order in which
/// lanes are taken.
pub fn enqueue_all(conn: &mut DbConn, intents: &[Intent], now: Stamp) -> QueryResult<()> {
    take_lanes(conn, intents.iter().map(|i| (i.kind.as_ref(), i.lane.as_str())).collect(), now)?;
    // One statement changes a row once: of those that coalesce the newest counts, in the place of the first.
    let mut newest: HashMap<(&str, &str, &str), &Intent> = HashMap::with_capacity(intents.len());
    let mut distinct = Vec::with_capacity(intents.len());
    for intent in intents {
        let name = (intent.kind.as_ref(), intent.lane.as_str(), intent.key.as_str());
        if newest.insert(name, intent).is_none() {
            distinct.push(name);
        }
    }
    let distinct: Vec<&Intent> = distinct.iter().filter_map(|name| newest.get(name).copied()).collect();
    distinct.chunks(AT_ONCE).try_for_each(|some| many::put(conn, some, now))
}

fn put(conn: &mut DbConn, intent: &Intent, now: Stamp) -> QueryResult<()> {
    let row = (
        outbox::kind.eq(intent.kind.as_ref()),
        outbox::lane.eq(&intent.lane),
        outbox::key.eq(&intent.key),
        outbox::detail.eq(&intent.detail),
        outbox::version.eq(1),
        outbox::since.eq(now.0),
        outbox::dead.eq(false),
        outbox::reason.eq(""),
    );
    on_backend!(conn, c => diesel::insert_into(outbox::table)
        .values(row)
        .on_conflict((outbox::kind, outbox::lane, outbox::key))
        .do_update()
        .set((
            outbox::detail.eq(excluded(outbox::detail)),
            outbox::version.eq(outbox::version + 1),
            outbox::since.eq(case_when(outbox::dead, excluded(outbox::since)).otherwise(outbox::since)),
            outbox::dead.eq(false),
            outbox::reason.eq(""),
        ))
        .execute(c))?;
    Ok(())
}

/// Takes lanes, kind and name, in their order.
pub(super) fn take_lanes(conn: &mut DbConn, mut lanes: Vec<(&str, &str)>, now: Stamp) -> QueryResult<()> {
    lanes.sort_unstable();
    lanes.dedup();
    lanes.chunks(AT_ONCE).try_for_each(|some| many::take_lanes(conn, some, now))
}

/// Makes the lane if it is not there, and holds its row until the end of the transaction.
fn take_lane(conn: &mut DbConn, kind: &str, lane: &str, now: Stamp) -> QueryResult<()> {
    let row = (
        outbox_lanes::kind.eq(kind),
        outbox_lanes::lane.eq(lane),
        outbox_lanes::due_at.eq(now.0),
        outbox_lanes::claim.eq(""),
        outbox_lanes::failures.eq(0),
        outbox_lanes::reason.eq(""),
    );
    on_backend!(conn, c => diesel::insert_into(outbox_lanes::table)
        .values(row)
        .on_conflict((outbox_lanes::kind, outbox_lanes::lane))
        .do_update()
        // Changes nothing: a lane in its pause stays there.
        .set(outbox_lanes::due_at.eq(outbox_lanes::due_at))
        .execute(c))?;
    Ok(())
}

/// The first live intents of a lane.
pub(super) fn list_intents(conn: &mut DbConn, kind: &str, lane: &str, limit: usize) -> QueryResult<Vec<IntentRow>> {
    outbox::table
        .filter(outbox::kind.eq(kind))
        .filter(outbox::lane.eq(lane))
        .filter(outbox::dead.eq(false))
        .order(outbox::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(IntentRow::as_select())
        .load(conn)
}

/// Deletes those that were not renewed meanwhile.
pub(super) fn delete_delivered(conn: &mut DbConn, delivered: &[(i64, i64)]) -> QueryResult<usize> {
    each_version(delivered, |version, ids| {
        diesel::delete(outbox::table.filter(outbox::version.eq(version)).filter(outbox::id.eq_any(ids))).execute(conn)
    })
}

/// Buries those that were not renewed meanwhile.
pub(super) fn bury(conn: &mut DbConn, refused: &[(i64, i64)], reason: &str) -> QueryResult<usize> {
    each_version(refused, |version, ids| {
        diesel::update(outbox::table.filter(outbox::version.eq(version)).filter(outbox::id.eq_any(ids)))
            .set((outbox::dead.eq(true), outbox::reason.eq(reason)))
            .execute(conn)
    })
}

/// Few statements for many intents: nearly all are of one version.
fn each_version(
    intents: &[(i64, i64)],
    mut run: impl FnMut(i64, Vec<i64>) -> QueryResult<usize>,
) -> QueryResult<usize> {
    let mut sorted: Vec<(i64, i64)> = intents.iter().map(|(id, version)| (*version, *id)).collect();
    sorted.sort_unstable();
    let mut done = 0;
    for same in sorted.chunk_by(|a, b| a.0 == b.0) {
        // SQLite limits the number of variables.
        for chunk in same.chunks(500) {
            let version = chunk.first().map_or(0, |(version, _)| *version);
            done += run(version, chunk.iter().map(|(_, id)| *id).collect())?;
        }
    }
    Ok(done)
}

/// Buries what waits since before `since`.
pub(super) fn bury_older(conn: &mut DbConn, kind: &str, lane: &str, since: Stamp, reason: &str) -> QueryResult<usize> {
    let old = outbox::table
        .filter(outbox::kind.eq(kind))
        .filter(outbox::lane.eq(lane))
        .filter(outbox::dead.eq(false))
        .filter(outbox::since.lt(since.0));
    diesel::update(old).set((outbox::dead.eq(true), outbox::reason.eq(reason))).execute(conn)
}

/// Removes a lane whose row the caller holds, if no live intent is left.
pub(super) fn delete_empty_lane(conn: &mut DbConn, kind: &str, lane: &str) -> QueryResult<()> {
    if list_intents(conn, kind, lane, 1)?.is_empty() {
        diesel::delete(outbox_lanes::table.find((kind, lane))).execute(conn)?;
    }
    Ok(())
}

pub(super) struct Counted {
    pub waiting: i64,
    pub dead: i64,
    pub oldest: Option<i64>,
}

pub(super) fn count(conn: &mut DbConn) -> QueryResult<Counted> {
    let counted = |dead: bool| outbox::table.filter(outbox::dead.eq(dead)).select(count_star());
    let oldest = outbox::table.filter(outbox::dead.eq(false)).select(min(outbox::since));
    Ok(Counted { waiting: counted(false).first(conn)?, dead: counted(true).first(conn)?, oldest: oldest.first(conn)? })
}
