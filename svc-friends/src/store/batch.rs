//! Any number of rows in one statement that is prepared once: as arrays on PostgreSQL, as one JSON text on SQLite.
//!
//! Diesel's own upsert is prepared anew each time (and so costs PostgreSQL's clients a round trip more), and it
//! cannot type one of several rows for SQLite.

use serde::Serialize;

pub fn json<T: Serialize>(rows: &[T]) -> diesel::QueryResult<String> {
    serde_json::to_string(rows).map_err(|e| diesel::result::Error::SerializationError(Box::new(e)))
}

/// Defines a function that inserts rows or replaces those of the same key.
macro_rules! upsert {
    (
        $(#[$doc:meta])*
        $function:ident, $row:ty,
        $table:ident ($($key:ident: $key_type:ty => $key_sql:ty),*)
        set ($($value:ident: $value_type:ty => $value_sql:ty),*)
    ) => {
        $(#[$doc])*
        pub fn $function(conn: &mut service_kit::db::DbConn, rows: &[$row]) -> diesel::QueryResult<()> {
            use diesel::query_builder::{AstPass, QueryFragment, QueryId};

            const KEYS: &[&str] = &[$(stringify!($key)),*];
            const VALUES: &[&str] = &[$(stringify!($value)),*];

            /// A column in each field.
            struct Columns<'a> {
                $($key: Vec<&'a $key_type>,)*
                $($value: Vec<&'a $value_type>,)*
            }

            struct Json(String);

            fn begin<DB: diesel::backend::Backend>(out: &mut AstPass<'_, '_, DB>) {
                let columns = [KEYS, VALUES].concat().join(", ");
                out.push_sql(&format!("INSERT INTO {} ({columns}) SELECT ", stringify!($table)));
            }

            fn end<DB: diesel::backend::Backend>(out: &mut AstPass<'_, '_, DB>) {
                let sets: Vec<String> = VALUES.iter().map(|c| format!("{c} = excluded.{c}")).collect();
                out.push_sql(&format!(" ON CONFLICT ({}) DO UPDATE SET {}", KEYS.join(", "), sets.join(", ")));
            }

            impl QueryFragment<diesel::pg::Pg> for Columns<'_> {
                fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> diesel::QueryResult<()> {
                    begin(&mut out);
                    out.push_sql("* FROM unnest(");
                    let mut separator = "";
                    $(
                        out.push_sql(std::mem::replace(&mut separator, ", "));
                        out.push_bind_param::<diesel::sql_types::Array<$key_sql>, _>(&self.$key)?;
                    )*
                    $(
                        out.push_sql(separator);
                        out.push_bind_param::<diesel::sql_types::Array<$value_sql>, _>(&self.$value)?;
                    )*
                    out.push_sql(")");
                    end(&mut out);
                    Ok(())
                }
            }

            impl QueryFragment<diesel::sqlite::Sqlite> for Json {
                fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> diesel::QueryResult<()> {
                    begin(&mut out);
                    let columns = [KEYS, VALUES].concat();
                    let fields: Vec<String> = columns.iter().map(|c| format!("json_extract(value, '$.{c}')")).collect();
                    out.push_sql(&fields.join(", "));
                    out.push_sql(" FROM json_each(");
                    out.push_bind_param::<diesel::sql_types::Text, _>(&self.0)?;
                    // Without a WHERE its parser takes ON for a join's.
                    out.push_sql(") WHERE true");
                    end(&mut out);
                    Ok(())
                }
            }

            impl QueryId for Columns<'_> {
                type QueryId = Columns<'static>;
            }

            impl QueryId for Json {
                type QueryId = Self;
            }

            impl RunQueryDsl<diesel::PgConnection> for Columns<'_> {}
            impl RunQueryDsl<diesel::SqliteConnection> for Json {}

            if rows.is_empty() {
                return Ok(());
            }
            match conn {
                service_kit::db::DbConn::Pg(c) => {
                    let columns = Columns {
                        $($key: rows.iter().map(|row| &row.$key).collect(),)*
                        $($value: rows.iter().map(|row| &row.$value).collect(),)*
                    };
                    columns.execute(c).map(drop)
                }
                service_kit::db::DbConn::Sqlite(c) => Json($crate::store::batch::json(rows)?).execute(c).map(drop),
            }
        }
    };
}
pub(super) use upsert;
