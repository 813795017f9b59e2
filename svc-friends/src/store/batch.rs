//! Many rows in one statement.
//!
//! PostgreSQL takes them as one list of values; for one and two rows that text is always the same, so that Diesel
//! keeps it prepared. Diesel cannot type the same for SQLite, where a few rows are as quick one by one and many
//! come as one JSON text.

use serde::Serialize;

/// So many rows have room in one statement's 65,535 parameters.
pub const CHUNK: usize = 5_000;
/// Up to so many rows SQLite takes one by one.
pub const FEW: usize = 4;

/// SQLite's statement that upserts a JSON array of rows: `keys` and `values` are names of columns and of fields.
pub fn json_upsert(table: &str, keys: &[&str], values: &[&str]) -> String {
    let columns: Vec<&str> = keys.iter().chain(values).copied().collect();
    let fields: Vec<String> = columns.iter().map(|c| format!("json_extract(value, '$.{c}')")).collect();
    let sets: Vec<String> = values.iter().map(|c| format!("{c} = excluded.{c}")).collect();
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM json_each(?) WHERE true ON CONFLICT ({}) DO UPDATE SET {}",
        columns.join(", "),
        fields.join(", "),
        keys.join(", "),
        sets.join(", ")
    )
}

pub fn json<T: Serialize>(rows: &[T]) -> diesel::QueryResult<String> {
    serde_json::to_string(rows).map_err(|e| diesel::result::Error::SerializationError(Box::new(e)))
}

/// Defines a function that inserts rows or replaces those of the same key.
macro_rules! upsert {
    ($(#[$doc:meta])* $function:ident, $row:ty, $table:ident ($($key:ident),*) set ($($value:ident),*)) => {
        $(#[$doc])*
        pub fn $function(conn: &mut service_kit::db::DbConn, rows: &[$row]) -> diesel::QueryResult<()> {
            use diesel::upsert::excluded;
            use $crate::store::batch;
            macro_rules! upsert {
                ($c:expr, $rows:expr) => {
                    diesel::insert_into($table::table)
                        .values($rows)
                        .on_conflict(($($table::$key,)*))
                        .do_update()
                        .set(($($table::$value.eq(excluded($table::$value)),)*))
                        .execute($c)
                        .map(drop)
                };
            }
            match (conn, rows) {
                (_, []) => Ok(()),
                (service_kit::db::DbConn::Pg(c), [one]) => upsert!(c, one),
                (service_kit::db::DbConn::Pg(c), [one, two]) => upsert!(c, &[one.clone(), two.clone()]),
                (service_kit::db::DbConn::Pg(c), many) => many.chunks(batch::CHUNK).try_for_each(|rows| upsert!(c, rows)),
                (service_kit::db::DbConn::Sqlite(c), few) if few.len() <= batch::FEW => {
                    few.iter().try_for_each(|row| upsert!(c, row))
                }
                (service_kit::db::DbConn::Sqlite(c), many) => {
                    let sql = batch::json_upsert(
                        stringify!($table),
                        &[$(stringify!($key)),*],
                        &[$(stringify!($value)),*],
                    );
                    diesel::sql_query(sql).bind::<diesel::sql_types::Text, _>(batch::json(many)?).execute(c).map(drop)
                }
            }
        }
    };
}
pub(super) use upsert;
