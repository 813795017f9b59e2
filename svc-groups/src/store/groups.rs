//! Table `groups`, and what is left of groups that are gone.

use super::AT_ONCE;
use super::schema::{dismissed_groups, groups, membership_blocks, memberships};
use diesel::dsl::exists;
use diesel::prelude::*;
use service_kit::db::{Db, DbConn, Gathered};
use service_kit::on_backend;
use shared_models::{GroupId, Stamp};

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = groups)]
pub struct GroupRow {
    pub id: i64,
    pub name: String,
    pub owner: String,
    pub members: i64,
}

/// A group with a place and no member yet; the caller adds its owner as the first.
pub fn insert_group(conn: &mut DbConn, name: &str, owner: &str, now: Stamp) -> QueryResult<i64> {
    let row = (
        groups::name.eq(name),
        groups::owner.eq(owner),
        groups::members.eq(1),
        groups::last_place.eq(1),
        groups::created_at.eq(now.0),
    );
    diesel::insert_into(groups::table).values(row).returning(groups::id).get_result(conn)
}

pub fn find_group(conn: &mut DbConn, GroupId(id): GroupId) -> QueryResult<Option<GroupRow>> {
    groups::table.find(id).select(GroupRow::as_select()).first(conn).optional()
}

/// Groups by id.
pub fn groups(db: &Db) -> Gathered<GroupId, GroupRow> {
    Gathered::new(db.clone(), |conn, &id| find_group(conn, id), list_groups)
}

/// Those of `ids` that exist.
fn list_groups(conn: &mut DbConn, ids: &[GroupId]) -> QueryResult<Vec<(GroupId, GroupRow)>> {
    let ids = ids.iter().map(|id| id.0);
    let rows = groups::table.filter(groups::id.eq_any(ids)).select(GroupRow::as_select()).load(conn)?;
    Ok(rows.into_iter().map(|row: GroupRow| (GroupId(row.id), row)).collect())
}

/// Those of `ids` that are groups.
pub fn list_existing(conn: &mut DbConn, ids: &[i64]) -> QueryResult<Vec<i64>> {
    let mut existing = Vec::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        existing.extend(groups::table.filter(groups::id.eq_any(some)).select(groups::id).load::<i64>(conn)?);
    }
    Ok(existing)
}

/// How a user stands to a group.
#[derive(Queryable)]
pub struct Standing {
    pub is_member: bool,
    /// The group's, all of them.
    pub members: i64,
}

/// `None` if there is no such group.
pub fn find_standing(conn: &mut DbConn, GroupId(id): GroupId, uid: &str) -> QueryResult<Option<Standing>> {
    let is_member = exists(memberships::table.find((id, uid)));
    groups::table.find(id).select((is_member, groups::members)).first(conn).optional()
}

/// Deletes a group if it is the user's, or anybody's; `false` if there is none. From here on nothing joins it and no
/// list shows it; its memberships are deleted later ([`sweep`]).
pub fn delete_group(conn: &mut DbConn, GroupId(id): GroupId, owner: Option<&str>) -> QueryResult<bool> {
    let group = groups::table.find(id);
    let deleted = match owner {
        None => diesel::delete(group).execute(conn)?,
        Some(owner) => diesel::delete(group.filter(groups::owner.eq(owner))).execute(conn)?,
    };
    if deleted == 1 {
        on_backend!(conn, c => diesel::insert_into(dismissed_groups::table)
            .values(dismissed_groups::id.eq(id))
            .on_conflict_do_nothing()
            .execute(c))?;
    }
    Ok(deleted == 1)
}

pub fn list_dismissed(conn: &mut DbConn, limit: i64) -> QueryResult<Vec<i64>> {
    dismissed_groups::table.select(dismissed_groups::id).order(dismissed_groups::id).limit(limit).load(conn)
}

/// Deletes up to `limit` memberships of a group that is gone; `true` when nothing is left of it.
pub fn sweep(conn: &mut DbConn, id: i64, limit: i64) -> QueryResult<bool> {
    let mine = memberships::table.filter(memberships::group_id.eq(id));
    let last: Option<i64> =
        mine.order(memberships::place).select(memberships::place).offset(limit - 1).first(conn).optional()?;
    match last {
        Some(last) => {
            diesel::delete(mine.filter(memberships::place.le(last))).execute(conn)?;
            Ok(false)
        }
        None => {
            diesel::delete(mine).execute(conn)?;
            diesel::delete(membership_blocks::table.filter(membership_blocks::group_id.eq(id))).execute(conn)?;
            diesel::delete(dismissed_groups::table.find(id)).execute(conn)?;
            Ok(true)
        }
    }
}
