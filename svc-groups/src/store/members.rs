//! Who is in a group. Every change first takes the group's row, which serialises changes of one group and keeps a
//! dismissed group from gaining members.

use super::AT_ONCE;
use super::schema::{groups, membership_blocks, memberships};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::query_dsl::methods::FilterDsl;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use service_kit::db::{DbConn, Prepared};
use service_kit::on_backend;
use shared_models::{GroupId, Stamp};

/// So many places are counted together (`membership_blocks`): a page costs at most one row a block and one index
/// entry a place of one block.
pub const BLOCK: i64 = 512;

/// Takes the user, so that his joins come one after another, until the end of the transaction: before any group's
/// row. SQLite has one writer anyway.
pub fn lock_user(conn: &mut DbConn, uid: &str) -> QueryResult<()> {
    match conn {
        DbConn::Sqlite(_) => Ok(()),
        DbConn::Pg(c) => {
            let lock = sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))");
            RunQueryDsl::execute(lock.bind::<Text, _>(uid), c).map(drop)
        }
    }
}

/// A user's memberships, counted up to `limit`; those of groups that are gone too.
pub fn count_memberships(conn: &mut DbConn, uid: &str, limit: i64) -> QueryResult<i64> {
    count(conn, "SELECT count(*) AS n FROM (SELECT 1 FROM memberships WHERE uid = $1 LIMIT $2) AS joined", uid, limit)
}

/// A user's groups, counted up to `limit`.
pub fn count_groups(conn: &mut DbConn, uid: &str, limit: i64) -> QueryResult<i64> {
    let sql = "SELECT count(*) AS n FROM (SELECT 1 FROM memberships m INNER JOIN groups g ON g.id = m.group_id \
               WHERE m.uid = $1 LIMIT $2) AS joined";
    count(conn, sql, uid, limit)
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn count(conn: &mut DbConn, sql: &str, uid: &str, limit: i64) -> QueryResult<i64> {
    let query = sql_query(sql).bind::<Text, _>(uid).bind::<BigInt, _>(limit);
    Ok(Prepared(query).row(conn)?.map_or(0, |Counted { n }| n))
}

/// Gives a user the next place in a group that has fewer than `max_members`, if he has fewer than `few` memberships (1
/// at least; `None`: however many); `false` where not, or there is no such group. Whoever is a member already violates
/// a unique key; on PostgreSQL `false` and nothing taken, unless he became one at the same time.
pub fn join(
    conn: &mut DbConn,
    id: GroupId,
    uid: &str,
    max_members: i64,
    few: Option<i64>,
    now: Stamp,
) -> QueryResult<bool> {
    let too_many = few.map_or(i64::MAX, |few| few - 1);
    let DbConn::Pg(c) = conn else {
        let Some(place) = take_place(conn, id, uid, max_members, too_many)? else { return Ok(false) };
        return insert_membership(conn, id, uid, place, now).map(|()| true);
    };
    // In one statement: the group's row is held for no round trip, and all who join wait for it.
    let sql = sql_query(
        "WITH taken AS (
            UPDATE groups SET members = members + 1, last_place = last_place + 1
            WHERE id = $1 AND members < $2
                AND NOT EXISTS (SELECT 1 FROM memberships WHERE group_id = $1 AND uid = $3)
                AND NOT EXISTS (SELECT 1 FROM memberships WHERE uid = $3 OFFSET $4 LIMIT 1)
            RETURNING id, last_place
        ), joined AS (
            INSERT INTO memberships (group_id, uid, place, joined_at) SELECT id, $3, last_place, $5 FROM taken
            RETURNING group_id, place
        )
        INSERT INTO membership_blocks AS b (group_id, block, members) SELECT group_id, place / $6, 1 FROM joined
        ON CONFLICT (group_id, block) DO UPDATE SET members = b.members + 1 RETURNING b.members AS n",
    );
    let sql = sql.bind::<BigInt, _>(id.0).bind::<BigInt, _>(max_members).bind::<Text, _>(uid);
    let sql = sql.bind::<BigInt, _>(too_many).bind::<BigInt, _>(now.0).bind::<BigInt, _>(BLOCK);
    Ok(Prepared(sql).row::<Counted, _>(c)?.is_some())
}

/// Counts one more member and gives him the next place; `None` where [`join`] does not.
fn take_place(
    conn: &mut DbConn,
    GroupId(id): GroupId,
    uid: &str,
    max_members: i64,
    too_many: i64,
) -> QueryResult<Option<i64>> {
    let mine = FilterDsl::filter(memberships::table, memberships::uid.eq(uid));
    let last = QueryDsl::select(mine, memberships::id).offset(too_many).limit(1);
    let may = groups::members.lt(max_members).and(not(exists(last)));
    let group = QueryDsl::filter(groups::table.find(id), may);
    let next = (groups::members.eq(groups::members + 1), groups::last_place.eq(groups::last_place + 1));
    Prepared(diesel::update(group).set(next).returning(groups::last_place)).row(conn)
}

/// Counts one member less; `false` if there is no such group, or `not_owner` owns it.
pub fn give_up_place(conn: &mut DbConn, GroupId(id): GroupId, not_owner: &str) -> QueryResult<bool> {
    let group = QueryDsl::filter(groups::table.find(id), groups::owner.ne(not_owner));
    let less = diesel::update(group).set(groups::members.eq(groups::members - 1));
    Ok(Prepared(less.returning(groups::id)).row::<i64, _>(conn)?.is_some())
}

/// Adds a member at a place that was taken for him.
pub fn insert_membership(
    conn: &mut DbConn,
    GroupId(id): GroupId,
    uid: &str,
    place: i64,
    now: Stamp,
) -> QueryResult<()> {
    let row = (
        memberships::group_id.eq(id),
        memberships::uid.eq(uid),
        memberships::place.eq(place),
        memberships::joined_at.eq(now.0),
    );
    RunQueryDsl::execute(diesel::insert_into(memberships::table).values(row), conn)?;
    let block = (
        membership_blocks::group_id.eq(id),
        membership_blocks::block.eq(place / BLOCK),
        membership_blocks::members.eq(1),
    );
    on_backend!(conn, c => Prepared(diesel::insert_into(membership_blocks::table)
        .values(block)
        .on_conflict((membership_blocks::group_id, membership_blocks::block))
        .do_update()
        .set(membership_blocks::members.eq(membership_blocks::members + 1))
        .returning(membership_blocks::members))
        .row::<i64, _>(c))
    .map(drop)
}

/// Deletes a membership; `false` if there is none. Not the group's count: that comes first.
pub fn delete_membership(conn: &mut DbConn, GroupId(id): GroupId, uid: &str) -> QueryResult<bool> {
    let place: Option<i64> =
        diesel::delete(memberships::table.find((id, uid))).returning(memberships::place).get_result(conn).optional()?;
    let Some(place) = place else { return Ok(false) };
    let block = membership_blocks::table.find((id, place / BLOCK));
    let less = diesel::update(block).set(membership_blocks::members.eq(membership_blocks::members - 1));
    let left: Option<i64> = Prepared(less.returning(membership_blocks::members)).row(conn)?;
    if left.is_some_and(|n| n <= 0) {
        diesel::delete(block).execute(conn)?;
    }
    Ok(true)
}

/// Ends a user's memberships of these groups, whose rows the caller holds, and counts them out.
pub fn delete_memberships(conn: &mut DbConn, ids: &[i64], uid: &str) -> QueryResult<()> {
    for some in ids.chunks(AT_ONCE) {
        let mine = FilterDsl::filter(memberships::table, memberships::uid.eq(uid));
        let mut gone: Vec<(i64, i64)> = diesel::delete(FilterDsl::filter(mine, memberships::group_id.eq_any(some)))
            .returning((memberships::place, memberships::group_id))
            .get_results(conn)?;
        gone.iter_mut().for_each(|(place, _)| *place /= BLOCK);
        gone.sort_unstable();
        let left: Vec<i64> = gone.iter().map(|(_, id)| *id).collect();
        diesel::update(FilterDsl::filter(groups::table, groups::id.eq_any(left)))
            .set(groups::members.eq(groups::members - 1))
            .execute(conn)?;
        // A user has one place in a group; most are in the same few blocks of theirs.
        for same in gone.chunk_by(|a, b| a.0 == b.0) {
            let block = same.first().map_or(0, |(block, _)| *block);
            let ids: Vec<i64> = same.iter().map(|(_, id)| *id).collect();
            let blocks = FilterDsl::filter(
                membership_blocks::table,
                membership_blocks::block.eq(block).and(membership_blocks::group_id.eq_any(ids)),
            );
            diesel::update(blocks.clone())
                .set(membership_blocks::members.eq(membership_blocks::members - 1))
                .execute(conn)?;
            diesel::delete(FilterDsl::filter(blocks, membership_blocks::members.le(0))).execute(conn)?;
        }
    }
    Ok(())
}

/// Those of `uids` that are members.
pub fn list_present(conn: &mut DbConn, GroupId(id): GroupId, uids: &[String]) -> QueryResult<Vec<String>> {
    let mut present = Vec::with_capacity(uids.len());
    for chunk in uids.chunks(AT_ONCE) {
        let some =
            FilterDsl::filter(memberships::table, memberships::group_id.eq(id).and(memberships::uid.eq_any(chunk)));
        present.extend(QueryDsl::select(some, memberships::uid).load::<String>(conn)?);
    }
    Ok(present)
}
