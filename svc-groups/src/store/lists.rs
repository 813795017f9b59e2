//! Members of a group, groups of a user, both in joining order.

use super::members::BLOCK;
use super::schema::{groups, membership_blocks, memberships};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
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
    /// The group's, at latest when its members were read, where that was looked at.
    pub gaps: Option<Gaps>,
}

/// How many of its places a group's members have left. Never fewer than before, as none is given twice; and as long as
/// there are no more, whoever has number n keeps it: who joins comes behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps(pub i64);

/// Where a page begins while the group has so many gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    pub gaps: Gaps,
    pub place: i64,
}

/// Members after a place; `None`: no such group.
pub fn list_members(conn: &mut DbConn, GroupId(id): GroupId, after: i64, limit: i64) -> QueryResult<Option<Piece>> {
    in_order(conn, id, after + 1, 0, limit)
}

/// Members number `offset` + 1 to `offset` + `limit`: from the bookmark if it still holds, else whole blocks are passed
/// over by their counts.
pub fn list_page(
    conn: &mut DbConn,
    GroupId(id): GroupId,
    offset: i64,
    limit: i64,
    known: Option<Bookmark>,
) -> QueryResult<Option<Piece>> {
    if offset < BLOCK {
        return in_order(conn, id, 0, offset, limit);
    }
    // Where nobody has left, places are numbers.
    let known = known.unwrap_or(Bookmark { gaps: Gaps(0), place: offset.saturating_add(1) });
    if let Some(piece) = from_bookmark(conn, id, known, limit)? {
        return Ok(Some(piece));
    }
    match pass_over(conn, id, offset)? {
        Some(Passed { gaps, from, skip }) => {
            let piece = in_order(conn, id, from, skip, limit)?;
            Ok(piece.map(|piece| Piece { gaps, ..piece }))
        }
        None => nobody(conn, id),
    }
}

/// `None`: the group has other gaps, or nobody is there.
fn from_bookmark(conn: &mut DbConn, id: i64, known: Bookmark, limit: i64) -> QueryResult<Option<Piece>> {
    let Bookmark { gaps: Gaps(gaps), place } = known;
    let group = groups::table.find(id);
    // A bound of the search: where the bookmark does not hold it is NULL, and neither database reads any member. A
    // condition of its own SQLite would ask of each.
    let holds = group.filter((groups::last_place - groups::members).eq(gaps));
    let from = holds.select(place.into_sql::<BigInt>()).single_value();
    let rows: Vec<(i64, String, Option<String>)> = memberships::table
        .filter(memberships::group_id.eq(id))
        .filter(memberships::place.nullable().ge(from))
        .order(memberships::place)
        .limit(limit)
        .select((memberships::place, memberships::uid, group.select(groups::name).single_value()))
        .load(conn)?;
    Ok(piece_of(rows).map(|piece| Piece { gaps: Some(known.gaps), ..piece }))
}

/// How far a group's members were passed over.
struct Passed {
    /// The group's, before the first was.
    gaps: Option<Gaps>,
    /// The place that comes after the last of them.
    from: i64,
    /// How many are still to be passed over from there.
    skip: i64,
}

/// `None`: there are no more.
fn pass_over(conn: &mut DbConn, id: i64, offset: i64) -> QueryResult<Option<Passed>> {
    let (mut skip, mut after, mut piece, mut gaps) = (offset, -1, 0, None);
    loop {
        // As many as there must be, and some for the gaps that members left; where those are large, more and more.
        piece = (skip / BLOCK + 8).max(2 * piece);
        let now = groups::table.find(id).select(groups::last_place - groups::members).single_value();
        let blocks = membership_blocks::table
            .filter(membership_blocks::group_id.eq(id))
            .filter(membership_blocks::block.gt(after))
            .order(membership_blocks::block)
            .limit(piece)
            .select((membership_blocks::block, membership_blocks::members, now))
            .load::<(i64, i64, Option<i64>)>(conn)?;
        gaps = gaps.or(blocks.first().and_then(|(.., gaps)| gaps.map(Gaps)));
        for &(block, members, _) in &blocks {
            if members > skip {
                return Ok(Some(Passed { gaps, from: block * BLOCK, skip }));
            }
            skip -= members;
        }
        match blocks.last() {
            Some(&(last, ..)) if blocks.len() as i64 == piece => after = last,
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
    if rows.is_empty() { nobody(conn, id) } else { Ok(piece_of(rows)) }
}

/// `None` where there are none, or no group.
fn piece_of(rows: Vec<(i64, String, Option<String>)>) -> Option<Piece> {
    let name = rows.first().and_then(|(_, _, name)| name.clone())?;
    let members = rows.into_iter().map(|(place, uid, _)| (place, uid)).collect();
    Some(Piece { name, members, gaps: None })
}

/// What there is past the end.
fn nobody(conn: &mut DbConn, id: i64) -> QueryResult<Option<Piece>> {
    let name = groups::table.find(id).select(groups::name).first(conn).optional()?;
    Ok(name.map(|name| Piece { name, members: Vec::new(), gaps: None }))
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
