//! Table `owners`: the clocks, and the rows that are locked for a change.

use super::batch::{json, upsert};
use super::schema::owners;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::Serialize;
use service_kit::db::{Db, DbConn, Gathered, Prepared};
use service_kit::on_backend;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = owners)]
pub struct OwnerRow {
    pub owner: String,
    pub friends_clock: i64,
    pub requests_clock: i64,
    pub friends: i64,
    pub pending: i64,
    pub verify: Option<bool>,
}

impl OwnerRow {
    pub fn empty(owner: &str) -> Self {
        Self { owner: owner.to_owned(), friends_clock: 0, requests_clock: 0, friends: 0, pending: 0, verify: None }
    }

    /// Whether anything was ever written about this user.
    pub fn is_known(&self) -> bool {
        self.friends_clock > 0 || self.requests_clock > 0 || self.verify.is_some()
    }

    /// Agreement is needed unless the owner has said otherwise (contract §4).
    pub fn verifies(&self) -> bool {
        self.verify.unwrap_or(true)
    }
}

upsert! {
    /// Writes back owners that are locked.
    update_owners, OwnerRow,
    owners (owner: String => Text)
    set (
        friends_clock: i64 => BigInt, requests_clock: i64 => BigInt, friends: i64 => BigInt, pending: i64 => BigInt,
        verify: Option<bool> => Nullable<Bool>
    )
}

pub fn find_owner(conn: &mut DbConn, owner: &str) -> QueryResult<Option<OwnerRow>> {
    owners::table.find(owner).select(OwnerRow::as_select()).first(conn).optional()
}

/// Owners by key.
pub fn owners(db: &Db) -> Gathered<String, OwnerRow> {
    Gathered::new(db.clone(), |conn, owner| find_owner(conn, owner), list_owners)
}

/// Those of `keys` that exist.
fn list_owners(conn: &mut DbConn, keys: &[String]) -> QueryResult<Vec<(String, OwnerRow)>> {
    let rows = owners::table.filter(owners::owner.eq_any(keys)).select(OwnerRow::as_select()).load(conn)?;
    Ok(rows.into_iter().map(|row: OwnerRow| (row.owner.clone(), row)).collect())
}

/// Those of `keys` that exist, locked until the transaction's end. One order for everybody, so that nobody waits
/// in a circle. SQLite has one writer at a time anyway.
pub fn lock_owners(conn: &mut DbConn, keys: &[String]) -> QueryResult<Vec<OwnerRow>> {
    let mut rows = Vec::with_capacity(keys.len());
    match conn {
        DbConn::Pg(c) => {
            let locked = owners::table.filter(owners::owner.eq_any(keys)).order(owners::owner).for_update();
            rows = locked.select(OwnerRow::as_select()).load(c)?;
        }
        DbConn::Sqlite(c) => {
            // SQLite limits the number of variables.
            for chunk in keys.chunks(500) {
                let some = owners::table.filter(owners::owner.eq_any(chunk)).select(OwnerRow::as_select());
                rows.extend(some.load(c)?);
            }
        }
    }
    Ok(rows)
}

/// Creates those of `keys` that do not exist yet, in one statement; `keys` in byte order, so that two who create the
/// same ones do not wait in a circle.
pub fn create_owners(conn: &mut DbConn, keys: &[String]) -> QueryResult<usize> {
    match conn {
        DbConn::Pg(c) => {
            let rows: Vec<OwnerRow> = keys.iter().map(|key| OwnerRow::empty(key)).collect();
            diesel::insert_into(owners::table).values(rows).on_conflict_do_nothing().execute(c)
        }
        DbConn::Sqlite(c) => diesel::sql_query(
            "INSERT INTO owners (owner, friends_clock, requests_clock, friends, pending) \
             SELECT value, 0, 0, 0, 0 FROM json_each(?) WHERE true ON CONFLICT DO NOTHING",
        )
        .bind::<Text, _>(json(keys)?)
        .execute(c),
    }
}

/// Sets whether others need the owner's agreement.
pub fn set_verify(conn: &mut DbConn, owner: &str, verify: bool) -> QueryResult<usize> {
    let row = OwnerRow { verify: Some(verify), ..OwnerRow::empty(owner) };
    on_backend!(conn, c => Prepared(diesel::insert_into(owners::table)
        .values(&row)
        .on_conflict(owners::owner)
        .do_update()
        .set(owners::verify.eq(verify))
        .returning(owners::friends))
        .rows::<i64, _>(c))
    .map(|rows| rows.len())
}
