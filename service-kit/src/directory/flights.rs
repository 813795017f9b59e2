//! Look-ups under way, and the one that gathers.
//!
//! A look-up costs some 300 µs whatever it is for: the store, svc-im-auth and its database are asked, and the store is
//! told. So while two are under way, whatever else is missing gathers, and goes together when one of them lands or after
//! [`GATHER`]. Whoever is alone never waits.

use crate::error::Code;
use shared_models::Profile;
use shared_models::internal::AccountKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Under way at once before others gather.
const AT_ONCE: usize = 2;
/// A look-up that gathers waits no longer, whatever holds up those under way.
pub const GATHER: Duration = Duration::from_millis(5);

/// What a look-up brought: `None` where there is no such account.
pub type Brought = HashMap<AccountKey, Option<Arc<Profile>>>;

/// How far a look-up has come.
#[derive(Clone, Default)]
pub struct Progress {
    /// Of some of its keys, at the end of all that could be had.
    pub brought: Arc<Brought>,
    pub end: Option<End>,
}

#[derive(Clone, Copy)]
pub enum End {
    Landed,
    /// Why something is missing.
    Failed(Code),
    /// Whoever made it has gone; it is to be made again.
    Abandoned,
}

/// One look-up, for all who wait for it.
pub struct Flight {
    pub progress: watch::Sender<Progress>,
    /// One of those who wait for it may begin it.
    pub go: Notify,
}

impl Flight {
    fn new() -> Arc<Self> {
        Arc::new(Self { progress: watch::Sender::default(), go: Notify::new() })
    }
}

#[derive(Default)]
pub struct Flights {
    by_key: HashMap<AccountKey, Arc<Flight>>,
    gathering: Option<(Arc<Flight>, Vec<AccountKey>)>,
    under_way: usize,
}

impl Flights {
    /// The look-up that brings this profile.
    pub fn join(&mut self, key: &AccountKey) -> Arc<Flight> {
        if let Some(flight) = self.by_key.get(key) {
            return Arc::clone(flight);
        }
        let (flight, keys) = self.gathering.get_or_insert_with(|| (Flight::new(), Vec::new()));
        keys.push(key.clone());
        self.by_key.insert(key.clone(), Arc::clone(flight));
        Arc::clone(flight)
    }

    /// Begins this look-up if it is the one that gathers, and there is room or it is due. What it is for; to be given
    /// back to [`end`](Self::end).
    pub fn begin(&mut self, flight: &Arc<Flight>, is_due: bool) -> Option<Vec<AccountKey>> {
        let may = is_due || self.under_way < AT_ONCE;
        let (_, keys) = self.gathering.take_if(|(gathering, _)| may && Arc::ptr_eq(gathering, flight))?;
        self.under_way += 1;
        Some(keys)
    }

    pub fn end(&mut self, keys: &[AccountKey]) {
        for key in keys {
            self.by_key.remove(key);
        }
        self.under_way -= 1;
        if let Some((gathering, _)) = &self.gathering {
            gathering.go.notify_one();
        }
    }
}
