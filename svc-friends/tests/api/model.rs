//! Document 004's relations as plainly as they can be said, for comparison.

use std::collections::{BTreeMap, BTreeSet};

pub type User = usize;

#[derive(Debug, Clone)]
pub enum Op {
    Add { who: User, whom: User, message: String },
    Agree { who: User, asker: User },
    Refuse { who: User, asker: User, reason: String },
    Del { who: User, friend: User, both: bool },
    Remark { who: User, friend: User, remark: String },
    Import(Vec<(User, User)>),
    Verify { who: User, verify: bool },
}

/// What one sees of a friend: current, remark.
pub type Friend = (bool, String);
/// What one sees of a request: whether friends since, text.
pub type Request = (bool, String);

#[derive(Debug, Clone, Default)]
pub struct Model {
    /// By owner and friend.
    pub friends: BTreeMap<(User, User), Friend>,
    /// By owner, other and whether the owner was asked.
    pub requests: BTreeMap<(User, User, bool), Request>,
    pub open: BTreeSet<User>,
    pub max_friends: usize,
    pub max_pending: usize,
}

const OK: &str = "000000";
const ONESELF: &str = "112183";
const NO_REQUEST: &str = "112185";
const NO_FRIEND: &str = "112186";
const TOO_MANY: &str = "112188";
const HANDLED: &str = "112195";

impl Model {
    /// Does it, or nothing; the status code.
    pub fn apply(&mut self, op: &Op) -> &'static str {
        let mut next = self.clone();
        let code = next.run(op);
        let fits = next.users().iter().all(|&u| {
            (next.friends_of(u) <= next.max_friends || next.friends_of(u) <= self.friends_of(u))
                && (next.pending_of(u) <= next.max_pending || next.pending_of(u) <= self.pending_of(u))
        });
        match (code, fits) {
            (OK, true) => {
                *self = next;
                OK
            }
            (OK, false) => TOO_MANY,
            (code, _) => code,
        }
    }

    fn run(&mut self, op: &Op) -> &'static str {
        match op {
            Op::Add { who, whom, .. } if who == whom => ONESELF,
            Op::Agree { who, asker: other } | Op::Refuse { who, asker: other, .. } if who == other => ONESELF,
            Op::Del { who, friend, .. } | Op::Remark { who, friend, .. } if who == friend => ONESELF,
            Op::Import(pairs) if pairs.iter().any(|(a, b)| a == b) => ONESELF,
            Op::Add { who, whom, message } => {
                let (who, whom) = (*who, *whom);
                if self.holds(who, whom) && self.holds(whom, who) {
                } else if self.open.contains(&whom) || self.holds(whom, who) || self.is_asked(who, whom) {
                    self.become_friends(who, whom);
                } else {
                    self.requests.insert((who, whom, false), (false, message.clone()));
                    self.requests.insert((whom, who, true), (false, message.clone()));
                }
                OK
            }
            Op::Agree { who, asker } => match self.requests.get(&(*who, *asker, true)) {
                None => NO_REQUEST,
                Some((true, _)) => HANDLED,
                Some((false, _)) => {
                    self.become_friends(*who, *asker);
                    OK
                }
            },
            Op::Refuse { who, asker, reason } => match self.requests.get(&(*who, *asker, true)) {
                None => NO_REQUEST,
                Some((true, _)) => HANDLED,
                Some((false, _)) => {
                    self.requests.remove(&(*who, *asker, true));
                    self.requests.insert((*asker, *who, false), (false, reason.clone()));
                    OK
                }
            },
            Op::Del { who, friend, both } => {
                if !self.holds(*who, *friend) {
                    return NO_FRIEND;
                }
                self.friends.insert((*who, *friend), (false, String::new()));
                if *both && self.holds(*friend, *who) {
                    self.friends.insert((*friend, *who), (false, String::new()));
                }
                OK
            }
            Op::Remark { who, friend, remark } => {
                if !self.holds(*who, *friend) {
                    return NO_FRIEND;
                }
                self.friends.insert((*who, *friend), (true, remark.clone()));
                OK
            }
            Op::Import(pairs) => {
                for (a, b) in pairs {
                    self.become_friends(*a, *b);
                }
                OK
            }
            Op::Verify { who, verify } => {
                if *verify {
                    self.open.remove(who);
                } else {
                    self.open.insert(*who);
                }
                OK
            }
        }
    }

    fn become_friends(&mut self, a: User, b: User) {
        for (owner, friend) in [(a, b), (b, a)] {
            if !self.holds(owner, friend) {
                self.friends.insert((owner, friend), (true, String::new()));
            }
            for asked in [false, true] {
                if let Some((done, _)) = self.requests.get_mut(&(owner, friend, asked)) {
                    *done = true;
                }
            }
        }
    }

    fn holds(&self, owner: User, friend: User) -> bool {
        self.friends.get(&(owner, friend)).is_some_and(|(active, _)| *active)
    }

    fn is_asked(&self, who: User, by: User) -> bool {
        self.requests.get(&(who, by, true)).is_some_and(|(done, _)| !done)
    }

    fn users(&self) -> BTreeSet<User> {
        self.friends.keys().map(|k| k.0).chain(self.requests.keys().map(|k| k.0)).collect()
    }

    fn friends_of(&self, user: User) -> usize {
        self.friends.iter().filter(|((owner, _), (active, _))| *owner == user && *active).count()
    }

    fn pending_of(&self, user: User) -> usize {
        self.requests.iter().filter(|((owner, ..), (done, _))| *owner == user && !done).count()
    }
}
