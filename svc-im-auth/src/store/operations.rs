//! Table `operations`.

use super::schema::operations;
use diesel::prelude::*;
use service_kit::db::DbConn;
use service_kit::on_backend;
use shared_models::Stamp;

/// Stores that an operation is done; `false` if it was before.
pub fn insert_operation(conn: &mut DbConn, operation_id: &str, now: Stamp) -> QueryResult<bool> {
    let row = (operations::operation_id.eq(operation_id), operations::done_at.eq(now.0));
    on_backend!(conn, c => diesel::insert_into(operations::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c)
        .map(|n| n == 1))
}

/// Deletes at most `limit` operations that were done before `before`.
pub fn delete_operations(conn: &mut DbConn, before: Stamp, limit: i64) -> QueryResult<usize> {
    let ids: Vec<String> = operations::table
        .filter(operations::done_at.lt(before.0))
        .select(operations::operation_id)
        .limit(limit)
        .load(conn)?;
    diesel::delete(operations::table.filter(operations::operation_id.eq_any(ids))).execute(conn)
}
