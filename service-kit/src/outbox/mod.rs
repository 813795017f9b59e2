//! The outbox: what other systems must still be told of committed changes (design §4).
//!
//! Level-triggered: an [`Intent`] names *what to reconcile*, not what to send. It is written in the transaction of
//! the change ([`enqueue`]); a worker later has a [`Deliver`] read the current state and send that. So intents for
//! the same thing coalesce, and duplicates, order and long outages do no harm. What is a real operation carries an
//! id of its own as its key.
//!
//! Intents of one lane are delivered in their order, one batch at a time, whatever the number of replicas: a worker
//! claims the lane for a limited time. Lanes know nothing of each other.
//!
//! Each kind has a worker with hands of its own, so a dead or slow receiver holds up its own kind and no other: what
//! goes to different receivers (each app's RongCloud) must be of different kinds.
//!
//! Each service that uses this has the two tables of `store` among its migrations.

mod admin;
mod backoff;
mod claim;
mod lane;
mod many;
mod stats;
mod store;
mod worker;

pub use admin::{Listed, list, retry};
pub use store::{enqueue, enqueue_all};

use crate::clock::Clock;
use crate::db::Db;
use crate::metrics::Metrics;
use futures_util::future::BoxFuture;
use stats::Counters;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What to reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Says who delivers it.
    pub kind: Cow<'static, str>,
    /// Intents of one lane are delivered in their order.
    pub lane: String,
    /// What within the lane; an intent that waits is the same as a new one with its key.
    pub key: String,
    /// For what the current state cannot tell; the newest counts.
    pub detail: String,
}

/// An intent on its way out.
#[derive(Debug)]
pub struct Pending {
    pub key: String,
    pub detail: String,
    done: AtomicBool,
}

impl Pending {
    fn new(key: String, detail: String) -> Self {
        Self { key, detail, done: AtomicBool::new(false) }
    }

    /// It is delivered, whatever becomes of the rest of its batch.
    pub fn mark_delivered(&self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// Why a batch was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undelivered {
    /// The other side will not take it, however often: a dead letter at once.
    Refused(String),
    /// Nothing the intent could help: tried again, for [`Options::patience`] in all.
    Later(String),
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Later(why) => f.write_str(why),
        }
    }
}

/// Brings the other side to the current state of what some intents of one lane name.
pub trait Deliver: Send + Sync + 'static {
    /// Delivers all or fails. What was delivered before a failure, or before the time was up, is delivered again unless
    /// it was marked ([`Pending::mark_delivered`]).
    fn deliver<'a>(&'a self, lane: &'a str, batch: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>>;

    /// Where this process knows that it could deliver nothing now, it leaves all lanes to others, which may be better
    /// off; its failures would only make them wait.
    fn is_able(&self) -> bool {
        true
    }
}

/// How the worker goes about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lanes of one kind at a time.
    pub lanes: usize,
    /// A batch must be delivered within this time.
    pub delivery: Duration,
    /// A claim ends after this time, whatever became of the worker; longer than `delivery`.
    pub claim: Duration,
    /// How often to look for what other processes wrote, or left behind.
    pub poll: Duration,
    /// The pause after a lane's first failure; doubled with each further one …
    pub first_pause: Duration,
    /// … up to this.
    pub longest_pause: Duration,
    /// Outages make dead letters after this time.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: 8,
            delivery: Duration::from_secs(10),
            claim: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            patience: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// Before its worker runs.
pub struct OutboxBuilder {
    db: Db,
    clock: Clock,
    options: Options,
    kinds: Kinds,
}

type Kinds = BTreeMap<Cow<'static, str>, Kind>;

struct Kind {
    /// Intents of one lane in one delivery.
    batch: usize,
    deliver: Arc<dyn Deliver>,
    wake: Notify,
}

/// A running outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    options: Options,
    kinds: Kinds,
    /// Set once, when the process ends.
    ending: watch::Sender<bool>,
    counters: Counters,
}

impl Outbox {
    pub fn builder(db: Db, clock: Clock, options: Options) -> OutboxBuilder {
        OutboxBuilder { db, clock, options, kinds: BTreeMap::new() }
    }

    /// After a commit that wrote intents of a kind: they are delivered now rather than with the next look.
    pub fn wake(&self, kind: &str) {
        if let Some(kind) = self.0.kinds.get(kind) {
            kind.wake.notify_one();
        }
    }

    /// No more deliveries; those under way may end. What is left is another process's, or this one's next start.
    pub async fn stop(&self) {
        self.0.ending.send_replace(true);
        // Each worker drops its end when it is done.
        let _ = tokio::time::timeout(self.0.options.delivery, self.0.ending.closed()).await;
    }
}

impl OutboxBuilder {
    /// Intents of `kind` go to `deliver`, up to `batch` of one lane at a time.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Cow<'static, str>>, batch: usize, deliver: impl Deliver) -> Self {
        let deliver = Arc::new(deliver);
        self.kinds.insert(kind.into(), Kind { batch: batch.max(1), deliver, wake: Notify::new() });
        self
    }

    /// Starts the workers on the current runtime. Intents of kinds that were not given stay where they are.
    pub fn start(self, metrics: &Metrics) -> Outbox {
        let Self { db, clock, options, kinds } = self;
        let (ending, ended) = watch::channel(false);
        let counters = Counters::default();
        let inner = Inner { db, clock, options, kinds, ending, counters };
        let outbox = Outbox(Arc::new(inner));
        metrics.read_on_scrape("kith_outbox", {
            let outbox = outbox.clone();
            move || outbox.0.counters.readings()
        });
        for kind in outbox.0.kinds.keys() {
            tokio::spawn(outbox.clone().work(kind.clone(), ended.clone()));
        }
        tokio::spawn(outbox.clone().count(ended));
        outbox
    }
}
