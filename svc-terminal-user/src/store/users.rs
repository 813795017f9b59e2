//! Tables `terminal_users` and `introductions`.

use super::schema::{introductions, terminal_users};
use diesel::prelude::*;
use diesel::upsert::excluded;
use service_kit::db::{Db, DbConn, Gathered, Prepared};
use service_kit::on_backend;
use shared_models::{AppId, Stamp, TuserKey, Uid};

pub fn find_key(conn: &mut DbConn, im_uid: &str) -> QueryResult<Option<String>> {
    terminal_users::table.find(im_uid).select(terminal_users::tuser_key).first(conn).optional()
}

/// Keys by IM user id.
pub fn keys(db: &Db) -> Gathered<String, String> {
    Gathered::new(db.clone(), |conn, im_uid| find_key(conn, im_uid), list_keys)
}

/// Those of `im_uids` that are registered, with their keys.
fn list_keys(conn: &mut DbConn, im_uids: &[String]) -> QueryResult<Vec<(String, String)>> {
    let rows = terminal_users::table.filter(terminal_users::im_uid.eq_any(im_uids));
    rows.select((terminal_users::im_uid, terminal_users::tuser_key)).load(conn)
}

/// `false` if somebody is registered under its md5.
pub fn insert_user(conn: &mut DbConn, key: &TuserKey, now: Stamp) -> QueryResult<bool> {
    let row = (
        terminal_users::im_uid.eq(key.im_uid().into_inner()),
        terminal_users::tuser_key.eq(key.as_str()),
        terminal_users::registered_at.eq(now.0),
    );
    on_backend!(conn, c => diesel::insert_into(terminal_users::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c)
        .map(|n| n == 1))
}

/// Takes the users' rows until the end of the transaction, in one order for all callers; answers how many there are.
/// Who writes a user's rows shares them, who moves them has them alone. SQLite has one writer anyway.
pub fn lock_users(conn: &mut DbConn, im_uids: &[&Uid], alone: bool) -> QueryResult<usize> {
    let uids: Vec<&str> = im_uids.iter().map(|uid| uid.as_str()).collect();
    let rows = terminal_users::table
        .filter(terminal_users::im_uid.eq_any(uids))
        .order(terminal_users::im_uid)
        .select(terminal_users::im_uid);
    let locked: Vec<String> = match conn {
        DbConn::Sqlite(c) => rows.load(c)?,
        DbConn::Pg(c) if alone => rows.for_update().load(c)?,
        DbConn::Pg(c) => rows.for_share().load(c)?,
    };
    Ok(locked.len())
}

pub fn find_introduction(conn: &mut DbConn, app_id: &AppId, im_uid: &str) -> QueryResult<Option<String>> {
    introductions::table.find((app_id.as_str(), im_uid)).select(introductions::br_intro).first(conn).optional()
}

pub fn upsert_introduction(conn: &mut DbConn, app_id: &AppId, im_uid: &Uid, br_intro: &str) -> QueryResult<usize> {
    let row = (
        introductions::app_id.eq(app_id.as_str()),
        introductions::im_uid.eq(im_uid.as_str()),
        introductions::br_intro.eq(br_intro),
    );
    on_backend!(conn, c => Prepared(diesel::insert_into(introductions::table)
        .values(row)
        .on_conflict((introductions::app_id, introductions::im_uid))
        .do_update()
        .set(introductions::br_intro.eq(excluded(introductions::br_intro)))
        .returning(introductions::im_uid))
        .rows::<String, _>(c))
    .map(|rows| rows.len())
}
