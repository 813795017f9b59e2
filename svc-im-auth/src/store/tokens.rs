//! Table `tokens`: one row a token that was issued.

use super::schema::{accounts, tokens};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use service_kit::db::DbConn;
use service_kit::on_backend;
use shared_models::Platform;
use shared_models::internal::AccountKey;

/// An owner's live tokens. A macro, because the expression's type has no name.
macro_rules! live_of {
    ($key:expr) => {
        tokens::app_id.eq($key.app_id.as_str()).and(tokens::uid.eq($key.uid.as_str())).and(tokens::state.eq(0))
    };
}

/// Variables in a statement, which SQLite limits.
const BATCH: usize = 500;

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

/// The longest lasting live builtin token of an owner on a platform that lasts beyond `until` (Unix seconds).
pub fn find_live_token(
    conn: &mut DbConn,
    key: &AccountKey,
    platform: Platform,
    until: i64,
) -> QueryResult<Option<TokenRow>> {
    tokens::table
        .filter(live_of!(key))
        .filter(tokens::platform.eq(i32::from(platform.number())))
        .filter(tokens::text.is_null())
        .filter(tokens::expires_at.gt(until))
        .order((tokens::expires_at.desc(), tokens::id))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()
}

/// The longest lasting live token of an owner on any platform, builtin or a provider's, that lasts beyond `until` (Unix
/// seconds).
pub fn find_current_token(
    conn: &mut DbConn,
    key: &AccountKey,
    is_builtin: bool,
    until: i64,
) -> QueryResult<Option<TokenRow>> {
    tokens::table
        .filter(live_of!(key))
        .filter(tokens::text.is_null().eq(is_builtin))
        .filter(tokens::expires_at.gt(until))
        .order((tokens::expires_at.desc(), tokens::id))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()
}

/// So many tokens are ended in one transaction, well within a statement's time: a user may have got more of them than
/// one statement could end.
pub const AT_ONCE: usize = 2000;

/// Tokens that were ended.
pub struct Ended {
    pub ids: Vec<String>,
    /// There may be more to end.
    pub more: bool,
}

/// Ends an owner's live tokens, of one platform or of all, as many as one transaction takes.
pub fn end_tokens(conn: &mut DbConn, key: &AccountKey, platform: Option<Platform>, state: i32) -> QueryResult<Ended> {
    let mut live = tokens::table.filter(live_of!(key)).into_boxed();
    if let Some(platform) = platform {
        live = live.filter(tokens::platform.eq(i32::from(platform.number())));
    }
    let ids = live.order(tokens::expires_at).limit(AT_ONCE as i64).select(tokens::id).load(conn)?;
    let more = ids.len() == AT_ONCE;
    let ids = lock_live(conn, ids)?;
    set_state(conn, &ids, state)?;
    Ok(Ended { ids, more })
}

/// What came of a token's attempt to be the only one.
pub enum TakeOver {
    /// It lives, and these were ended.
    Ended(Ended),
    /// It is dead itself, in this state.
    Dead(i32),
}

/// Ends the owner's other live tokens on the platform if `id` is live, as many as one transaction takes. Of two that
/// take over from each other the later finds itself dead.
pub fn take_over(
    conn: &mut DbConn,
    key: &AccountKey,
    platform: Platform,
    id: &str,
    state: i32,
) -> QueryResult<TakeOver> {
    let mut ids: Vec<String> = tokens::table
        .filter(live_of!(key))
        .filter(tokens::platform.eq(i32::from(platform.number())))
        // A provider's tokens open no sockets of ours; they die on force_logout only.
        .filter(tokens::text.is_null())
        .filter(tokens::id.ne(id))
        .order(tokens::expires_at)
        .limit(AT_ONCE as i64)
        .select(tokens::id)
        .load(conn)?;
    let more = ids.len() == AT_ONCE;
    ids.push(id.to_owned());
    let mut ids = lock_live(conn, ids)?;
    if !ids.iter().any(|live| live == id) {
        let state = tokens::table.find(id).select(tokens::state).first(conn)?;
        return Ok(TakeOver::Dead(state));
    }
    ids.retain(|other| other != id);
    set_state(conn, &ids, state)?;
    Ok(TakeOver::Ended(Ended { ids, more }))
}

/// Those that live, held until the end of the transaction. They are locked in one order, so that two who want the same
/// ones wait instead of killing each other.
fn lock_live(conn: &mut DbConn, ids: Vec<String>) -> QueryResult<Vec<String>> {
    let mut live = Vec::with_capacity(ids.len());
    let mut ids = ids;
    ids.sort_unstable();
    for ids in ids.chunks(BATCH) {
        let locked = tokens::table
            .filter(tokens::id.eq_any(ids))
            .filter(tokens::state.eq(0))
            .order(tokens::id)
            .select(tokens::id);
        // SQLite has one writer anyway.
        live.extend::<Vec<String>>(match conn {
            DbConn::Pg(pg) => locked.for_update().load(pg)?,
            DbConn::Sqlite(sqlite) => locked.load(sqlite)?,
        });
    }
    Ok(live)
}

fn set_state(conn: &mut DbConn, ids: &[String], state: i32) -> QueryResult<()> {
    for ids in ids.chunks(BATCH) {
        diesel::update(tokens::table.filter(tokens::id.eq_any(ids))).set(tokens::state.eq(state)).execute(conn)?;
    }
    Ok(())
}

/// States of those of `ids` that have a row.
pub fn list_states(conn: &mut DbConn, ids: &[String]) -> QueryResult<Vec<(String, i32)>> {
    tokens::table.filter(tokens::id.eq_any(ids)).select((tokens::id, tokens::state)).load(conn)
}

/// Ids and states of an owner's tokens that were ended before they would have expired: of each state those that
/// would have lasted longest, at most `limit`.
pub fn list_ended(conn: &mut DbConn, key: &AccountKey, now: i64, limit: usize) -> QueryResult<Vec<(String, i32)>> {
    let mut ended = Vec::new();
    for state in [1, 2] {
        ended.extend::<Vec<_>>(
            tokens::table
                .filter(tokens::app_id.eq(key.app_id.as_str()))
                .filter(tokens::uid.eq(key.uid.as_str()))
                .filter(tokens::state.eq(state))
                .filter(tokens::expires_at.gt(now))
                .order(tokens::expires_at.desc())
                .limit(limit as i64)
                .select((tokens::id, tokens::state))
                .load(conn)?,
        );
    }
    Ok(ended)
}

/// Deletes at most `limit` tokens that expired before `before` (Unix seconds).
pub fn delete_expired(conn: &mut DbConn, before: i64, limit: i64) -> QueryResult<usize> {
    let ids: Vec<String> =
        tokens::table.filter(tokens::expires_at.lt(before)).select(tokens::id).limit(limit).load(conn)?;
    diesel::delete(tokens::table.filter(tokens::id.eq_any(ids))).execute(conn)
}
