//! Claims: which worker may deliver a lane, until when. Conditional updates of the lane's row, so that of several
//! replicas one gets it.

use super::store::{delete_empty_lane, outbox_lanes};
use crate::db::DbConn;
use diesel::prelude::*;
use shared_models::Stamp;

/// A lane that is this worker's for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claimed {
    pub kind: String,
    pub lane: String,
    /// Nobody else's.
    pub claim: String,
    pub failures: i32,
}

type Due = (String, i32);

/// Claims up to `limit` lanes of a kind that are due, the longest due first.
pub(super) fn claim(
    conn: &mut DbConn,
    kind: &str,
    limit: usize,
    now: Stamp,
    until: Stamp,
    claim: &str,
) -> QueryResult<Vec<Claimed>> {
    let due = outbox_lanes::table
        .filter(outbox_lanes::kind.eq(kind))
        .filter(outbox_lanes::due_at.le(now.0))
        .order((outbox_lanes::due_at, outbox_lanes::lane))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((outbox_lanes::lane, outbox_lanes::failures));
    let due: Vec<Due> = match conn {
        // Another replica's are passed over instead of waited for.
        DbConn::Pg(c) => due.for_update().skip_locked().load(c)?,
        DbConn::Sqlite(c) => due.load(c)?,
    };
    let mut claimed = Vec::with_capacity(due.len());
    for (lane, failures) in due {
        let row = outbox_lanes::table.find((kind, &lane)).filter(outbox_lanes::due_at.le(now.0));
        let mine =
            diesel::update(row).set((outbox_lanes::due_at.eq(until.0), outbox_lanes::claim.eq(claim))).execute(conn)?;
        if mine == 1 {
            claimed.push(Claimed { kind: kind.to_owned(), lane, claim: claim.to_owned(), failures });
        }
    }
    Ok(claimed)
}

/// Gives a lane back, due at `due`, and holds its row until the end of the transaction. `false`: the claim had run
/// out and somebody else has, or had, the lane.
pub(super) fn release(
    conn: &mut DbConn,
    claimed: &Claimed,
    due: Stamp,
    failures: i32,
    reason: &str,
) -> QueryResult<bool> {
    let mine = outbox_lanes::table.find((&claimed.kind, &claimed.lane)).filter(outbox_lanes::claim.eq(&claimed.claim));
    let released = diesel::update(mine)
        .set((
            outbox_lanes::due_at.eq(due.0),
            outbox_lanes::claim.eq(""),
            outbox_lanes::failures.eq(failures),
            outbox_lanes::reason.eq(reason),
        ))
        .execute(conn)?;
    Ok(released == 1)
}

/// Drops a lane that this transaction has just released, if nothing is left in it.
pub(super) fn drop_if_empty(conn: &mut DbConn, claimed: &Claimed) -> QueryResult<()> {
    delete_empty_lane(conn, &claimed.kind, &claimed.lane)
}
