//! Rows by key, gathered.

use super::{Db, DbConn};
use crate::error::Result;
use crate::gather::{Gather, Source};
use diesel::QueryResult;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::hash::Hash;

/// The row of a key.
pub type One<K, V> = fn(&mut DbConn, &K) -> QueryResult<Option<V>>;
/// Those of the keys, each given once, that have a row; in as few statements as it takes.
pub type Many<K, V> = fn(&mut DbConn, &[K]) -> QueryResult<Vec<(K, V)>>;

/// One sort of row, read by key, with what others ask for at the same time ([`Gather`]). Cheap to clone.
pub struct Gathered<K: Key, V: Row>(Gather<Rows<K, V>>);

pub trait Key: Clone + Eq + Hash + Send + 'static {}
impl<K: Clone + Eq + Hash + Send + 'static> Key for K {}

pub trait Row: Clone + Send + 'static {}
impl<V: Clone + Send + 'static> Row for V {}

struct Rows<K, V> {
    db: Db,
    one: One<K, V>,
    many: Many<K, V>,
}

impl<K: Key, V: Row> Clone for Gathered<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Key, V: Row> Gathered<K, V> {
    /// How one row is read, and how many are on PostgreSQL. In SQLite a statement makes no journey, and one that stays
    /// prepared costs less than one with as many variables as there are keys.
    pub fn new(db: Db, one: One<K, V>, many: Many<K, V>) -> Self {
        Self(Gather::new(Rows { db, one, many }))
    }

    /// The row as it is now; `None` where there is none. Fails as [`Db::read`] does, and as late at most; a connection
    /// that does not answer fails all whose keys were read on it.
    pub async fn get(&self, key: K) -> Result<Option<V>> {
        self.0.source().db.in_time(self.0.get(key)).await
    }
}

impl<K: Key, V: Row> Source for Rows<K, V> {
    type Key = K;
    type Value = V;

    fn fetch(&self, keys: Vec<K>) -> BoxFuture<'_, Result<HashMap<K, V>>> {
        let (one, many) = (self.one, self.many);
        Box::pin(self.db.read(move |conn| {
            if keys.len() > 1 && matches!(conn, DbConn::Pg(_)) {
                return Ok(many(conn, &keys)?.into_iter().collect());
            }
            let each = keys.iter().map(|key| Ok(one(conn, key)?.map(|row| (key.clone(), row))));
            each.filter_map(Result::transpose).collect()
        }))
    }
}
