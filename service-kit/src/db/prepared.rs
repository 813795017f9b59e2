//! Statements that their connections keep prepared.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::RunQueryDsl;
use diesel::query_dsl::methods::LoadQuery;

/// A statement whose text is the same each time, whatever its values. Diesel prepares every `UPDATE`,
/// `ON CONFLICT … DO UPDATE` and `sql_query` anew, because the text of some depends on values (a changeset leaves `None`
/// out, a batch has as many rows as it has): a round trip more, and PostgreSQL parses and plans it again. A connection
/// keeps every text that it is given in this, so a text that varies must not be.
///
/// It must return something, if only a column to count by: what Diesel executes without looking at rows it is given by
/// reference, and a reference does not pass on that its statement may be kept.
pub struct Prepared<Q>(pub Q);

impl<Q> Prepared<Q> {
    /// The rows that it returns.
    pub fn rows<'query, T, Conn>(self, conn: &mut Conn) -> QueryResult<Vec<T>>
    where
        Kept<Q>: LoadQuery<'query, Conn, T>,
    {
        Kept(self.0).internal_load(conn)?.collect()
    }

    /// The first of them, where there is one.
    pub fn row<'query, T, Conn>(self, conn: &mut Conn) -> QueryResult<Option<T>>
    where
        Kept<Q>: LoadQuery<'query, Conn, T>,
    {
        Ok(self.rows(conn)?.into_iter().next())
    }
}

/// What Diesel is given; out of sight, because of what it could do with it besides.
pub struct Kept<Q>(Q);

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Kept<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

/// Told apart by its text.
impl<Q> QueryId for Kept<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q, Conn> RunQueryDsl<Conn> for Kept<Q> {}
