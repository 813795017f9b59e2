//! Table `requests`: one row per owner, other user and direction.

use super::batch::{json, upsert};
use super::schema::requests;
use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use serde::Serialize;
use service_kit::db::DbConn;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Insertable, Serialize)]
#[diesel(table_name = requests)]
pub struct RequestRow {
    pub owner: String,
    pub other: String,
    pub invited: bool,
    pub stamp: i64,
    pub message: String,
    pub source: String,
    pub done: bool,
}

upsert! {
    upsert_requests, RequestRow, requests (owner, other, invited) set (stamp, message, source, done)
}

#[auto_type]
pub(super) fn entries_after<'a>(owner: &'a str, after: i64, limit: i64) -> _ {
    requests::table
        .filter(requests::owner.eq(owner))
        .filter(requests::stamp.gt(after))
        .order(requests::stamp)
        .limit(limit)
}

#[auto_type]
pub(super) fn entries_before<'a>(owner: &'a str, before: i64, limit: i64) -> _ {
    requests::table
        .filter(requests::owner.eq(owner))
        .filter(requests::stamp.lt(before))
        .order(requests::stamp.desc())
        .limit(limit)
}

/// By ascending stamp.
pub fn list_after(conn: &mut DbConn, owner: &str, after: i64, limit: i64) -> QueryResult<Vec<RequestRow>> {
    entries_after(owner, after, limit).select(RequestRow::as_select()).load(conn)
}

/// By descending stamp.
pub fn list_before(conn: &mut DbConn, owner: &str, before: i64, limit: i64) -> QueryResult<Vec<RequestRow>> {
    entries_before(owner, before, limit).select(RequestRow::as_select()).load(conn)
}

/// Both directions, as both sides have them.
pub fn list_of_pair(conn: &mut DbConn, a: &str, b: &str) -> QueryResult<Vec<RequestRow>> {
    let one = requests::owner.eq(a).and(requests::other.eq(b));
    let other = requests::owner.eq(b).and(requests::other.eq(a));
    requests::table.filter(one.or(other)).select(RequestRow::as_select()).load(conn)
}

/// Rows of the given (owner, other), both directions, in one statement.
pub fn list_of_pairs(conn: &mut DbConn, keys: &[(String, String)]) -> QueryResult<Vec<RequestRow>> {
    match conn {
        DbConn::Pg(c) => {
            let (owners, others): (Vec<&str>, Vec<&str>) = keys.iter().map(|(o, f)| (o.as_str(), f.as_str())).unzip();
            diesel::sql_query(
                "SELECT requests.* FROM unnest($1, $2) AS k (owner, other) \
                 JOIN requests ON requests.owner = k.owner AND requests.other = k.other",
            )
            .bind::<Array<Text>, _>(owners)
            .bind::<Array<Text>, _>(others)
            .load(c)
        }
        DbConn::Sqlite(c) => diesel::sql_query(
            "SELECT requests.* FROM json_each(?) AS k JOIN requests \
             ON requests.owner = json_extract(k.value, '$[0]') AND requests.other = json_extract(k.value, '$[1]')",
        )
        .bind::<Text, _>(json(keys)?)
        .load(c),
    }
}

pub fn delete_request(conn: &mut DbConn, owner: &str, other: &str, invited: bool) -> QueryResult<usize> {
    diesel::delete(requests::table.find((owner, other, invited))).execute(conn)
}
