//! Tokens of an IM provider (rows of `tokens` that have a text), and table `provider_users`.

use super::schema::{accounts, provider_users, tokens};
use super::tokens::TokenRow;
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::query_dsl::methods::FilterDsl;
use diesel::upsert::excluded;
use service_kit::db::{DbConn, Prepared};
use service_kit::on_backend;
use shared_models::Platform;
use shared_models::internal::AccountKey;

/// The longest lasting live token of an owner on a platform that lasts beyond `until` (Unix seconds).
pub fn find_live_provider_token(
    conn: &mut DbConn,
    key: &AccountKey,
    platform: Platform,
    until: i64,
) -> QueryResult<Option<TokenRow>> {
    let owned = tokens::app_id.eq(key.app_id.as_str()).and(tokens::uid.eq(key.uid.as_str()));
    let live = tokens::state.eq(0).and(tokens::text.is_not_null()).and(tokens::expires_at.gt(until));
    QueryDsl::filter(tokens::table, owned.and(tokens::platform.eq(i32::from(platform.number()))).and(live))
        .order((tokens::expires_at.desc(), tokens::id))
        .select(TokenRow::as_select())
        .first(conn)
        .optional()
}

/// Inserts a token, or renews the same text; `false` if it was revoked, or is another's: what is dead
/// stays dead.
pub fn upsert_provider_token(conn: &mut DbConn, row: &TokenRow) -> QueryResult<bool> {
    let upsert = diesel::insert_into(tokens::table).values(row).on_conflict(tokens::id).do_update().set((
        tokens::platform.eq(excluded(tokens::platform)),
        tokens::issued_at.eq(excluded(tokens::issued_at)),
        tokens::expires_at.eq(excluded(tokens::expires_at)),
    ));
    let same_owner = tokens::app_id.eq(excluded(tokens::app_id)).and(tokens::uid.eq(excluded(tokens::uid)));
    let of_live = FilterDsl::filter(upsert, tokens::state.eq(0).and(same_owner));
    on_backend!(conn, c => Prepared(of_live.returning(tokens::platform)).row::<i32, _>(c).map(|row| row.is_some()))
}

/// Name and icon; holds the account's row until the end of the transaction, as every change of it does.
pub fn lock_profile(conn: &mut DbConn, key: &AccountKey) -> QueryResult<Option<(String, String)>> {
    let account = accounts::table.find((key.app_id.as_str(), key.uid.as_str()));
    // Changes nothing.
    diesel::update(account)
        .set(accounts::name.eq(accounts::name))
        .returning((accounts::name, accounts::icon))
        .get_result(conn)
        .optional()
}

pub fn insert_provider_user(conn: &mut DbConn, key: &AccountKey) -> QueryResult<usize> {
    let row = (provider_users::app_id.eq(key.app_id.as_str()), provider_users::uid.eq(key.uid.as_str()));
    on_backend!(conn, c => diesel::insert_into(provider_users::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))
}

pub fn is_provider_user(conn: &mut DbConn, key: &AccountKey) -> QueryResult<bool> {
    let row = provider_users::table.find((key.app_id.as_str(), key.uid.as_str()));
    diesel::select(exists(row)).get_result(conn)
}
