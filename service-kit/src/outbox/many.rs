//! Many rows in one statement on PostgreSQL, where each statement is a round trip. What they do is what their
//! namesakes in `store` do row by row on SQLite.

use super::Intent;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use shared_models::Stamp;

const TAKE_LANES: &str = "\
    INSERT INTO outbox_lanes (kind, lane, due_at, claim, failures, reason) \
    SELECT kind, lane, $1, '', 0, '' FROM unnest($2, $3) WITH ORDINALITY AS t (kind, lane, n) ORDER BY n \
    ON CONFLICT (kind, lane) DO UPDATE SET due_at = outbox_lanes.due_at";

const PUT: &str = "\
    INSERT INTO outbox (since, kind, lane, key, detail, version, dead, reason) \
    SELECT $1, kind, lane, key, detail, 1, FALSE, '' \
    FROM unnest($2, $3, $4, $5) WITH ORDINALITY AS t (kind, lane, key, detail, n) ORDER BY n \
    ON CONFLICT (kind, lane, key) DO UPDATE SET detail = excluded.detail, version = outbox.version + 1, \
    since = CASE WHEN outbox.dead THEN excluded.since ELSE outbox.since END, dead = FALSE, reason = ''";

/// Distinct lanes, taken as they stand.
pub(super) fn take_lanes(conn: &mut PgConnection, lanes: &[(&str, &str)], now: Stamp) -> QueryResult<()> {
    let (kinds, lanes): (Vec<&str>, Vec<&str>) = lanes.iter().copied().unzip();
    sql_query(TAKE_LANES)
        .bind::<BigInt, _>(now.0)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<Text>, _>(lanes)
        .execute(conn)
        .map(drop)
}

/// Intents of distinct names, numbered as they stand; their lanes are held.
pub(super) fn put(conn: &mut PgConnection, intents: &[&Intent], now: Stamp) -> QueryResult<()> {
    let column = |of: fn(&Intent) -> &str| -> Vec<&str> { intents.iter().map(|i| of(i)).collect() };
    sql_query(PUT)
        .bind::<BigInt, _>(now.0)
        .bind::<Array<Text>, _>(column(|i| &i.kind))
        .bind::<Array<Text>, _>(column(|i| &i.lane))
        .bind::<Array<Text>, _>(column(|i| &i.key))
        .bind::<Array<Text>, _>(column(|i| &i.detail))
        .execute(conn)
        .map(drop)
}
