//! Tables `validities` and `records`.

use super::schema::{records, validities};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::upsert::excluded;
use service_kit::db::{DbConn, Prepared};
use service_kit::on_backend;
use shared_models::AppId;

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = validities)]
pub struct ValidityRow {
    pub app_id: String,
    pub im_uid: String,
    pub ln_md5: String,
    pub price: Option<i64>,
    pub start_time: String,
    pub end_time: String,
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = records)]
pub struct RecordRow {
    pub app_id: String,
    pub im_uid: String,
    pub kind: &'static str,
    pub record_id: String,
    pub subject: String,
    pub amount: Option<i64>,
    pub occurred_at: String,
}

/// Whether a validity is none of those that are there, and these are `max` or more.
pub fn is_course_too_many(conn: &mut DbConn, row: &ValidityRow, max: i64) -> QueryResult<bool> {
    let ids = validities::table
        .filter(validities::app_id.eq(&row.app_id).and(validities::im_uid.eq(&row.im_uid)))
        .order(validities::ln_md5)
        .select(validities::ln_md5);
    if ids.offset(max - 1).first::<String>(conn).optional()?.is_none() {
        return Ok(false);
    }
    let there = exists(validities::table.find((&row.app_id, &row.im_uid, &row.ln_md5)));
    diesel::select(there).get_result(conn).map(|there: bool| !there)
}

/// Whether a record is none of those of its kind that are there, and these are `max` or more.
pub fn is_record_too_many(conn: &mut DbConn, row: &RecordRow, max: i64) -> QueryResult<bool> {
    let of_kind = records::im_uid.eq(&row.im_uid).and(records::kind.eq(row.kind));
    let ids = records::table
        .filter(records::app_id.eq(&row.app_id).and(of_kind))
        .order(records::record_id)
        .select(records::record_id);
    if ids.offset(max - 1).first::<String>(conn).optional()?.is_none() {
        return Ok(false);
    }
    let there = exists(records::table.find((&row.app_id, &row.im_uid, row.kind, &row.record_id)));
    diesel::select(there).get_result(conn).map(|there: bool| !there)
}

pub fn upsert_validity(conn: &mut DbConn, row: &ValidityRow) -> QueryResult<usize> {
    on_backend!(conn, c => Prepared(diesel::insert_into(validities::table)
        .values(row)
        .on_conflict((validities::app_id, validities::im_uid, validities::ln_md5))
        .do_update()
        .set((
            validities::price.eq(excluded(validities::price)),
            validities::start_time.eq(excluded(validities::start_time)),
            validities::end_time.eq(excluded(validities::end_time)),
        ))
        .returning(validities::im_uid))
        .rows::<String, _>(c))
    .map(|rows| rows.len())
}

pub fn upsert_record(conn: &mut DbConn, row: &RecordRow) -> QueryResult<usize> {
    on_backend!(conn, c => Prepared(diesel::insert_into(records::table)
        .values(row)
        .on_conflict((records::app_id, records::im_uid, records::kind, records::record_id))
        .do_update()
        .set((
            records::subject.eq(excluded(records::subject)),
            records::amount.eq(excluded(records::amount)),
            records::occurred_at.eq(excluded(records::occurred_at)),
        ))
        .returning(records::im_uid))
        .rows::<String, _>(c))
    .map(|rows| rows.len())
}

/// Start and end.
pub fn find_validity(
    conn: &mut DbConn,
    app_id: &AppId,
    im_uid: &str,
    ln_md5: &str,
) -> QueryResult<Option<(String, String)>> {
    validities::table
        .find((app_id.as_str(), im_uid, ln_md5))
        .select((validities::start_time, validities::end_time))
        .first(conn)
        .optional()
}

/// Whether there is a validity, or a record of one of `kinds`.
pub fn has_any(conn: &mut DbConn, app_id: &AppId, im_uid: &str, kinds: &[&str]) -> QueryResult<bool> {
    let validity = validities::app_id.eq(app_id.as_str()).and(validities::im_uid.eq(im_uid));
    let record = records::app_id.eq(app_id.as_str()).and(records::im_uid.eq(im_uid));
    let record = record.and(records::kind.eq_any(kinds));
    let found = exists(validities::table.filter(validity)).or(exists(records::table.filter(record)));
    diesel::select(found).get_result(conn)
}
