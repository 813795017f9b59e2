//! Open sockets of this process: who they are, and the means to end them from elsewhere.
//!
//! An idle socket costs its stream, its entry here and one small task (design §3); nothing here grows with traffic.

mod session;
mod upgrade;

pub use upgrade::upgrade;

use service_kit::presence::{ConnId, Event, Reason};
use shared_models::Platform;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Why a socket is ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A later socket of the same user and platform took its place.
    Replaced = 1,
    LoggedOut = 2,
    /// This process ends.
    GoingAway = 3,
}

/// The way to a socket's task.
#[derive(Default)]
pub struct Control {
    ending: AtomicU8,
    wake: Notify,
}

impl Control {
    fn end(&self, ending: Ending) {
        // The first reason stays.
        let _ = self.ending.compare_exchange(0, ending as u8, Ordering::AcqRel, Ordering::Acquire);
        self.wake.notify_one();
    }

    fn ending(&self) -> Option<Ending> {
        match self.ending.load(Ordering::Acquire) {
            1 => Some(Ending::Replaced),
            2 => Some(Ending::LoggedOut),
            3 => Some(Ending::GoingAway),
            _ => None,
        }
    }
}

struct Entry {
    control: Arc<Control>,
    token_id: Box<str>,
    platform: Platform,
}

/// The registry. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sockets(Arc<Inner>);

#[derive(Default)]
struct Inner {
    entries: Mutex<HashMap<ConnId, Entry>>,
    next: AtomicU64,
    closing: AtomicBool,
    kicks: AtomicU64,
    logouts: AtomicU64,
    doubts: Mutex<Doubts>,
    doubted: Notify,
}

/// Sockets whose tokens are to be looked at.
#[derive(Default)]
struct Doubts {
    logged_out: HashSet<ConnId>,
    all: bool,
}

/// A socket whose token is to be looked at.
pub struct Doubtful {
    pub conn: ConnId,
    pub token_id: String,
    /// A log-out named this socket's user and platform.
    pub logged_out: bool,
}

impl Sockets {
    /// Adds a socket under an id of its own; `None` if the process takes no more. Dropping the seat takes it out.
    pub fn seat(&self, limit: usize, token_id: &str, platform: Platform) -> Option<Seat> {
        let mut entries = self.entries();
        if self.is_closing() || entries.len() >= limit {
            return None;
        }
        let conn = self.0.next.fetch_add(1, Ordering::Relaxed) + 1;
        let control = Arc::new(Control::default());
        entries.insert(conn, Entry { control: control.clone(), token_id: token_id.into(), platform });
        Some(Seat { sockets: self.clone(), conn, control })
    }

    /// What presence tells; called from its thread.
    pub fn on_event(&self, event: Event) {
        match event {
            Event::Close { conn, reason: Reason::Replaced } => self.end(conn, Ending::Replaced),
            // Only sockets whose token is dead: one opened with a later token is not meant.
            Event::Close { conn, reason: Reason::LoggedOut } => {
                self.doubts().logged_out.insert(conn);
                self.0.doubted.notify_one();
            }
            Event::Missed => {
                self.doubts().all = true;
                self.0.doubted.notify_one();
            }
        }
    }

    pub fn end(&self, conn: ConnId, ending: Ending) {
        if let Some(entry) = self.entries().get(&conn) {
            match ending {
                Ending::Replaced => self.0.kicks.fetch_add(1, Ordering::Relaxed),
                Ending::LoggedOut => self.0.logouts.fetch_add(1, Ordering::Relaxed),
                Ending::GoingAway => 0,
            };
            entry.control.end(ending);
        }
    }

    /// Waits for sockets that are in doubt.
    pub async fn doubtful(&self) -> Vec<Doubtful> {
        loop {
            let Doubts { logged_out, all } = std::mem::take(&mut *self.doubts());
            let doubtful: Vec<_> = {
                let entries = self.entries();
                let doubted = |conn: &ConnId, entry: &Entry| Doubtful {
                    conn: *conn,
                    token_id: entry.token_id.to_string(),
                    logged_out: logged_out.contains(conn),
                };
                if all {
                    entries.iter().map(|(conn, entry)| doubted(conn, entry)).collect()
                } else {
                    // Mostly one; the registry stands still meanwhile.
                    logged_out.iter().filter_map(|conn| Some(doubted(conn, entries.get(conn)?))).collect()
                }
            };
            if !doubtful.is_empty() {
                return doubtful;
            }
            self.0.doubted.notified().await;
        }
    }

    /// Puts sockets in doubt again that could not be looked at.
    pub fn doubt_again(&self, some: &[Doubtful]) {
        let mut doubts = self.doubts();
        doubts.all |= some.iter().any(|doubtful| !doubtful.logged_out);
        doubts.logged_out.extend(some.iter().filter(|doubtful| doubtful.logged_out).map(|doubtful| doubtful.conn));
        drop(doubts);
        self.0.doubted.notify_one();
    }

    /// Ends all sockets and waits until they are gone, at most `within`. No new ones are taken.
    pub async fn close_all(&self, within: Duration) {
        self.0.closing.store(true, Ordering::Release);
        for entry in self.entries().values() {
            entry.control.end(Ending::GoingAway);
        }
        let start = Instant::now();
        while !self.entries().is_empty() && start.elapsed() < within {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// Open sockets by platform, in the order of platform numbers.
    pub fn by_platform(&self) -> [u64; 7] {
        let mut counts = [0; 7];
        for entry in self.entries().values() {
            if let Some(count) = counts.get_mut(usize::from(entry.platform.number()) - 1) {
                *count += 1;
            }
        }
        counts
    }

    /// Sockets ended because of a later one, and by log-outs.
    pub fn ended(&self) -> (u64, u64) {
        (self.0.kicks.load(Ordering::Relaxed), self.0.logouts.load(Ordering::Relaxed))
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<ConnId, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.0.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket's place in the registry.
pub struct Seat {
    sockets: Sockets,
    pub conn: ConnId,
    pub control: Arc<Control>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sockets.entries().remove(&self.conn);
    }
}
