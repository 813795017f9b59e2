//! Table `tokens`: one row a token that was issued.

use super::schema::{accounts, tokens};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use service_kit::db::DbConn;
use service_kit::on_backend;
use shared_models::Platform;
use shared_models::internal::AccountKey;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
// Columns that are always named make one statement, which is kept prepared.
#[diesel(table_name = tokens, treat_none_as_default_value = false)]
pub struct TokenRow {
    pub id: String,
    pub app_id: String,
    pub uid: String,
    pub platform: i32,
    pub issued_at: i64,
    pub expires_at: i64,
    pub state: i32,
    /// Of a provider's token.
    pub text: Option<String>,
}

pub fn insert_token(conn: &mut DbConn, row: &TokenRow) -> QueryResult<usize> {
    diesel::insert_into(tokens::table).values(row).execute(conn)
}

/// One statement: inserts the token if its owner is registered; `false` if not.
pub fn insert_token_of_registered(conn: &mut DbConn, row: &TokenRow) -> QueryResult<bool> {
    let owner = accounts::table
        .filter(accounts::app_id.eq(&row.app_id))
        .filter(accounts::uid.eq(&row.uid))
        .filter(accounts::implicit.eq(false))
        .select((
            (&row.id).into_sql::<Text>(),
            accounts::app_id,
            accounts::uid,
            row.platform.into_sql::<Integer>(),
            row.issued_at.into_sql::<BigInt>(),
            row.expires_at.into_sql::<BigInt>(),
            row.state.into_sql::<Integer>(),
        ));
    on_backend!(conn, c => diesel::insert_into(tokens::table)
        .values(owner)
        .into_columns((
            tokens::id,
            tokens::app_id,
            tokens::uid,
            tokens::platform,
            tokens::issued_at,
            tokens::expires_at,
            tokens::state,
        ))
        .execute(c)
        .map(|n| n == 1))
}

pub fn find_token(conn: &mut DbConn, id: &str) -> QueryResult<Option<TokenRow>> {
    tokens::table.find(id).select(TokenRow::as_select()).first(conn).optional()
}

/// The newest live builtin token of an owner on a platform that lasts beyond `until` (Unix seconds).
pub fn find_live_token(
    conn: &mut DbConn,
    key: &AccountKey,
    platform: Platform,
    until: i64,
) -> QueryResult<Option<TokenRow>> {
    tokens::table
        .filter(tokens::app_id.eq(key.app_id.as_str()))
        .filter(tokens::uid.eq(key.uid.as_str()))
        .filter(tokens::platform.eq(i32::from(platform.number())))
        .filter(tokens::state.eq(0))
        .filter(tokens::text.is_null())
        .filter(tokens::expires_at.gt(until))
        .order((tokens::expires_at.desc(), tokens::id))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()
}

/// The newest live token of an owner on any platform, builtin or a provider's, that lasts beyond `until` (Unix seconds).
pub fn find_current_token(
    conn: &mut DbConn,
    key: &AccountKey,
    is_builtin: bool,
    until: i64,
) -> QueryResult<Option<TokenRow>> {
    tokens::table
        .filter(tokens::app_id.eq(key.app_id.as_str()))
        .filter(tokens::uid.eq(key.uid.as_str()))
        .filter(tokens::state.eq(0))
        .filter(tokens::text.is_null().eq(is_builtin))
        .filter(tokens::expires_at.gt(until))
        .order((tokens::issued_at.desc(), tokens::expires_at.desc(), tokens::id))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()
}

/// Ends an owner's live tokens, of one platform or of all; answers their ids.
pub fn end_tokens(
    conn: &mut DbConn,
    key: &AccountKey,
    platform: Option<Platform>,
    state: i32,
) -> QueryResult<Vec<String>> {
    let owned = tokens::table
        .filter(tokens::app_id.eq(key.app_id.as_str()))
        .filter(tokens::uid.eq(key.uid.as_str()))
        .filter(tokens::state.eq(0));
    match platform {
        None => diesel::update(owned).set(tokens::state.eq(state)).returning(tokens::id).get_results(conn),
        Some(platform) => diesel::update(owned.filter(tokens::platform.eq(i32::from(platform.number()))))
            .set(tokens::state.eq(state))
            .returning(tokens::id)
            .get_results(conn),
    }
}

/// What came of a token's attempt to be the only one.
pub enum TakeOver {
    /// It is; these were ended.
    Ended(Vec<String>),
    /// It is dead itself, in this state.
    Dead(i32),
}

/// Ends the owner's other live tokens on the platform if `id` is live. The rows are locked in one order, so that
/// two that take over from each other wait instead of killing each other.
pub fn take_over(
    conn: &mut DbConn,
    key: &AccountKey,
    platform: Platform,
    id: &str,
    state: i32,
) -> QueryResult<TakeOver> {
    let live = tokens::table
        .filter(tokens::app_id.eq(key.app_id.as_str()))
        .filter(tokens::uid.eq(key.uid.as_str()))
        .filter(tokens::platform.eq(i32::from(platform.number())))
        .filter(tokens::state.eq(0))
        // A provider's tokens open no sockets of ours; they die on force_logout only.
        .filter(tokens::text.is_null())
        .order(tokens::id)
        .select(tokens::id);
    // SQLite has one writer anyway.
    let mut ids: Vec<String> = match conn {
        DbConn::Pg(pg) => live.for_update().load(pg)?,
        DbConn::Sqlite(sqlite) => live.load(sqlite)?,
    };
    if !ids.iter().any(|live| live == id) {
        let state = tokens::table.find(id).select(tokens::state).first(conn)?;
        return Ok(TakeOver::Dead(state));
    }
    ids.retain(|other| other != id);
    for ids in ids.chunks(500) {
        diesel::update(tokens::table.filter(tokens::id.eq_any(ids))).set(tokens::state.eq(state)).execute(conn)?;
    }
    Ok(TakeOver::Ended(ids))
}

/// States of those of `ids` that have a row.
pub fn list_states(conn: &mut DbConn, ids: &[String]) -> QueryResult<Vec<(String, i32)>> {
    tokens::table.filter(tokens::id.eq_any(ids)).select((tokens::id, tokens::state)).load(conn)
}

/// Ids and states of an owner's tokens that were ended before they would have expired.
pub fn list_ended(conn: &mut DbConn, key: &AccountKey, now: i64) -> QueryResult<Vec<(String, i32)>> {
    tokens::table
        .filter(tokens::app_id.eq(key.app_id.as_str()))
        .filter(tokens::uid.eq(key.uid.as_str()))
        .filter(tokens::state.ne(0))
        .filter(tokens::expires_at.gt(now))
        .select((tokens::id, tokens::state))
        .load(conn)
}

/// Deletes at most `limit` tokens that expired before `before` (Unix seconds).
pub fn delete_expired(conn: &mut DbConn, before: i64, limit: i64) -> QueryResult<usize> {
    let ids: Vec<String> =
        tokens::table.filter(tokens::expires_at.lt(before)).select(tokens::id).limit(limit).load(conn)?;
    diesel::delete(tokens::table.filter(tokens::id.eq_any(ids))).execute(conn)
}
