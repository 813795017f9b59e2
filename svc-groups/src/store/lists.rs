//! Members of a group, groups of a user, both in joining order.

use super::members::BLOCK;
use super::schema::{groups, membership_blocks, memberships};
use diesel::prelude::*;
use service_kit::db::DbConn;
use shared_models::GroupId;

/// Place and uid of a member.
pub type Member = (i64, String);

/// A group that a user is in, with the membership's id.
#[derive(Debug, Clone, Queryable)]
pub struct JoinedGroup {
    pub membership: i64,
    pub id: i64,
    pub name: String,
}

/// A piece of a group's list.
pub struct Piece {
    /// The group's.
    pub name: String,
    pub members: Vec<Member>,
}

/// Members after a place; `None`: no such group.
pub fn list_members(conn: &mut DbConn, GroupId(id): GroupId, after: i64, limit: i64) -> QueryResult<Option<Piece>> {
    in_order(conn, id, after + 1, 0, limit)
}

/// Members number `offset` + 1 to `offset` + `limit`: whole blocks are passed over by their counts.
pub fn list_page(conn: &mut DbConn, GroupId(id): GroupId, offset: i64, limit: i64) -> QueryResult<Option<Piece>> {
    if offset < BLOCK {
        return in_order(conn, id, 0, offset, limit);
    }
    match pass_over(conn, id, offset)? {
        Some((from, skip)) => in_order(conn, id, from, skip, limit),
        None => nobody(conn, id),
    }
}

/// The place from which there are so many members less to skip; `None`: there are no more.
fn pass_over(conn: &mut DbConn, id: i64, offset: i64) -> QueryResult<Option<(i64, i64)>> {
    let (mut skip, mut after, mut piece) = (offset, -1, 0);
    loop {
        // As many as there must be, and some for the gaps that members left; where those are large, more and more.
        piece = (skip / BLOCK + 8).max(2 * piece);
        let blocks = membership_blocks::table
            .filter(membership_blocks::group_id.eq(id))
            .filter(membership_blocks::block.gt(after))
            .order(membership_blocks::block)
            .limit(piece)
            .select((membership_blocks::block, membership_blocks::members))
            .load::<(i64, i64)>(conn)?;
        for &(block, members) in &blocks {
            if members > skip {
                return Ok(Some((block * BLOCK, skip)));
            }
            skip -= members;
        }
        match blocks.last() {
            Some(&(last, _)) if blocks.len() as i64 == piece => after = last,
            _ => return Ok(None),
        }
    }
}

/// In one statement, so that the group is there as long as its members are: those of a group that is dismissed vanish
/// piece by piece, and a list without them would look whole.
fn in_order(conn: &mut DbConn, id: i64, from: i64, skip: i64, limit: i64) -> QueryResult<Option<Piece>> {
    let name = groups::table.find(id).select(groups::name).single_value();
    let rows: Vec<(i64, String, Option<String>)> = memberships::table
        .filter(memberships::group_id.eq(id))
        .filter(memberships::place.ge(from))
        .order(memberships::place)
        .offset(skip)
        .limit(limit)
        .select((memberships::place, memberships::uid, name))
        .load(conn)?;
    let Some(name) = rows.first().map(|(_, _, name)| name.clone()) else { return nobody(conn, id) };
    let members = rows.into_iter().map(|(place, uid, _)| (place, uid)).collect();
    Ok(name.map(|name| Piece { name, members }))
}

/// What there is past the end.
fn nobody(conn: &mut DbConn, id: i64) -> QueryResult<Option<Piece>> {
    let name = groups::table.find(id).select(groups::name).first(conn).optional()?;
    Ok(name.map(|name| Piece { name, members: Vec::new() }))
}

/// A user's groups after a membership.
pub fn list_groups(conn: &mut DbConn, uid: &str, after: i64, limit: i64) -> QueryResult<Vec<JoinedGroup>> {
    memberships::table
        .inner_join(groups::table.on(groups::id.eq(memberships::group_id)))
        .filter(memberships::uid.eq(uid))
        .filter(memberships::id.gt(after))
        .order(memberships::id)
        .limit(limit)
        .select((memberships::id, groups::id, groups::name))
        .load(conn)
}
