//! Presence without Redis.

use super::node::Kick;
use super::table::{Table, UserKey};
use super::{ConnId, Event, Holder, Opened};
use shared_models::Platform;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Its name among the holders.
pub const NODE: &str = "alone";

/// The one process: what it has not, nobody has.
pub struct Alone {
    table: Mutex<(Table, u64)>,
    on_event: Box<dyn Fn(Event) + Send + Sync>,
}

impl Alone {
    pub fn new(on_event: Box<dyn Fn(Event) + Send + Sync>) -> Self {
        Self { table: Mutex::default(), on_event }
    }

    /// The sockets, and the latest order.
    pub fn lock(&self) -> MutexGuard<'_, (Table, u64)> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn open(&self, user: &UserKey, platform: Platform, conn: ConnId) -> Opened {
        let (table, last) = &mut *self.lock();
        *last += 1;
        let earlier = table.open_here(user, platform, conn, *last).into_iter();
        let earlier = earlier.map(|order| Holder { node: NODE.into(), platform, order }).collect();
        Opened { order: *last, earlier }
    }

    pub fn kick(&self, kick: &Kick) {
        let meant = self.lock().0.up_to(&kick.user, kick.platform, kick.up_to);
        for conn in meant {
            (self.on_event)(Event::Close { conn, reason: kick.reason });
        }
    }
}
