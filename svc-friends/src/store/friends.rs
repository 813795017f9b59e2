//! Table `friends`: one row per owner and friend, former ones included.

use super::batch::upsert;
use super::schema::friends;
use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text};
use serde::Serialize;
use service_kit::db::DbConn;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Selectable, Insertable, Serialize)]
#[diesel(table_name = friends)]
pub struct FriendRow {
    pub owner: String,
    pub friend: String,
    pub stamp: i64,
    pub active: bool,
    pub remark: String,
    pub source: String,
}

upsert! {
    upsert_friends, FriendRow,
    friends (owner: String => Text, friend: String => Text)
    set (stamp: i64 => BigInt, active: bool => Bool, remark: String => Text, source: String => Text)
}

/// Entries of `owner` later than `after`, former friends included.
#[auto_type]
pub(super) fn entries_after<'a>(owner: &'a str, after: i64, limit: i64) -> _ {
    friends::table.filter(friends::owner.eq(owner)).filter(friends::stamp.gt(after)).order(friends::stamp).limit(limit)
}

/// Current friends of `owner` with entries later than `after`. The bare column, not a comparison with a parameter:
/// only so does the partial index serve.
#[auto_type]
pub(super) fn active_after<'a>(owner: &'a str, after: i64, limit: i64) -> _ {
    friends::table
        .filter(friends::owner.eq(owner))
        .filter(friends::active)
        .filter(friends::stamp.gt(after))
        .order(friends::stamp)
        .limit(limit)
}

/// By ascending stamp.
pub fn list_friends(
    conn: &mut DbConn,
    owner: &str,
    after: i64,
    former_too: bool,
    limit: i64,
) -> QueryResult<Vec<FriendRow>> {
    if former_too {
        entries_after(owner, after, limit).select(FriendRow::as_select()).load(conn)
    } else {
        active_after(owner, after, limit).select(FriendRow::as_select()).load(conn)
    }
}

/// A list from its beginning, former friends included: of more than `limit` entries all current friends, and former ones
/// as far back as to make `limit` of those. One statement, and so one picture. By ascending stamp.
pub fn list_whole(conn: &mut DbConn, owner: &str, limit: i64) -> QueryResult<Vec<FriendRow>> {
    let all = list_friends(conn, owner, 0, true, limit)?;
    if i64::try_from(all.len()) != Ok(limit) {
        return Ok(all);
    }
    let sql = "SELECT owner, friend, stamp, active, remark, source FROM friends WHERE owner = $1 AND active
        UNION ALL
        SELECT * FROM (SELECT owner, friend, stamp, active, remark, source FROM friends
            WHERE owner = $2 AND NOT active ORDER BY stamp DESC LIMIT $3) AS former
        ORDER BY stamp";
    let query = sql_query(sql).bind::<Text, _>(owner).bind::<Text, _>(owner);
    RunQueryDsl::load(query.bind::<BigInt, _>(limit), conn)
}

/// What each of the two has of the other.
pub fn list_of_pair(conn: &mut DbConn, a: &str, b: &str) -> QueryResult<Vec<FriendRow>> {
    let one = friends::owner.eq(a).and(friends::friend.eq(b));
    let other = friends::owner.eq(b).and(friends::friend.eq(a));
    friends::table.filter(one.or(other)).select(FriendRow::as_select()).load(conn)
}
