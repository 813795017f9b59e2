//! What replacing keys does, said as plainly as can be (contract §1), and random histories.

use proptest::prelude::*;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

pub const KEYS: usize = 4;
pub const JOINED: [&str; 4] = ["recharge", "feedback", "location", "payment"];
pub const SUPERSEDED: [&str; 5] = ["consumption", "click", "validity", "comment", "purchase"];

/// App, key, kind, id.
pub type Place = (usize, usize, String, String);

#[derive(Debug, Clone)]
pub enum Step {
    /// A record or, of kind "validity", a course; `value` tells one version from another.
    Sync {
        app: usize,
        key: usize,
        kind: usize,
        id: usize,
        value: u8,
    },
    Replace {
        app: usize,
        old: usize,
        new: usize,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// Row by place, with its value.
    pub rows: BTreeMap<Place, u8>,
    /// Deleted rows: replaced key, new key, whose row it was, and the row; how many times.
    pub deleted: BTreeMap<(usize, usize, usize, String, String, u8), usize>,
    pub registered: BTreeSet<usize>,
    pub replacements: Vec<(usize, usize, usize)>,
}

pub fn kind(n: usize) -> &'static str {
    JOINED.into_iter().chain(SUPERSEDED).nth(n).unwrap()
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sync = (0..2usize, 0..KEYS, 0..9usize, 0..3usize, any::<u8>());
    let sync = sync.prop_map(|(app, key, kind, id, value)| Step::Sync { app, key, kind, id, value });
    let replace = (0..2usize, 0..KEYS, 0..KEYS).prop_map(|(app, old, new)| Step::Replace { app, old, new });
    // Now and then the same one twice in a row.
    let step = prop_oneof![5 => sync, 2 => replace];
    prop::collection::vec((step, prop::bool::weighted(0.2)), 1..50)
        .prop_map(|steps| steps.into_iter().flat_map(|(step, twice)| vec![step; if twice { 2 } else { 1 }]).collect())
}

impl Model {
    /// Whether the call succeeds.
    pub fn apply(&mut self, step: &Step) -> bool {
        match *step {
            Step::Sync { app, key, kind: k, id, value } => {
                self.registered.insert(key);
                self.rows.insert((app, key, kind(k).into(), id.to_string()), value);
                true
            }
            Step::Replace { app, old, new } => {
                if old == new || !self.registered.contains(&old) {
                    return false;
                }
                self.registered.insert(new);
                self.replacements.push((app, old, new));
                for kind in JOINED.into_iter().chain(SUPERSEDED) {
                    let of = |rows: &BTreeMap<Place, u8>, key: usize| -> Vec<(String, u8)> {
                        let of_key = rows.iter().filter(|((a, k, n, _), _)| *a == app && *k == key && n == kind);
                        of_key.map(|((_, _, _, id), value)| (id.clone(), *value)).collect()
                    };
                    let moving = of(&self.rows, old);
                    if moving.is_empty() {
                        continue;
                    }
                    if SUPERSEDED.contains(&kind) {
                        for (id, value) in of(&self.rows, new) {
                            self.rows.remove(&(app, new, kind.into(), id.clone()));
                            *self.deleted.entry((old, new, new, kind.into(), id, value)).or_default() += 1;
                        }
                    }
                    for (id, value) in moving {
                        self.rows.remove(&(app, old, kind.into(), id.clone()));
                        match self.rows.entry((app, new, kind.into(), id.clone())) {
                            Entry::Occupied(_) => {
                                *self.deleted.entry((old, new, old, kind.into(), id, value)).or_default() += 1;
                            }
                            Entry::Vacant(free) => drop(free.insert(value)),
                        }
                    }
                }
                true
            }
        }
    }

    /// The newest of a key's chain: replacements in their order, each followed once.
    pub fn newest(&self, app: usize, key: usize) -> usize {
        let of_app = self.replacements.iter().filter(|(a, _, _)| *a == app);
        of_app.fold(key, |now, (_, old, new)| if *old == now { *new } else { now })
    }
}
