//! Runs of [`Calls`].

use super::{Calls, Line, PATIENCE, Pace, Tally};
use crate::{Failure, Result};
use futures_util::future::try_join_all;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

/// A generator on one thread is at its end before the quickest server here is.
const THREADS: usize = 2;
/// The pacer of an open run looks so often which requests have fallen due: tokio's timer knows milliseconds only.
const TICK: Duration = Duration::from_micros(200);
/// After a run's time answers are waited for so long.
const GRACE: Duration = Duration::from_secs(30);

/// What the threads of a run share.
struct Shared {
    pace: Pace,
    time: Duration,
    /// Requests of an open run that have fallen due, or of a counted one that were begun.
    taken: AtomicU64,
    due: Semaphore,
    barrier: Barrier,
    begun: OnceLock<Instant>,
}

impl Shared {
    /// When the first thread was there: one time for all.
    fn begun(&self) -> Instant {
        *self.begun.get_or_init(Instant::now)
    }

    /// How many requests there are in all, where that is known.
    fn total(&self) -> u64 {
        match self.pace {
            Pace::Closed => u64::MAX,
            Pace::Open(rate) => (rate * self.time.as_secs_f64()) as u64,
            Pace::Count(count) => count,
        }
    }
}

pub fn run(calls: &Calls, pace: Pace, time: Duration) -> Result<Tally> {
    let threads = THREADS.min(calls.connections).max(1);
    let is_open = matches!(pace, Pace::Open(_));
    let shared = Shared {
        pace,
        time,
        taken: AtomicU64::new(0),
        due: Semaphore::new(0),
        barrier: Barrier::new(threads + usize::from(is_open)),
        begun: OnceLock::new(),
    };
    let shared = Arc::new(shared);
    let mut whole = Tally::empty()?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|n| {
                let connections = (calls.connections + n) / threads;
                let shared = shared.clone();
                scope.spawn(move || work(calls, connections, &shared))
            })
            .collect();
        if is_open {
            scope.spawn(|| keep_pace(&shared, calls.connections));
        }
        for worker in workers {
            let tally = worker.join().map_err(|_panic| "a thread of the load generator has panicked")??;
            whole.merge(&tally)?;
        }
        Ok(whole)
    })
}

/// Hands out requests as they fall due; then, to every connection, one that tells it to end.
fn keep_pace(shared: &Shared, connections: usize) {
    shared.barrier.wait();
    let begun = shared.begun();
    let (total, mut given) = (shared.total(), 0);
    let Pace::Open(rate) = shared.pace else { return };
    while given < total {
        let due = ((begun.elapsed().as_secs_f64() * rate) as u64 + 1).min(total);
        if due > given {
            shared.due.add_permits(usize::try_from(due - given).unwrap_or_default());
            given = due;
        }
        thread::sleep(TICK);
    }
    shared.due.add_permits(connections);
}

fn work(calls: &Calls, connections: usize, shared: &Arc<Shared>) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let open = open(calls, connections, shared.pace);
    let opened = runtime.block_on(async { tokio::time::timeout(GRACE, open).await });
    // Also where that failed: the others wait here.
    shared.barrier.wait();
    let (lines, begun) = (opened??, shared.begun());
    let tally = Rc::new(RefCell::new(Tally::empty()?));
    let local = LocalSet::new();
    let all = local.run_until(async {
        let tasks = lines.into_iter().map(|line| {
            let conversation = converse(calls.clone(), line, shared.clone(), begun, tally.clone());
            tokio::task::spawn_local(conversation)
        });
        for done in try_join_all(tasks).await? {
            done?;
        }
        Ok::<(), Failure>(())
    });
    runtime.block_on(async { tokio::time::timeout(shared.time + GRACE, all).await })??;
    drop(local);
    let mut tally = Rc::try_unwrap(tally).map_err(|_held| "a connection is still busy")?.into_inner();
    tally.seconds = begun.elapsed().as_secs_f64();
    Ok(tally)
}

/// Connections, one after the other, each with an answer before the time begins: a server with a short queue of those
/// that it has not accepted yet (ejabberd's is 5) drops what comes all at once, and the kernel sends it again after
/// seconds.
async fn open(calls: &Calls, connections: usize, pace: Pace) -> Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(connections);
    while lines.len() < connections {
        let mut line = Line::open(calls.address, calls.protocol).await?;
        // Of what is counted none is made besides.
        if !matches!(pace, Pace::Count(_)) {
            let mut request = Vec::new();
            (calls.render)(calls.number(), &mut request);
            let first = line.exchange(&request).await.and_then(|answer| calls.check(&answer));
            if first.is_err() && calls.patient {
                tokio::time::sleep(PATIENCE.1).await;
                continue;
            }
            first?;
        }
        lines.push(line);
    }
    Ok(lines)
}

/// One connection's part of a run.
async fn converse(
    calls: Calls,
    mut line: Line,
    shared: Arc<Shared>,
    begun: Instant,
    tally: Rc<RefCell<Tally>>,
) -> Result<()> {
    let (end, total) = (begun + shared.time, shared.total());
    let (mut request, mut tries) = (Vec::new(), 0);
    loop {
        let mut from = Instant::now();
        match shared.pace {
            // What is set up is asked for again as it is.
            Pace::Count(_) if tries > 0 => {}
            Pace::Closed if from >= end => return Ok(()),
            Pace::Closed => {}
            Pace::Count(_) if shared.taken.fetch_add(1, Relaxed) >= total => return Ok(()),
            Pace::Count(_) => {}
            Pace::Open(rate) => {
                shared.due.acquire().await?.forget();
                let taken = shared.taken.fetch_add(1, Relaxed);
                if taken >= total {
                    return Ok(());
                }
                from = begun + Duration::from_secs_f64(taken as f64 / rate);
            }
        }
        if tries == 0 || !matches!(shared.pace, Pace::Count(_)) {
            let number = calls.number();
            if number >= calls.most && !calls.patient {
                return Err(format!("there are only {} such requests: shorten the run", calls.most).into());
            }
            request.clear();
            (calls.render)(number, &mut request);
        }
        let (outcome, broken) = match line.exchange(&request).await {
            Ok(answer) => (calls.check(&answer), false),
            Err(e) => (Err(e), true),
        };
        match outcome {
            Ok(()) => tally.borrow_mut().record(from.elapsed()),
            Err(e) if !calls.patient || tries >= PATIENCE.0 => return Err(e),
            Err(_) => {
                tries += 1;
                tokio::time::sleep(PATIENCE.1).await;
                if broken {
                    line = Line::open(calls.address, calls.protocol).await?;
                }
                continue;
            }
        }
        tries = 0;
    }
}
