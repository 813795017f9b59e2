//! The outbox on both backends: what is delivered, in which order, by whom, and what becomes of the rest.

use crate::db::{Backend, Home};
use futures_util::future::BoxFuture;
use service_kit::clock::Clock;
use service_kit::db::Db;
use service_kit::metrics::Metrics;
use service_kit::outbox::{Deliver, Intent, Options, Outbox, Pending, Undelivered, enqueue, enqueue_all, list, retry};
use shared_models::Stamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Each test twice.
macro_rules! on_both {
    ($($name:ident)*) => { $(
        mod $name {
            use super::Backend;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() { super::$name(Backend::Postgres).await; }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() { super::$name(Backend::Sqlite).await; }
        }
    )* };
}

mod claims;
mod operators;
mod order;
mod trouble;

const KIND: &str = "test";

/// What was delivered, and what is to be said about it.
#[derive(Default)]
struct Log {
    batches: Mutex<Vec<(String, Vec<String>)>>,
    trouble: Mutex<BTreeMap<String, Undelivered>>,
    slow: Mutex<Duration>,
    running: Mutex<BTreeSet<String>>,
    /// It knows that it could deliver nothing.
    cut_off: AtomicBool,
    overlaps: AtomicUsize,
}

#[derive(Clone, Default)]
struct Recorder(Arc<Log>);

impl Deliver for Recorder {
    fn deliver<'a>(&'a self, lane: &'a str, batch: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let log = &self.0;
            if !log.running.lock().unwrap().insert(lane.to_owned()) {
                log.overlaps.fetch_add(1, Ordering::Relaxed);
            }
            let slow = *log.slow.lock().unwrap();
            tokio::time::sleep(slow).await;
            log.running.lock().unwrap().remove(lane);
            let keys: Vec<String> = batch.iter().map(|p| format!("{}{}", p.key, p.detail)).collect();
            let trouble = log.trouble.lock().unwrap().clone();
            for about in keys.iter().map(String::as_str).chain([lane, "all"]) {
                if let Some(trouble) = trouble.get(about) {
                    return Err(trouble.clone());
                }
            }
            log.batches.lock().unwrap().push((lane.to_owned(), keys));
            Ok(())
        })
    }

    fn is_able(&self) -> bool {
        !self.0.cut_off.load(Ordering::Relaxed)
    }
}

impl Recorder {
    fn trouble(&self, about: &str, trouble: Option<Undelivered>) {
        let mut all = self.0.trouble.lock().unwrap();
        match trouble {
            Some(trouble) => drop(all.insert(about.into(), trouble)),
            None => drop(all.remove(about)),
        }
    }

    fn batches(&self) -> Vec<(String, Vec<String>)> {
        self.0.batches.lock().unwrap().clone()
    }

    fn keys(&self) -> Vec<String> {
        self.batches().into_iter().flat_map(|(_, keys)| keys).collect()
    }

    fn slow(&self, by: Duration) {
        *self.0.slow.lock().unwrap() = by;
    }
}

/// Says what it has delivered as it goes, one intent after another.
#[derive(Clone)]
struct Stepper {
    recorder: Recorder,
    /// For each intent.
    takes: Duration,
    /// After so many of a batch it says "later".
    stops_after: usize,
}

impl Deliver for Stepper {
    fn deliver<'a>(&'a self, lane: &'a str, batch: &'a [Pending]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            for (n, pending) in batch.iter().enumerate() {
                if n == self.stops_after {
                    return Err(Undelivered::Later("no more for now".into()));
                }
                tokio::time::sleep(self.takes).await;
                self.recorder.0.batches.lock().unwrap().push((lane.to_owned(), vec![pending.key.clone()]));
                pending.mark_delivered();
            }
            Ok(())
        })
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn quick() -> Options {
    Options { poll: ms(50), first_pause: ms(50), longest_pause: ms(200), ..Options::default() }
}

fn start(db: &Db, recorder: &Recorder, batch: usize, options: Options) -> Outbox {
    start_at(db, recorder, batch, options, Clock::system())
}

fn start_at(db: &Db, recorder: &Recorder, batch: usize, options: Options, clock: Clock) -> Outbox {
    Outbox::builder(db.clone(), clock, options).kind(KIND, batch, recorder.clone()).start(&Metrics::new("test"))
}

fn intent(lane: &str, key: &str) -> Intent {
    Intent { kind: KIND.into(), lane: lane.into(), key: key.into(), detail: String::new() }
}

async fn write(db: &Db, intents: Vec<Intent>) {
    let now = Clock::system().now();
    db.transaction(move |conn| {
        for intent in &intents {
            enqueue(conn, intent, now)?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < Duration::from_secs(15), "not within 15 s: {what}");
        tokio::time::sleep(ms(10)).await;
    }
}

async fn empty(db: &Db) -> bool {
    list(db, false, 0, 10).await.unwrap().is_empty()
}
