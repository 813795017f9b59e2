//! The outbox on both backends: what is delivered, in which order, by whom, and what becomes of the rest.

use crate::db::{Backend, Home};
use futures_util::future::BoxFuture;
use service_kit::clock::Clock;
use service_kit::db::Db;
use service_kit::metrics::Metrics;
use service_kit::outbox::{Deliver, Intent, Options, Outbox, Pending, Undelivered, enqueue, list, retry};
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

on_both! {
    intents_are_delivered_once_in_the_order_of_their_lane
    what_waits_coalesces
    a_change_during_a_delivery_is_delivered_again
    a_refusal_is_a_dead_letter_at_once_and_buries_no_other
    a_dead_letter_is_revived_by_the_next_change_or_by_hand
    an_outage_is_waited_for_and_makes_dead_letters_only_after_the_patience
    one_lane_in_trouble_holds_up_no_other
    one_lane_is_one_workers_at_a_time
    a_lane_left_behind_is_taken_over
    a_delivery_that_outlived_its_claim_is_made_again
    an_intent_written_while_its_lane_is_being_dropped_is_delivered
    nothing_is_lost_while_writers_and_workers_race
    length_age_and_dead_letters_are_metrics
    a_rolled_back_change_tells_nobody
}

const KIND: &str = "test";

/// What was delivered, and what is to be said about it.
#[derive(Default)]
struct Log {
    batches: Mutex<Vec<(String, Vec<String>)>>,
    trouble: Mutex<BTreeMap<String, Undelivered>>,
    slow: Mutex<Duration>,
    running: Mutex<BTreeSet<String>>,
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
    Intent { kind: KIND, lane: lane.into(), key: key.into(), detail: String::new() }
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

async fn intents_are_delivered_once_in_the_order_of_their_lane(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    for n in 0..5 {
        write(&db, vec![intent("a", &n.to_string()), intent("b", &n.to_string())]).await;
    }
    let _outbox = start(&db, &recorder, 2, quick());
    until("all delivered", async || empty(&db).await).await;
    for lane in ["a", "b"] {
        let of_lane: Vec<_> = recorder.batches().into_iter().filter(|(l, _)| l == lane).map(|(_, k)| k).collect();
        assert_eq!(of_lane, [vec!["0", "1"], vec!["2", "3"], vec!["4"]]);
    }
    tokio::time::sleep(ms(200)).await;
    assert_eq!(recorder.keys().len(), 10);
}

async fn what_waits_coalesces(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    for n in 0..50 {
        write(&db, vec![Intent { detail: n.to_string(), ..intent("a", "k") }]).await;
    }
    let outbox = start(&db, &recorder, 10, quick());
    until("delivered", async || empty(&db).await).await;
    assert_eq!(recorder.keys(), ["k49"]);
    // A wake-up is quicker than the next look.
    write(&db, vec![intent("a", "x")]).await;
    outbox.wake();
    until("delivered", async || empty(&db).await).await;
}

async fn a_change_during_a_delivery_is_delivered_again(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.slow(ms(400));
    write(&db, vec![intent("a", "k")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("the delivery runs", async || !recorder.0.running.lock().unwrap().is_empty()).await;
    write(&db, vec![intent("a", "k"), intent("a", "other")]).await;
    until("delivered", async || empty(&db).await).await;
    assert_eq!(recorder.batches(), [("a".into(), vec!["k".into()]), ("a".into(), vec!["k".into(), "other".into()])]);
}

async fn a_refusal_is_a_dead_letter_at_once_and_buries_no_other(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("bad", Some(Undelivered::Refused("bad id".into())));
    write(&db, vec![intent("a", "1"), intent("a", "bad"), intent("a", "2")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("all but one delivered", async || recorder.keys().len() == 2).await;
    until("settled", async || list(&db, false, 0, 10).await.unwrap().len() == 1).await;
    let left = list(&db, true, 0, 10).await.unwrap();
    assert_eq!((left[0].key.as_str(), left[0].is_dead, left[0].reason.as_str()), ("bad", true, "bad id"));
    // And the lane goes on.
    write(&db, vec![intent("a", "3")]).await;
    until("delivered", async || recorder.keys() == ["1", "2", "3"]).await;
}

async fn a_dead_letter_is_revived_by_the_next_change_or_by_hand(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("all", Some(Undelivered::Refused("no".into())));
    write(&db, vec![intent("a", "1"), intent("a", "2"), intent("b", "3")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("all dead", async || list(&db, true, 0, 10).await.unwrap().len() == 3).await;
    recorder.trouble("all", None);
    write(&db, vec![intent("a", "1")]).await;
    until("one revived", async || recorder.keys() == ["1"]).await;
    let third = list(&db, true, 0, 10).await.unwrap().into_iter().find(|l| l.key == "3").unwrap().id;
    assert_eq!(retry(&db, &Clock::system(), Some(vec![third, 999])).await.unwrap(), 1);
    until("another revived", async || recorder.keys() == ["1", "3"]).await;
    assert_eq!(retry(&db, &Clock::system(), None).await.unwrap(), 1);
    until("all revived", async || empty(&db).await).await;
}

async fn an_outage_is_waited_for_and_makes_dead_letters_only_after_the_patience(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    let now = Arc::new(AtomicI64::new(Clock::system().now().0));
    let clock = {
        let now = now.clone();
        Clock::from_fn(move || Stamp(now.fetch_add(1, Ordering::Relaxed)))
    };
    recorder.trouble("all", Some(Undelivered::Later("away".into())));
    write(&db, vec![intent("a", "1")]).await;
    let _outbox = start_at(&db, &recorder, 10, quick(), clock);
    until("failures are counted", async || {
        let waits = list(&db, false, 0, 10).await.unwrap();
        now.fetch_add(300, Ordering::Relaxed);
        waits[0].failures.is_some_and(|n| n >= 3) && waits[0].trouble.as_deref() == Some("away")
    })
    .await;
    // Six days later it still waits.
    now.fetch_add(6 * 86_400_000, Ordering::Relaxed);
    tokio::time::sleep(ms(300)).await;
    assert!(list(&db, true, 0, 10).await.unwrap().is_empty());
    // After seven it is dead.
    now.fetch_add(86_400_000, Ordering::Relaxed);
    until("dead", async || {
        now.fetch_add(300, Ordering::Relaxed);
        list(&db, true, 0, 10).await.unwrap().len() == 1
    })
    .await;
    assert_eq!(list(&db, true, 0, 10).await.unwrap()[0].reason, "away");
}

async fn one_lane_in_trouble_holds_up_no_other(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("stuck", Some(Undelivered::Later("away".into())));
    write(&db, (0..20).map(|n| intent("stuck", &n.to_string())).collect()).await;
    write(&db, vec![intent("a", "1"), intent("b", "2")]).await;
    let _outbox = start(&db, &recorder, 10, Options { lanes: 1, ..quick() });
    until("the others", async || recorder.keys().len() == 2).await;
    recorder.trouble("stuck", None);
    until("and it, when it can", async || empty(&db).await).await;
}

async fn one_lane_is_one_workers_at_a_time(backend: Backend) {
    let home = Home::new(backend);
    // Two replicas: two doors to one database.
    let (db, other, recorder) = (home.open().await, home.open().await, Recorder::default());
    recorder.slow(ms(3));
    let _outboxes = [start(&db, &recorder, 3, quick()), start(&other, &recorder, 3, quick())];
    for n in 0..60 {
        write(&db, (0..5).map(|lane| intent(&format!("l{lane}"), &n.to_string())).collect()).await;
    }
    until("all delivered", async || empty(&db).await).await;
    assert_eq!(recorder.0.overlaps.load(Ordering::Relaxed), 0);
    let distinct: BTreeSet<_> = recorder
        .batches()
        .into_iter()
        .flat_map(|(lane, keys)| keys.into_iter().map(move |k| (lane.clone(), k)))
        .collect();
    assert_eq!(distinct.len(), 300);
}

async fn a_lane_left_behind_is_taken_over(backend: Backend) {
    let home = Home::new(backend);
    let (db, dying, recorder) = (home.open().await, home.open().await, Recorder::default());
    // Claims the lane and is never heard of again.
    let lost = Recorder::default();
    lost.slow(Duration::from_secs(60));
    let options = Options { claim: ms(700), delivery: Duration::from_secs(90), ..quick() };
    write(&db, vec![intent("a", "1")]).await;
    // With one hand, so that it does not take its own lane again.
    let _dying = start(&dying, &lost, 10, Options { lanes: 1, ..options.clone() });
    until("claimed", async || !lost.0.running.lock().unwrap().is_empty()).await;
    let began = Instant::now();
    let _outbox = start(&db, &recorder, 10, options);
    until("taken over", async || recorder.keys() == ["1"]).await;
    assert!(began.elapsed() > ms(300) && began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

async fn a_delivery_that_outlived_its_claim_is_made_again(backend: Backend) {
    let home = Home::new(backend);
    let (db, other) = (home.open().await, home.open().await);
    // One shared other side, which keeps the last state it was told; the slow one read its state early.
    let (slow, fast) = (Recorder::default(), Recorder::default());
    slow.slow(ms(1500));
    let options = Options { claim: ms(400), delivery: Duration::from_secs(9), ..quick() };
    write(&db, vec![intent("a", "1")]).await;
    let _slow = start(&db, &slow, 10, Options { lanes: 1, ..options.clone() });
    until("claimed", async || !slow.0.running.lock().unwrap().is_empty()).await;
    let _fast = start(&other, &fast, 10, options);
    until("taken over", async || fast.keys() == ["1"]).await;
    until("the slow one ends", async || !slow.keys().is_empty()).await;
    // What the slow one sent may have been older: it is told once more, by whoever is quick.
    until("told once more", async || fast.keys().len() + slow.keys().len() >= 3).await;
}

async fn an_intent_written_while_its_lane_is_being_dropped_is_delivered(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.slow(ms(300));
    write(&db, vec![intent("a", "1")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("the delivery runs", async || !recorder.0.running.lock().unwrap().is_empty()).await;
    // Not committed when the worker finds the lane empty.
    let now = Clock::system().now();
    db.transaction(move |conn| {
        enqueue(conn, &intent("a", "2"), now)?;
        std::thread::sleep(ms(900));
        Ok(())
    })
    .await
    .unwrap();
    until("delivered", async || recorder.keys() == ["1", "2"]).await;
}

async fn nothing_is_lost_while_writers_and_workers_race(backend: Backend) {
    let home = Home::new(backend);
    let (db, other, recorder) = (home.open().await, home.open().await, Recorder::default());
    let outboxes = [start(&db, &recorder, 4, quick()), start(&other, &recorder, 4, quick())];
    // The truth, as versions by lane and key: the last one delivered must be the last one written.
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicI64::new(0));
    let written: Arc<Mutex<BTreeMap<String, i64>>> = Arc::default();
    let writers: Vec<_> = (0..4)
        .map(|w| {
            let (db, stop, next, written) = (db.clone(), stop.clone(), next.clone(), written.clone());
            let outbox = outboxes[w % 2].clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let (lane, key) = (format!("l{}", n % 3), format!("{w}."));
                    write(&db, vec![Intent { detail: n.to_string(), ..intent(&lane, &key) }]).await;
                    written.lock().unwrap().insert(format!("{lane} {key}"), n);
                    outbox.wake();
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    until("all delivered", async || empty(&db).await).await;
    let mut told = BTreeMap::new();
    for (lane, keys) in recorder.batches() {
        for key in keys {
            let (who, n) = key.split_once('.').unwrap();
            told.insert(format!("{lane} {who}."), n.parse::<i64>().unwrap());
        }
    }
    assert_eq!(told, *written.lock().unwrap());
    assert!(next.load(Ordering::Relaxed) > 100);
}

async fn length_age_and_dead_letters_are_metrics(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder, metrics) = (home.open().await, Recorder::default(), Metrics::new("test"));
    recorder.trouble("bad", Some(Undelivered::Refused("no".into())));
    recorder.trouble("b", Some(Undelivered::Later("away".into())));
    let old = Stamp(Clock::system().now().0 - 90_000);
    db.transaction(move |conn| Ok(enqueue(conn, &intent("b", "waits"), old)?)).await.unwrap();
    write(&db, vec![intent("a", "bad"), intent("a", "good")]).await;
    let builder = Outbox::builder(db.clone(), Clock::system(), quick());
    let _outbox = builder.kind(KIND, 10, recorder.clone()).start(&metrics);
    until("counted", async || {
        let text = metrics.render().unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|l| l.starts_with(&format!("kith_outbox_{name}{{"))).unwrap_or_default();
            line.rsplit(' ').next().unwrap_or_default().parse::<i64>().unwrap_or(-1)
        };
        value("length") == 1 && value("dead") == 1 && value("age_seconds") >= 90 && value("delivered_total") == 1
    })
    .await;
}

async fn a_rolled_back_change_tells_nobody(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    let _outbox = start(&db, &recorder, 10, quick());
    let now = Clock::system().now();
    let failed = db
        .transaction(move |conn| {
            enqueue(conn, &intent("a", "1"), now)?;
            Err::<(), _>(service_kit::Code::GroupFull.into())
        })
        .await;
    assert!(failed.is_err());
    tokio::time::sleep(ms(300)).await;
    assert!(recorder.keys().is_empty() && empty(&db).await);
}
