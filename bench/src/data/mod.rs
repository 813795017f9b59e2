//! The data set: always the same, made by arithmetic, of `n` accounts; at 100,000 that is 1,000,000 entries on friends
//! lists and 1,000 groups of up to 10,000 members. It is written into the services' own tables by SQL that both
//! databases take, after the services have made those tables.
//!
//! Of the accounts the first tenth are *popular*: each has the 60 nearest of them as friends. The others have 4. Some
//! of the popular are *hubs* with 500 of the others besides. Every fifth account lets itself be added without being
//! asked. Group g has n / 10 / g members, but at least 5.

mod load;
mod sql;

pub use load::{postgres, sqlite};

/// Stamps begin here: milliseconds since 1970.
pub const EPOCH: u64 = 1_700_000_000_000;
/// Entries of a popular account's list.
pub const POPULAR_FRIENDS: u64 = 60;
/// Members and friends of a hub.
const HUB_FRIENDS: u64 = 500;
/// Sizes of lists and groups that are compared with a peer's.
pub const SAMPLE_SIZES: [u64; 2] = [50, 100];

/// What there is at a size of the set.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    pub accounts: u64,
    /// Pairs with a request that waits, for calls that agree.
    pub pending: u64,
    /// A hash of [`PASSWORD`], of every account; without one they have none.
    pub with_password: bool,
    /// Lists of each of [`SAMPLE_SIZES`], and as many groups.
    pub samples: u64,
}

/// argon2id as the services compute it, of "correct horse".
pub const PASSWORD: &str = "correct horse";

impl Set {
    pub fn of(accounts: u64) -> Self {
        Self { accounts, pending: 0, with_password: false, samples: 0 }
    }

    pub fn popular(self) -> u64 {
        self.accounts / 10
    }

    fn hubs(self) -> u64 {
        (self.accounts / 2500).max(1)
    }

    pub fn groups(self) -> u64 {
        self.accounts / 100
    }

    /// The n-th account that is not popular, from 0 on and round again.
    pub fn ordinary(self, n: u64) -> u64 {
        self.popular() + n % (self.accounts - self.popular()) + 1
    }

    /// The first group of a sample of that size.
    pub fn sample_groups(self, size: usize) -> u64 {
        self.groups() + 1 + size as u64 * self.samples
    }
}

/// The n-th account's uid, from 1 on.
pub fn uid(n: u64) -> String {
    format!("u{}", 1_000_000 + n)
}

/// The uid of the n-th account, from 0 on, whose list has that size.
pub fn sample_uid(size: u64, n: u64) -> String {
    format!("r{size}-{n}")
}

/// The numbers of the n-th pair, from 0 on, of which one has asked and the other was asked: two that are not popular
/// and hold nothing of each other.
pub fn pair_of(set: Set, n: u64) -> (u64, u64) {
    let ordinary = set.accounts - set.popular();
    (set.ordinary(n), set.ordinary(n + 100 + 7 * (n / ordinary)))
}

/// Numbers that look like chance and are the same in each run (splitmix64).
pub fn chance(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_it_promises() {
        let set = Set::of(100_000);
        assert_eq!((set.popular(), set.hubs(), set.groups()), (10_000, 40, 1_000));
        assert_eq!(set.popular() * POPULAR_FRIENDS + 90_000 * 4 + 2 * set.hubs() * HUB_FRIENDS, 1_000_000);
        assert_eq!(pair_of(set, 89_950), (99_951, 10_051));
        assert_eq!(pair_of(set, 90_000), (10_001, 10_108));
        assert_eq!((set.ordinary(0), set.ordinary(89_999), set.ordinary(90_000)), (10_001, 100_000, 10_001));
    }
}
