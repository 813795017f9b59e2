//! Table `constants`.

use super::schema::constants;
use diesel::prelude::*;
use service_kit::db::DbConn;
use service_kit::on_backend;

/// The value under which this database was first used: `given`, unless there is one already.
pub fn settle_constant(conn: &mut DbConn, name: &str, given: &str) -> QueryResult<String> {
    let row = (constants::name.eq(name), constants::value.eq(given));
    on_backend!(conn, c => diesel::insert_into(constants::table).values(row).on_conflict_do_nothing().execute(c))?;
    constants::table.find(name).select(constants::value).first(conn)
}
