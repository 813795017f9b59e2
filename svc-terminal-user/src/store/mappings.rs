//! Tables `mappings` and `used_codes`.

use super::schema::{mappings, terminal_users, used_codes};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use service_kit::db::DbConn;
use service_kit::on_backend;
use sha2::{Digest, Sha256};
use shared_models::{Stamp, Uid};

/// A terminal user and the account that he is.
#[derive(Clone, Queryable)]
pub struct MappingRow {
    pub im_uid: String,
    pub tuser_key: String,
    pub user_id: String,
    pub bound_at: i64,
}

pub fn find_of_user(conn: &mut DbConn, im_uid: &str) -> QueryResult<Option<MappingRow>> {
    mappings::table
        .inner_join(terminal_users::table.on(terminal_users::im_uid.eq(mappings::im_uid)))
        .filter(mappings::im_uid.eq(im_uid))
        .select((mappings::im_uid, terminal_users::tuser_key, mappings::user_id, mappings::bound_at))
        .first(conn)
        .optional()
}

pub fn find_of_account(conn: &mut DbConn, user_id: &str) -> QueryResult<Option<MappingRow>> {
    mappings::table
        .inner_join(terminal_users::table.on(terminal_users::im_uid.eq(mappings::im_uid)))
        .filter(mappings::user_id.eq(user_id))
        .select((mappings::im_uid, terminal_users::tuser_key, mappings::user_id, mappings::bound_at))
        .first(conn)
        .optional()
}

/// Takes an account, which has no row here, until the end of the transaction. SQLite has one writer anyway.
pub fn lock_account(conn: &mut DbConn, user_id: &Uid) -> QueryResult<()> {
    if let DbConn::Pg(c) = conn {
        let digest = Sha256::digest(format!("mapping of {}", user_id.as_str()));
        // Two accounts with one number would only wait for each other.
        let number = digest.iter().take(8).fold(0_i64, |n, byte| n << 8 | i64::from(*byte));
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(number).execute(c)?;
    }
    Ok(())
}

/// Maps the two to each other instead of whatever either was mapped to. The caller holds the account, and the rows of
/// this user and of the account's former one.
pub fn replace_mapping(conn: &mut DbConn, im_uid: &Uid, user_id: &Uid, now: Stamp) -> QueryResult<()> {
    let either = mappings::im_uid.eq(im_uid.as_str()).or(mappings::user_id.eq(user_id.as_str()));
    diesel::delete(mappings::table.filter(either)).execute(conn)?;
    let row =
        (mappings::im_uid.eq(im_uid.as_str()), mappings::user_id.eq(user_id.as_str()), mappings::bound_at.eq(now.0));
    diesel::insert_into(mappings::table).values(row).execute(conn)?;
    Ok(())
}

/// Ends an account's mapping, if it is the one made at `bound_at`.
pub fn delete_mapping(conn: &mut DbConn, user_id: &Uid, bound_at: Stamp) -> QueryResult<usize> {
    let mapping = mappings::user_id.eq(user_id.as_str()).and(mappings::bound_at.eq(bound_at.0));
    diesel::delete(mappings::table.filter(mapping)).execute(conn)
}

/// Stores that a code is used; `false` if it was before. Of several at once the others wait for the first.
pub fn insert_used_code(conn: &mut DbConn, code_hash: &str, im_uid: &Uid, now: Stamp) -> QueryResult<bool> {
    let row =
        (used_codes::code_hash.eq(code_hash), used_codes::im_uid.eq(im_uid.as_str()), used_codes::used_at.eq(now.0));
    on_backend!(conn, c => diesel::insert_into(used_codes::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c)
        .map(|n| n == 1))
}

/// Who used a code.
pub fn find_used_code(conn: &mut DbConn, code_hash: &str) -> QueryResult<Option<String>> {
    used_codes::table.find(code_hash).select(used_codes::im_uid).first(conn).optional()
}

pub fn delete_used_codes(conn: &mut DbConn, before: Stamp) -> QueryResult<usize> {
    diesel::delete(used_codes::table.filter(used_codes::used_at.lt(before.0))).execute(conn)
}
