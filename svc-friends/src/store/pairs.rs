//! What two users have of each other, in either table: what a change of them reads first.

use super::batch::json;
use super::friends::FriendRow;
use super::requests::RequestRow;
use super::schema::{friends, requests};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Nullable, Text};
use service_kit::db::DbConn;
use service_kit::on_backend;

/// Both tables in one shape; `invited` is null in a row of `friends`.
type Either = (String, String, i64, bool, String, String, Option<bool>);

/// Of one pair, in one statement: a round trip less while both are locked.
pub fn list_of_pair(conn: &mut DbConn, a: &str, b: &str) -> QueryResult<(Vec<FriendRow>, Vec<RequestRow>)> {
    let one = friends::owner.eq(a).and(friends::friend.eq(b));
    let other = friends::owner.eq(b).and(friends::friend.eq(a));
    let of_friends = friends::table.filter(one.or(other)).select((
        friends::owner,
        friends::friend,
        friends::stamp,
        friends::active,
        friends::remark,
        friends::source,
        None::<bool>.into_sql::<Nullable<Bool>>(),
    ));
    let one = requests::owner.eq(a).and(requests::other.eq(b));
    let other = requests::owner.eq(b).and(requests::other.eq(a));
    let of_requests = requests::table.filter(one.or(other)).select((
        requests::owner,
        requests::other,
        requests::stamp,
        requests::done,
        requests::message,
        requests::source,
        requests::invited.nullable(),
    ));
    let rows: Vec<Either> = on_backend!(conn, c => of_friends.union_all(of_requests).load(c))?;
    let (mut friends, mut requests) = (Vec::new(), Vec::new());
    for (owner, other, stamp, flag, text, source, invited) in rows {
        match invited {
            None => friends.push(FriendRow { owner, friend: other, stamp, active: flag, remark: text, source }),
            Some(invited) => {
                requests.push(RequestRow { owner, other, invited, stamp, message: text, source, done: flag });
            }
        }
    }
    Ok((friends, requests))
}

/// Of each (owner, other), in one statement a table.
pub fn list_of_pairs(conn: &mut DbConn, keys: &[(String, String)]) -> QueryResult<(Vec<FriendRow>, Vec<RequestRow>)> {
    match conn {
        DbConn::Pg(c) => {
            let (owners, others): (Vec<&str>, Vec<&str>) = keys.iter().map(|(o, f)| (o.as_str(), f.as_str())).unzip();
            let friends = diesel::sql_query(
                "SELECT friends.* FROM unnest($1, $2) AS k (owner, other) \
                 JOIN friends ON friends.owner = k.owner AND friends.friend = k.other",
            )
            .bind::<Array<Text>, _>(&owners)
            .bind::<Array<Text>, _>(&others)
            .load(c)?;
            let requests = diesel::sql_query(
                "SELECT requests.* FROM unnest($1, $2) AS k (owner, other) \
                 JOIN requests ON requests.owner = k.owner AND requests.other = k.other",
            )
            .bind::<Array<Text>, _>(&owners)
            .bind::<Array<Text>, _>(&others)
            .load(c)?;
            Ok((friends, requests))
        }
        DbConn::Sqlite(c) => {
            let keys = json(keys)?;
            let friends = diesel::sql_query(
                "SELECT friends.* FROM json_each(?) AS k JOIN friends \
                 ON friends.owner = json_extract(k.value, '$[0]') AND friends.friend = json_extract(k.value, '$[1]')",
            )
            .bind::<Text, _>(&keys)
            .load(c)?;
            let requests = diesel::sql_query(
                "SELECT requests.* FROM json_each(?) AS k JOIN requests \
                 ON requests.owner = json_extract(k.value, '$[0]') AND requests.other = json_extract(k.value, '$[1]')",
            )
            .bind::<Text, _>(&keys)
            .load(c)?;
            Ok((friends, requests))
        }
    }
}
