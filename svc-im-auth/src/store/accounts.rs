//! Table `accounts`.

use super::schema::accounts;
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::query_dsl::methods::FilterDsl;
use service_kit::db::{Db, DbConn, Gathered, Prepared};
use service_kit::on_backend;
use shared_models::internal::AccountKey;
use shared_models::{AppId, Gender, Stamp};
use std::collections::HashMap;

#[derive(Clone, Queryable, Selectable, Insertable)]
// Columns that are always named make one statement, which is kept prepared.
#[diesel(table_name = accounts, treat_none_as_default_value = false)]
pub struct AccountRow {
    pub app_id: String,
    pub uid: String,
    pub implicit: bool,
    pub name: String,
    pub icon: String,
    pub icon_changed_at: i64,
    pub gender: i32,
    pub mobile: String,
    pub birth: String,
    pub email: String,
    pub ex: String,
    pub region: String,
    pub sign: String,
    pub is_admin: bool,
    pub is_public_number: bool,
    pub expert_status: i64,
    pub point: String,
    pub yue: i64,
    pub jifen: i64,
    pub password_hash: Option<String>,
    pub credential_version: i64,
    pub known_addresses: String,
    pub created_at: i64,
    /// Grows with every change of what [`Changes`] holds; 0: not changed since before there were revisions.
    pub revision: i64,
}

impl AccountRow {
    /// An account with nothing in it.
    pub fn empty(key: &AccountKey, implicit: bool, now: Stamp) -> Self {
        Self {
            app_id: key.app_id.as_str().to_owned(),
            uid: key.uid.as_str().to_owned(),
            implicit,
            name: String::new(),
            icon: String::new(),
            icon_changed_at: 0,
            gender: Gender::Unknown.number(),
            mobile: String::new(),
            birth: String::new(),
            email: String::new(),
            ex: String::new(),
            region: String::new(),
            sign: String::new(),
            is_admin: false,
            is_public_number: false,
            expert_status: 0,
            point: "0".to_owned(),
            yue: 0,
            jifen: 0,
            password_hash: None,
            credential_version: 0,
            known_addresses: String::new(),
            created_at: now.0,
            revision: 1,
        }
    }
}

/// Changes of an account; `None` leaves a field as it is.
#[derive(Clone, Default, AsChangeset)]
#[diesel(table_name = accounts)]
pub struct Changes {
    pub implicit: Option<bool>,
    pub name: Option<String>,
    pub gender: Option<i32>,
    pub mobile: Option<String>,
    pub birth: Option<String>,
    pub email: Option<String>,
    pub ex: Option<String>,
    pub region: Option<String>,
    pub sign: Option<String>,
    pub is_admin: Option<bool>,
    pub is_public_number: Option<bool>,
    pub expert_status: Option<i64>,
    pub point: Option<String>,
    pub yue: Option<i64>,
    pub jifen: Option<i64>,
    /// A new hash; the credential version grows with it ([`update_account`]).
    pub password_hash: Option<String>,
    /// A new icon; its stamp grows with it ([`update_account`]).
    #[diesel(skip_update)]
    pub icon: Option<String>,
}

diesel::define_sql_function! {
    /// The first of the two that is not null.
    fn coalesce(first: diesel::sql_types::Nullable<diesel::sql_types::Text>, second: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// What every change of an account sets. An icon that is another one moves its stamp, always forward; a new
/// password makes a new credential version. A macro, because the expression's type has no name.
macro_rules! assignments {
    ($changes:expr, $now:expr) => {{
        let changes: &Changes = $changes;
        let Stamp(now) = $now;
        let moved = case_when(accounts::icon_changed_at.ge(now), accounts::icon_changed_at + 1).otherwise(now);
        let is_other = coalesce(changes.icon.clone(), accounts::icon).ne(accounts::icon);
        (
            changes.clone(),
            accounts::icon_changed_at.eq(case_when(is_other, moved).otherwise(accounts::icon_changed_at)),
            accounts::icon.eq(coalesce(changes.icon.clone(), accounts::icon)),
            accounts::credential_version.eq(accounts::credential_version + i64::from(changes.password_hash.is_some())),
            accounts::revision.eq(accounts::revision + 1),
        )
    }};
}

pub fn find_account(conn: &mut DbConn, key: &AccountKey) -> QueryResult<Option<AccountRow>> {
    accounts::table.find((key.app_id.as_str(), key.uid.as_str())).select(AccountRow::as_select()).first(conn).optional()
}

/// Accounts by key.
pub fn accounts(db: &Db) -> Gathered<AccountKey, AccountRow> {
    Gathered::new(db.clone(), find_account, list_by_key)
}

/// Those of `keys` that have an account.
pub(super) fn list_by_key(conn: &mut DbConn, keys: &[AccountKey]) -> QueryResult<Vec<(AccountKey, AccountRow)>> {
    let mut by_app = HashMap::<&AppId, HashMap<&str, &AccountKey>>::new();
    for key in keys {
        by_app.entry(&key.app_id).or_default().insert(key.uid.as_str(), key);
    }
    let mut found = Vec::with_capacity(keys.len());
    for (app_id, by_uid) in by_app {
        let uids: Vec<String> = by_uid.keys().map(|&uid| uid.to_owned()).collect();
        let rows = list_accounts(conn, app_id.as_str(), &uids)?;
        found.extend(rows.into_iter().filter_map(|row| Some(((*by_uid.get(row.uid.as_str())?).clone(), row))));
    }
    Ok(found)
}

/// Those of `uids` that have an account in the app, in no particular order.
pub fn list_accounts(conn: &mut DbConn, app_id: &str, uids: &[String]) -> QueryResult<Vec<AccountRow>> {
    let mut rows = Vec::with_capacity(uids.len());
    // SQLite limits the number of variables.
    for chunk in uids.chunks(500) {
        rows.extend(
            QueryDsl::filter(accounts::table, accounts::app_id.eq(app_id).and(accounts::uid.eq_any(chunk)))
                .select(AccountRow::as_select())
                .load(conn)?,
        );
    }
    Ok(rows)
}

/// Accounts of an app in the order of their uids, after `after`, at most `limit`.
pub fn list_page(conn: &mut DbConn, app_id: &str, after: &str, limit: i64) -> QueryResult<Vec<AccountRow>> {
    QueryDsl::filter(accounts::table, accounts::app_id.eq(app_id).and(accounts::uid.gt(after)))
        .order(accounts::uid)
        .limit(limit)
        .select(AccountRow::as_select())
        .load(conn)
}

/// Inserts an account, or turns an implicit one into a registered one with `changes`; `None` if it is registered.
pub fn register_account(
    conn: &mut DbConn,
    row: &AccountRow,
    changes: &Changes,
    now: Stamp,
) -> QueryResult<Option<AccountRow>> {
    // Most are new, and an upsert is prepared anew each time: what it sets varies.
    if insert_account(conn, row)? {
        return Ok(Some(row.clone()));
    }
    let upsert = diesel::insert_into(accounts::table)
        .values(row)
        .on_conflict((accounts::app_id, accounts::uid))
        .do_update()
        .set(assignments!(changes, now));
    let of_implicit = FilterDsl::filter(upsert, accounts::implicit.eq(true));
    on_backend!(conn, c => of_implicit.returning(AccountRow::as_returning()).get_result(c).optional())
}

/// Inserts an account, or changes the one that is there.
pub fn ensure_account(conn: &mut DbConn, row: &AccountRow, changes: &Changes, now: Stamp) -> QueryResult<AccountRow> {
    on_backend!(conn, c => diesel::insert_into(accounts::table)
        .values(row)
        .on_conflict((accounts::app_id, accounts::uid))
        .do_update()
        .set(assignments!(changes, now))
        .returning(AccountRow::as_returning())
        .get_result(c))
}

/// Inserts an account; `false` if there is one in any form.
pub fn insert_account(conn: &mut DbConn, row: &AccountRow) -> QueryResult<bool> {
    on_backend!(conn, c => diesel::insert_into(accounts::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c)
        .map(|n| n == 1))
}

/// Changes an account; `None` if there is none.
pub fn update_account(
    conn: &mut DbConn,
    key: &AccountKey,
    changes: &Changes,
    now: Stamp,
) -> QueryResult<Option<AccountRow>> {
    let account = accounts::table.find((key.app_id.as_str(), key.uid.as_str()));
    on_backend!(conn, c => diesel::update(account)
        .set(assignments!(changes, now))
        .returning(AccountRow::as_returning())
        .get_result(c)
        .optional())
}

pub fn update_known_addresses(conn: &mut DbConn, key: &AccountKey, addresses: &str) -> QueryResult<usize> {
    let account = accounts::table.find((key.app_id.as_str(), key.uid.as_str()));
    let update = diesel::update(account).set(accounts::known_addresses.eq(addresses));
    Ok(Prepared(update.returning(accounts::revision)).rows::<i64, _>(conn)?.len())
}
