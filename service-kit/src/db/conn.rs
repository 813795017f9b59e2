//! One connection type for both backends.

use diesel::{PgConnection, SqliteConnection};

/// A connection to whichever backend the database's URL names. Queries that read the same on both go straight to
/// it; the rest (`on_conflict`, `for_update`, a `Vec` of rows, …) through [`on_backend!`](crate::on_backend).
#[derive(diesel::MultiConnection)]
pub enum DbConn {
    Pg(PgConnection),
    Sqlite(SqliteConnection),
}

/// Runs one expression on the backend's own connection, for what Diesel cannot type on the enum:
/// `on_backend!(conn, c => diesel::insert_into(t).values(v).on_conflict_do_nothing().execute(c))`.
#[macro_export]
macro_rules! on_backend {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::db::DbConn::Pg($c) => $body,
            $crate::db::DbConn::Sqlite($c) => $body,
        }
    };
}
