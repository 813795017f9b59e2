//! Many rows in one statement: on PostgreSQL each is a round trip, on SQLite each holds up the one writer. They do what
//! their namesakes in `store` do row by row.

use super::Intent;
use crate::db::DbConn;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use shared_models::Stamp;

/// The rows come as arrays on PostgreSQL and as a JSON array of rows on SQLite, where `WHERE TRUE` keeps the parser
/// from taking ON CONFLICT for a join's.
const TAKE_LANES: [&str; 2] = [
    "INSERT INTO outbox_lanes (kind, lane, due_at, claim, failures, reason) \
     SELECT kind, lane, $1, '', 0, '' FROM unnest($2, $3) WITH ORDINALITY AS t (kind, lane, n) ORDER BY n \
     ON CONFLICT (kind, lane) DO UPDATE SET due_at = outbox_lanes.due_at",
    "INSERT INTO outbox_lanes (due_at, kind, lane, claim, failures, reason) \
     SELECT ?, value ->> 0, value ->> 1, '', 0, '' FROM json_each(?) WHERE TRUE ORDER BY key \
     ON CONFLICT (kind, lane) DO UPDATE SET due_at = outbox_lanes.due_at",
];

const PUT: [&str; 2] = [
    "INSERT INTO outbox (since, kind, lane, key, detail, version, dead, reason) \
     SELECT $1, kind, lane, key, detail, 1, FALSE, '' \
     FROM unnest($2, $3, $4, $5) WITH ORDINALITY AS t (kind, lane, key, detail, n) ORDER BY n \
     ON CONFLICT (kind, lane, key) DO UPDATE SET detail = excluded.detail, version = outbox.version + 1, \
     since = CASE WHEN outbox.dead THEN excluded.since ELSE outbox.since END, dead = FALSE, reason = ''",
    "INSERT INTO outbox (since, kind, lane, key, detail, version, dead, reason) \
     SELECT ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3, 1, FALSE, '' \
     FROM json_each(?) AS t WHERE TRUE ORDER BY t.key \
     ON CONFLICT (kind, lane, key) DO UPDATE SET detail = excluded.detail, version = outbox.version + 1, \
     since = CASE WHEN outbox.dead THEN excluded.since ELSE outbox.since END, dead = FALSE, reason = ''",
];

/// Distinct lanes, kind and name, taken as they stand.
pub(super) fn take_lanes(conn: &mut DbConn, lanes: &[(&str, &str)], now: Stamp) -> QueryResult<()> {
    let done = match conn {
        DbConn::Pg(c) => {
            let (kinds, lanes): (Vec<&str>, Vec<&str>) = lanes.iter().copied().unzip();
            sql_query(TAKE_LANES[0])
                .bind::<BigInt, _>(now.0)
                .bind::<Array<Text>, _>(kinds)
                .bind::<Array<Text>, _>(lanes)
                .execute(c)
        }
        DbConn::Sqlite(c) => {
            let rows = json(lanes)?;
            sql_query(TAKE_LANES[1]).bind::<BigInt, _>(now.0).bind::<Text, _>(rows).execute(c)
        }
    };
    done.map(drop)
}

/// Intents of distinct names, numbered as they stand; their lanes are held.
pub(super) fn put(conn: &mut DbConn, intents: &[&Intent], now: Stamp) -> QueryResult<()> {
    let done = match conn {
        DbConn::Pg(c) => {
            let column = |of: fn(&Intent) -> &str| -> Vec<&str> { intents.iter().map(|i| of(i)).collect() };
            sql_query(PUT[0])
                .bind::<BigInt, _>(now.0)
                .bind::<Array<Text>, _>(column(|i| &i.kind))
                .bind::<Array<Text>, _>(column(|i| &i.lane))
                .bind::<Array<Text>, _>(column(|i| &i.key))
                .bind::<Array<Text>, _>(column(|i| &i.detail))
                .execute(c)
        }
        DbConn::Sqlite(c) => {
            let rows: Vec<[&str; 4]> = intents.iter().map(|i| [i.kind.as_ref(), &i.lane, &i.key, &i.detail]).collect();
            sql_query(PUT[1]).bind::<BigInt, _>(now.0).bind::<Text, _>(json(&rows)?).execute(c)
        }
    };
    done.map(drop)
}

fn json<T: serde::Serialize>(rows: &[T]) -> QueryResult<String> {
    serde_json::to_string(rows).map_err(|e| diesel::result::Error::SerializationError(e.into()))
}
