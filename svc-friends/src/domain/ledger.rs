//! The lists of some owners, as one transaction sees and changes them.
//!
//! Every change of an entry takes a stamp of its own off its owner's clock, `max(now, clock + 1)`: unique and
//! strictly increasing per owner whatever the time of day does, so that a reader's cursor loses nothing
//! (design §5.1). What does not change takes none.

use crate::store::friends::{self, FriendRow};
use crate::store::owners::{self, OwnerRow};
use crate::store::pairs;
use crate::store::requests::{self, RequestRow};
use service_kit::db::DbConn;
use service_kit::{Code, Error, Result};
use shared_models::Stamp;
use std::collections::{BTreeMap, BTreeSet};

/// Two users as the tables name them.
pub type Pair = (String, String);

/// How much one owner's lists hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub max_friends: i64,
    pub max_pending: i64,
}

/// A row and whether it is to be written back.
struct Held<T> {
    row: T,
    changed: bool,
}

pub struct Ledger {
    now: i64,
    limits: Limits,
    /// Those that exist are locked.
    owners: BTreeMap<String, Held<OwnerRow>>,
    missing: BTreeSet<String>,
    friends: BTreeMap<Pair, Held<FriendRow>>,
    requests: BTreeMap<(String, String, bool), Held<RequestRow>>,
    deleted: Vec<(String, String, bool)>,
}

impl Ledger {
    /// Locks the users of `pairs` and reads what they have of each other.
    pub fn open(conn: &mut DbConn, pairs: &[Pair], limits: Limits, now: Stamp) -> Result<Self> {
        let users: BTreeSet<&String> = pairs.iter().flat_map(|(a, b)| [a, b]).collect();
        let users: Vec<String> = users.into_iter().cloned().collect();
        let rows = owners::lock_owners(conn, &users)?;
        let held = |row| Held { row, changed: false };
        let owners: BTreeMap<_, _> = rows.into_iter().map(|row| (row.owner.clone(), held(row))).collect();
        let missing: BTreeSet<_> = users.into_iter().filter(|user| !owners.contains_key(user)).collect();
        // Read after the locks: as whoever held them before has left it.
        let (friends, requests) = match pairs {
            // Who has no row of his own has nothing of anybody, nor anybody of him.
            [_] if !missing.is_empty() => Default::default(),
            [(a, b)] => pairs::list_of_pair(conn, a, b)?,
            many => {
                let both: BTreeSet<Pair> = many.iter().flat_map(|(a, b)| [pair(a, b), pair(b, a)]).collect();
                pairs::list_of_pairs(conn, &both.into_iter().collect::<Vec<_>>())?
            }
        };
        let held = |row| Held { row, changed: false };
        let friends = friends.into_iter().map(|row: FriendRow| (pair(&row.owner, &row.friend), held(row))).collect();
        let held = |row| Held { row, changed: false };
        let requests = requests
            .into_iter()
            .map(|row: RequestRow| ((row.owner.clone(), row.other.clone(), row.invited), held(row)))
            .collect();
        Ok(Self { now: now.0, limits, owners, missing, friends, requests, deleted: Vec::new() })
    }

    /// Writes what changed; the owners that have to be created first, in byte order: if any, nothing was written.
    pub fn save(self, conn: &mut DbConn) -> Result<Vec<String>> {
        let owners = changed(self.owners);
        if owners.iter().any(|row| self.missing.contains(&row.owner)) {
            return Ok(self.missing.into_iter().collect());
        }
        for (owner, other, invited) in &self.deleted {
            requests::delete_request(conn, owner, other, *invited)?;
        }
        friends::upsert_friends(conn, &changed(self.friends))?;
        requests::upsert_requests(conn, &changed(self.requests))?;
        owners::update_owners(conn, &owners)?;
        Ok(Vec::new())
    }

    /// What a user says about being added.
    pub fn verifies(&self, user: &str) -> bool {
        self.owners.get(user).is_none_or(|o| o.row.verifies())
    }

    /// Whether `friend` is on `owner`'s list.
    pub fn holds(&self, owner: &str, friend: &str) -> bool {
        self.friend(owner, friend).is_some()
    }

    /// A current friend's entry.
    pub fn friend(&self, owner: &str, friend: &str) -> Option<&FriendRow> {
        self.friends.get(&pair(owner, friend)).map(|held| &held.row).filter(|row| row.active)
    }

    /// The row of having been asked (`invited`) or having asked.
    pub fn request(&self, owner: &str, other: &str, invited: bool) -> Option<&RequestRow> {
        self.requests.get(&(owner.to_owned(), other.to_owned(), invited)).map(|held| &held.row)
    }

    /// Puts `friend` on `owner`'s list, where not there.
    pub fn befriend(&mut self, owner: &str, friend: &str, source: &str) -> Result<()> {
        if self.holds(owner, friend) {
            return Ok(());
        }
        let limit = self.limits.max_friends;
        let list = self.owner(owner);
        if list.friends >= limit {
            return Err(Error::new(Code::LimitReached, "too many friends"));
        }
        list.friends += 1;
        let row = FriendRow {
            owner: owner.to_owned(),
            friend: friend.to_owned(),
            stamp: self.next_friends(owner),
            active: true,
            remark: String::new(),
            source: source.to_owned(),
        };
        self.friends.insert(pair(owner, friend), Held { row, changed: true });
        Ok(())
    }

    /// Takes `friend` off `owner`'s list, where there. The row stays, for those who read incrementally.
    pub fn unfriend(&mut self, owner: &str, friend: &str) {
        if self.holds(owner, friend) {
            self.owner(owner).friends -= 1;
            let row = FriendRow {
                owner: owner.to_owned(),
                friend: friend.to_owned(),
                stamp: self.next_friends(owner),
                active: false,
                remark: String::new(),
                source: String::new(),
            };
            self.friends.insert(pair(owner, friend), Held { row, changed: true });
        }
    }

    /// Sets a current friend's remark; the entry's stamp, `None` for who is no friend.
    pub fn remark(&mut self, owner: &str, friend: &str, remark: &str) -> Option<Stamp> {
        let row = self.friend(owner, friend)?.clone();
        if row.remark == remark {
            return Some(Stamp(row.stamp));
        }
        let row = FriendRow { stamp: self.next_friends(owner), remark: remark.to_owned(), ..row };
        let stamp = Stamp(row.stamp);
        self.friends.insert(pair(owner, friend), Held { row, changed: true });
        Some(stamp)
    }

    /// An invitation on both sides, in the place of an earlier one.
    pub fn ask(&mut self, asker: &str, target: &str, message: &str, source: &str) -> Result<()> {
        self.pend(asker, target, false, message, source)?;
        self.pend(target, asker, true, message, source)
    }

    fn pend(&mut self, owner: &str, other: &str, invited: bool, message: &str, source: &str) -> Result<()> {
        let is_pending = self.request(owner, other, invited).is_some_and(|row| !row.done);
        if !is_pending {
            let limit = self.limits.max_pending;
            let list = self.owner(owner);
            if list.pending >= limit {
                return Err(Error::new(Code::LimitReached, "too many pending requests"));
            }
            list.pending += 1;
        }
        let row = RequestRow {
            owner: owner.to_owned(),
            other: other.to_owned(),
            invited,
            stamp: self.next_requests(owner),
            message: message.to_owned(),
            source: source.to_owned(),
            done: false,
        };
        self.put_request(row);
        Ok(())
    }

    /// The two are friends now: so say all requests between them, whoever asked.
    pub fn settle(&mut self, a: &str, b: &str) {
        for (owner, other) in [(a, b), (b, a)] {
            for invited in [false, true] {
                let Some(row) = self.request(owner, other, invited).filter(|row| !row.done).cloned() else { continue };
                self.owner(owner).pending -= 1;
                let stamp = self.next_requests(owner);
                self.put_request(RequestRow { stamp, done: true, ..row });
            }
        }
    }

    /// Ends a pending invitation: the target's row goes, the asker's keeps `dealState` "0" and takes the reason.
    pub fn refuse(&mut self, target: &str, asker: &str, reason: &str) {
        let asked = (target.to_owned(), asker.to_owned(), true);
        if self.requests.remove(&asked).is_some() {
            self.owner(target).pending -= 1;
            self.deleted.push(asked);
        }
        if let Some(row) = self.request(asker, target, false).cloned() {
            let stamp = self.next_requests(asker);
            self.put_request(RequestRow { stamp, message: reason.to_owned(), ..row });
        }
    }

    fn put_request(&mut self, row: RequestRow) {
        let key = (row.owner.clone(), row.other.clone(), row.invited);
        self.requests.insert(key, Held { row, changed: true });
    }

    fn next_friends(&mut self, owner: &str) -> i64 {
        let now = self.now;
        let list = self.owner(owner);
        list.friends_clock = now.max(list.friends_clock + 1);
        list.friends_clock
    }

    fn next_requests(&mut self, owner: &str) -> i64 {
        let now = self.now;
        let list = self.owner(owner);
        list.requests_clock = now.max(list.requests_clock + 1);
        list.requests_clock
    }

    /// An owner's row, to be changed.
    fn owner(&mut self, owner: &str) -> &mut OwnerRow {
        let held = self.owners.entry(owner.to_owned());
        let held = held.or_insert_with(|| Held { row: OwnerRow::empty(owner), changed: true });
        held.changed = true;
        &mut held.row
    }
}

fn pair(a: &str, b: &str) -> Pair {
    (a.to_owned(), b.to_owned())
}

fn changed<K, T>(rows: BTreeMap<K, Held<T>>) -> Vec<T> {
    rows.into_values().filter(|held| held.changed).map(|held| held.row).collect()
}
