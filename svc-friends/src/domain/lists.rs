//! Pages of the two lists: one indexed query and one directory read each, however long the list.

use super::Core;
use super::who::Person;
use crate::store::friends::{self, FriendRow};
use crate::store::owners::{self, OwnerRow};
use crate::store::requests::{self, RequestRow};
use service_kit::Result;
use service_kit::db::DbConn;
use shared_models::internal::AccountKey;
use shared_models::{Profile, Stamp};
use std::sync::Arc;

/// Even a whole list has an end (only former friends can make it that long). From its beginning it has all current
/// friends and the last former ones: older ones are nothing to who knows of none. From a cursor it has what changed
/// first, and its stamp leads on to the rest.
const MAX_ALL: i64 = 50_000;

/// More entries than a page ever has are a whole list, or what has happened to one in a long time.
const LONGEST_PAGE: usize = 100;

/// A page's place in a list.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The cursor as received; `None` on a first call.
    pub cursor: Option<Stamp>,
    /// `None`: all.
    pub size: Option<i64>,
}

/// Entries with what the directory knows of them.
pub struct Page<T> {
    pub entries: Vec<Entry<T>>,
    /// The next cursor.
    pub stamp: Stamp,
}

pub struct Entry<T> {
    pub row: T,
    pub person: Person,
    /// `None`: there is no such account.
    pub profile: Option<Arc<Profile>>,
}

impl Core {
    /// `getFriends`, by ascending stamp.
    pub async fn friends(&self, owner: &Person, place: Place, former_too: bool) -> Result<Page<FriendRow>> {
        let (owner, limit) = (owner.row(), place.size.unwrap_or(MAX_ALL));
        let after = place.cursor.map_or(0, |c| c.0);
        let is_whole = former_too && place.size.is_none() && after <= 0;
        let (rows, stamp) = self
            .db
            .read(move |conn| {
                let list = |conn: &mut DbConn| match is_whole {
                    true => friends::list_whole(conn, &owner, limit),
                    false => friends::list_friends(conn, &owner, after, former_too, limit),
                };
                page(conn, &owner, place.cursor, list, |row| row.stamp, |o| o.friends_clock)
            })
            .await?;
        self.page_of(rows, stamp, |row| &row.friend).await
    }

    /// `friendMessage`
    pub async fn requests(&self, owner: &Person, place: Place, descending: bool) -> Result<Page<RequestRow>> {
        let (owner, limit) = (owner.row(), place.size.unwrap_or(MAX_ALL));
        let (after, before) = (place.cursor.map_or(0, |c| c.0), place.cursor.map_or(i64::MAX, |c| c.0));
        let (rows, stamp) = self
            .db
            .read(move |conn| {
                let list = |conn: &mut DbConn| match descending {
                    true => requests::list_before(conn, &owner, before, limit),
                    false => requests::list_after(conn, &owner, after, limit),
                };
                page(conn, &owner, place.cursor, list, |row| row.stamp, |o| o.requests_clock)
            })
            .await?;
        self.page_of(rows, stamp, |row| &row.other).await
    }

    async fn page_of<T>(&self, rows: Vec<T>, stamp: Stamp, name: impl Fn(&T) -> &String) -> Result<Page<T>> {
        let people = rows.iter().map(|row| Person::of_row(name(row))).collect::<Result<Vec<_>>>()?;
        let keys: Vec<AccountKey> = people.iter().map(|p| p.key().clone()).collect();
        // A whole list passes through: kept, its thousands of profiles would push out those that are needed again.
        let profiles = match keys.len() > LONGEST_PAGE {
            true => self.directory.pass_many(&keys).await?,
            false => self.directory.get_many(&keys).await?,
        };
        let entries = rows
            .into_iter()
            .zip(people)
            .zip(profiles)
            .map(|((row, person), profile)| Entry { row, person, profile })
            .collect();
        Ok(Page { entries, stamp })
    }
}

/// The rows and the next cursor: the last row's stamp, or of no rows the cursor received but never later than the
/// list's clock (that clock on a first call).
///
/// The clock is only read where there are no rows, and then before them: a change that is committed meanwhile is
/// later than that clock, and so is found by whoever goes on from it.
pub(super) fn page<T>(
    conn: &mut DbConn,
    owner: &str,
    cursor: Option<Stamp>,
    list: impl Fn(&mut DbConn) -> diesel::QueryResult<Vec<T>>,
    stamp: fn(&T) -> i64,
    clock: fn(&OwnerRow) -> i64,
) -> Result<(Vec<T>, Stamp)> {
    let mut rows = list(conn)?;
    if let Some(last) = rows.last() {
        let last = stamp(last);
        return Ok((rows, Stamp(last)));
    }
    let clock = owners::find_owner(conn, owner)?.as_ref().map_or(0, clock);
    // Mostly a reader who has everything: then nothing was there when the clock was read, either.
    if clock > 0 && cursor.is_none_or(|c| c.0 != clock) {
        rows = list(conn)?;
    }
    let next = rows.last().map_or_else(|| cursor.map_or(clock, |c| c.0.min(clock)), stamp);
    Ok((rows, Stamp(next)))
}
