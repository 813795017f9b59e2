//! Table `requests`: one row per owner, other user and direction.

use super::batch::upsert;
use super::schema::requests;
use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
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
    upsert_requests, RequestRow,
    requests (owner: String => Text, other: String => Text, invited: bool => Bool)
    set (stamp: i64 => BigInt, message: String => Text, source: String => Text, done: bool => Bool)
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

pub fn delete_request(conn: &mut DbConn, owner: &str, other: &str, invited: bool) -> QueryResult<usize> {
    diesel::delete(requests::table.find((owner, other, invited))).execute(conn)
}
