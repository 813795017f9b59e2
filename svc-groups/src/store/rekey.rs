//! Table `rekeyings`, and moving memberships from one user to another.

use super::AT_ONCE;
use super::schema::{groups, memberships, rekeyings};
use diesel::prelude::*;
use service_kit::db::DbConn;
use service_kit::on_backend;
use shared_models::Stamp;

/// A membership as re-keying looks at it.
#[derive(Debug, Clone, Queryable)]
pub struct Held {
    pub group_id: i64,
    pub joined_at: i64,
    pub owner: String,
}

/// Stores that an operation is done; `false` if it was before.
pub fn insert_rekeying(conn: &mut DbConn, operation_id: &str, now: Stamp) -> QueryResult<bool> {
    let row = (rekeyings::operation_id.eq(operation_id), rekeyings::done_at.eq(now.0));
    on_backend!(conn, c => diesel::insert_into(rekeyings::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c)
        .map(|n| n == 1))
}

pub fn list_groups_of(conn: &mut DbConn, uids: [&str; 2]) -> QueryResult<Vec<i64>> {
    memberships::table
        .inner_join(groups::table.on(groups::id.eq(memberships::group_id)))
        .filter(memberships::uid.eq_any(uids))
        .select(groups::id)
        .distinct()
        .order(groups::id)
        .load(conn)
}

/// Takes the groups' rows, in the order of their ids, so that nobody changes their members until the end of the
/// transaction. SQLite has one writer anyway.
pub fn lock_groups(conn: &mut DbConn, ids: &[i64]) -> QueryResult<()> {
    match conn {
        DbConn::Sqlite(_) => Ok(()),
        DbConn::Pg(c) => {
            let locked: Vec<i64> = groups::table
                .filter(groups::id.eq_any(ids))
                .order(groups::id)
                .select(groups::id)
                .for_update()
                .load(c)?;
            drop(locked);
            Ok(())
        }
    }
}

/// A user's memberships of groups that exist.
pub fn list_held(conn: &mut DbConn, uid: &str) -> QueryResult<Vec<Held>> {
    memberships::table
        .inner_join(groups::table.on(groups::id.eq(memberships::group_id)))
        .filter(memberships::uid.eq(uid))
        .order(groups::id)
        .select((groups::id, memberships::joined_at, groups::owner))
        .load(conn)
}

/// The memberships keep their places and dates.
pub fn move_memberships(conn: &mut DbConn, ids: &[i64], old: &str, new: &str) -> QueryResult<()> {
    for some in ids.chunks(AT_ONCE) {
        let of_old = memberships::table.filter(memberships::uid.eq(old)).filter(memberships::group_id.eq_any(some));
        diesel::update(of_old).set(memberships::uid.eq(new)).execute(conn)?;
    }
    Ok(())
}

pub fn move_ownership(conn: &mut DbConn, ids: &[i64], old: &str, new: &str) -> QueryResult<()> {
    for some in ids.chunks(AT_ONCE) {
        let of_old = groups::table.filter(groups::id.eq_any(some)).filter(groups::owner.eq(old));
        diesel::update(of_old).set(groups::owner.eq(new)).execute(conn)?;
    }
    Ok(())
}
