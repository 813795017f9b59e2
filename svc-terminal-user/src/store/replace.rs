//! Tables `replacements`, `newest_keys` and `replaced_rows`, and what a replacement does to `validities` and `records`.
//! The caller holds both users' rows.

use super::schema::{newest_keys, records, replaced_rows, replacements, validities};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use diesel::upsert::excluded;
use service_kit::db::DbConn;
use service_kit::on_backend;
use shared_models::{Stamp, Uid};

/// A replacement that is under way.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub id: i64,
    pub app_id: String,
    pub old_uid: String,
    pub new_uid: String,
    pub now: i64,
}

pub fn insert_replacement(
    conn: &mut DbConn,
    app_id: &str,
    old: &Uid,
    new: &Uid,
    now: Stamp,
) -> QueryResult<Replacement> {
    let row = (
        replacements::app_id.eq(app_id),
        replacements::old_uid.eq(old.as_str()),
        replacements::new_uid.eq(new.as_str()),
        replacements::replaced_at.eq(now.0),
    );
    let id = diesel::insert_into(replacements::table).values(row).returning(replacements::id).get_result(conn)?;
    let (old_uid, new_uid) = (old.as_str().to_owned(), new.as_str().to_owned());
    Ok(Replacement { id, app_id: app_id.to_owned(), old_uid, new_uid, now: now.0 })
}

/// How far a key's chain was followed: to which user, by which replacement.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName)]
pub struct Reached {
    #[diesel(sql_type = Text)]
    pub uid: String,
    /// 0: by none.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
}

impl Reached {
    /// Where a chain begins.
    pub fn first(uid: &str) -> Self {
        Self { uid: uid.to_owned(), id: 0 }
    }
}

/// Follows a chain: of each key the first replacement after the one that led to it, `limit` of them at most. Replacements
/// of one key are made one after another, so their ids are in their order.
pub fn follow(conn: &mut DbConn, app_id: &str, from: &Reached, limit: i64) -> QueryResult<Reached> {
    let sql = "WITH RECURSIVE walk (id, uid, hops) AS (
            SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST(0 AS BIGINT)
            UNION ALL
            SELECT r.id, r.new_uid, w.hops + 1 FROM walk w INNER JOIN replacements r ON r.id = (
                SELECT n.id FROM replacements n WHERE n.app_id = $3 AND n.old_uid = w.uid AND n.id > w.id
                ORDER BY n.id LIMIT 1)
            WHERE w.hops < $4)
        SELECT id, uid FROM walk ORDER BY hops DESC LIMIT 1";
    let query = sql_query(sql).bind::<BigInt, _>(from.id).bind::<Text, _>(&from.uid);
    RunQueryDsl::get_result(query.bind::<Text, _>(app_id).bind::<BigInt, _>(limit), conn)
}

/// How far a key's chain was followed when that was last kept.
pub fn find_reached(conn: &mut DbConn, app_id: &str, first_uid: &str) -> QueryResult<Option<Reached>> {
    let row = newest_keys::table.find((app_id, first_uid));
    row.select((newest_keys::newest_uid, newest_keys::last_id)).first(conn).optional()
}

/// Keeps how far a key's chain was followed. `replacements` alone is the truth: whatever is kept here leads to the same
/// end, only sooner.
pub fn keep_reached(conn: &mut DbConn, app_id: &str, first_uid: &str, reached: &Reached) -> QueryResult<usize> {
    let row = (
        newest_keys::app_id.eq(app_id),
        newest_keys::first_uid.eq(first_uid),
        newest_keys::newest_uid.eq(&reached.uid),
        newest_keys::last_id.eq(reached.id),
    );
    on_backend!(conn, c => diesel::insert_into(newest_keys::table)
        .values(row)
        .on_conflict((newest_keys::app_id, newest_keys::first_uid))
        .do_update()
        .set((
            newest_keys::newest_uid.eq(excluded(newest_keys::newest_uid)),
            newest_keys::last_id.eq(excluded(newest_keys::last_id)),
        ))
        .execute(c))
}

/// Columns of `replaced_rows` that are filled from a deleted row. A macro, because the type has no name.
macro_rules! columns {
    () => {
        (
            replaced_rows::replacement_id,
            replaced_rows::app_id,
            replaced_rows::old_uid,
            replaced_rows::new_uid,
            replaced_rows::deleted_at,
            replaced_rows::im_uid,
            replaced_rows::kind,
            replaced_rows::record_id,
            replaced_rows::subject,
            replaced_rows::amount,
            replaced_rows::start_time,
            replaced_rows::end_time,
        )
    };
}

/// What a deleted record looks like there.
macro_rules! deleted_record {
    ($r:expr) => {
        (
            $r.id.into_sql::<BigInt>(),
            records::app_id,
            (&$r.old_uid).into_sql::<Text>(),
            (&$r.new_uid).into_sql::<Text>(),
            $r.now.into_sql::<BigInt>(),
            records::im_uid,
            records::kind,
            records::record_id,
            records::subject,
            records::amount,
            records::occurred_at,
            "".into_sql::<Text>(),
        )
    };
}

/// Of records of `kinds` that both keys have, the old key's are deleted: the new key's own stay.
pub fn delete_doubles(conn: &mut DbConn, r: &Replacement, kinds: &[&str]) -> QueryResult<usize> {
    let other = diesel::alias!(records as other);
    let same = other
        .filter(other.field(records::app_id).eq(&r.app_id))
        .filter(other.field(records::im_uid).eq(&r.new_uid))
        .filter(other.field(records::kind).eq(records::kind))
        .filter(other.field(records::record_id).eq(records::record_id));
    let of_old = records::app_id.eq(&r.app_id).and(records::im_uid.eq(&r.old_uid)).and(records::kind.eq_any(kinds));
    let doubles = records::table.filter(of_old.and(exists(same))).select(deleted_record!(r));
    let found = on_backend!(conn, c => diesel::insert_into(replaced_rows::table)
        .values(doubles)
        .into_columns(columns!())
        .execute(c))?;
    if found == 0 {
        return Ok(0);
    }
    let audited = replaced_rows::table
        .filter(replaced_rows::replacement_id.eq(r.id))
        .filter(replaced_rows::im_uid.eq(&r.old_uid))
        .filter(replaced_rows::kind.eq(records::kind))
        .filter(replaced_rows::record_id.eq(records::record_id));
    let of_old = records::app_id.eq(&r.app_id).and(records::im_uid.eq(&r.old_uid)).and(records::kind.eq_any(kinds));
    on_backend!(conn, c => diesel::delete(records::table.filter(of_old.and(exists(audited)))).execute(c))
}

/// Those of `kinds` of which the old key has records.
pub fn list_kinds(conn: &mut DbConn, r: &Replacement, kinds: &[&str]) -> QueryResult<Vec<String>> {
    records::table
        .filter(records::app_id.eq(&r.app_id))
        .filter(records::im_uid.eq(&r.old_uid))
        .filter(records::kind.eq_any(kinds))
        .select(records::kind)
        .distinct()
        .load(conn)
}

/// The new key's own records of `kinds` are deleted.
pub fn delete_own(conn: &mut DbConn, r: &Replacement, kinds: &[String]) -> QueryResult<usize> {
    let of_new = records::app_id.eq(&r.app_id).and(records::im_uid.eq(&r.new_uid)).and(records::kind.eq_any(kinds));
    let own = records::table.filter(of_new.clone()).select(deleted_record!(r));
    on_backend!(conn, c => diesel::insert_into(replaced_rows::table)
        .values(own)
        .into_columns(columns!())
        .execute(c))?;
    diesel::delete(records::table.filter(of_new)).execute(conn)
}

/// All of the old key's records are the new key's.
pub fn move_records(conn: &mut DbConn, r: &Replacement) -> QueryResult<usize> {
    let of_old = records::app_id.eq(&r.app_id).and(records::im_uid.eq(&r.old_uid));
    diesel::update(records::table.filter(of_old)).set(records::im_uid.eq(&r.new_uid)).execute(conn)
}

/// The new key's validities are deleted and the old key's are its own, if that has any.
pub fn move_validities(conn: &mut DbConn, r: &Replacement) -> QueryResult<usize> {
    let of_old = validities::app_id.eq(&r.app_id).and(validities::im_uid.eq(&r.old_uid));
    let of_new = validities::app_id.eq(&r.app_id).and(validities::im_uid.eq(&r.new_uid));
    if !diesel::select(exists(validities::table.filter(of_old))).get_result::<bool>(conn)? {
        return Ok(0);
    }
    let own = validities::table.filter(of_new).select((
        r.id.into_sql::<BigInt>(),
        validities::app_id,
        (&r.old_uid).into_sql::<Text>(),
        (&r.new_uid).into_sql::<Text>(),
        r.now.into_sql::<BigInt>(),
        validities::im_uid,
        "validity".into_sql::<Text>(),
        validities::ln_md5,
        "".into_sql::<Text>(),
        validities::price,
        validities::start_time,
        validities::end_time,
    ));
    on_backend!(conn, c => diesel::insert_into(replaced_rows::table)
        .values(own)
        .into_columns(columns!())
        .execute(c))?;
    diesel::delete(validities::table.filter(of_new)).execute(conn)?;
    diesel::update(validities::table.filter(of_old)).set(validities::im_uid.eq(&r.new_uid)).execute(conn)
}
