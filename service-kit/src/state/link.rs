//! One connection to Redis, watched and renewed by a thread of its own.
//!
//! The servers run on many single-threaded runtimes that come and go; a connection that lived on one of them would
//! die with it and starve while it is busy. Callers hand their commands to the thread's connection, which sends what
//! has gathered in one write, and the answers go back to whoever waits.

use super::channels::Channels;
use super::keeper::Keeper;
use super::stats::Counters;
use crate::error::{Code, Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, ErrorKind, RedisResult, ServerErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long Redis may take to answer before its connection counts as dead.
pub(super) const ANSWER: Duration = Duration::from_millis(700);
/// How long an operation may take with its repetition.
const OPERATION: Duration = Duration::from_millis(950);
/// How long an operation waits for a new connection after it found the old one dead.
const NEW_CONNECTION: Duration = Duration::from_millis(250);

/// Whether an operation that may or may not have been done can be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Yes,
    No,
}

/// The connection as the whole process shares it. The thread ends with the last clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    stop: CancellationToken,
}

/// What the thread and the callers share.
pub(super) struct Shared {
    pub status: watch::Sender<Status>,
    /// The generation that somebody found dead.
    pub suspect: watch::Sender<u64>,
    pub channels: Arc<Channels>,
    pub counters: Counters,
}

#[derive(Clone)]
pub(crate) enum Status {
    Up(Live),
    /// Just closed by the other side: mostly there is another within milliseconds, worth waiting for.
    Renewing,
    Away,
}

impl Status {
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Up(live) => Some(live),
            Self::Renewing | Self::Away => None,
        }
    }
}

/// A connection that is believed to work.
#[derive(Clone)]
pub(crate) struct Live {
    pub connection: MultiplexedConnection,
    /// Rises with every connection: what was read in one generation says nothing about the server of the next.
    pub generation: u64,
    pub clock: Arc<ServerClock>,
}

/// What time it is on the server, by this process's own clock: never later than it really is.
pub(crate) struct ServerClock {
    since: Instant,
    /// The server's time (ms since 1970) at `since`.
    then: AtomicI64,
}

impl ServerClock {
    /// `millis` is what the server just answered; it was at most so late there when it said so.
    pub fn new(millis: i64) -> Self {
        Self { since: Instant::now(), then: AtomicI64::new(millis) }
    }

    /// The same of a later answer: clocks drift, and are set.
    pub fn set(&self, millis: i64) {
        self.then.store(millis - self.since_start(Instant::now()), Ordering::Relaxed);
    }

    pub fn at(&self, moment: Instant) -> i64 {
        self.then.load(Ordering::Relaxed) + self.since_start(moment)
    }

    /// Negative before the start.
    fn since_start(&self, moment: Instant) -> i64 {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        match moment.checked_duration_since(self.since) {
            Some(after) => millis(after),
            None => -millis(self.since.duration_since(moment)),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Link {
    /// Starts the thread. `info` must be a TCP address.
    pub(super) fn start(info: redis::ConnectionInfo, channels: Arc<Channels>) -> Result<Self, String> {
        let ConnectionAddr::Tcp(host, port) = info.addr().clone() else {
            return Err("must be redis://host[:port][/db]".into());
        };
        let shared = Arc::new(Shared {
            status: watch::Sender::new(Status::Renewing),
            suspect: watch::Sender::new(0),
            channels,
            counters: Counters::default(),
        });
        let stop = CancellationToken::new();
        let keeper = Keeper { shared: shared.clone(), host, port, settings: info.redis_settings().clone() };
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        std::thread::Builder::new()
            .name("kith-state".into())
            .spawn(move || {
                runtime.block_on(async { stopped.run_until_cancelled(keeper.run()).await });
                // A look-up of the host's name may still be under way; nobody waits for it.
                runtime.shutdown_background();
            })
            .map_err(|e| e.to_string())?;
        Ok(Self(Arc::new(Handle { shared, stop })))
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.shared.counters
    }

    /// The present connection, if there is one.
    pub fn live(&self) -> Option<Live> {
        self.0.shared.status.borrow().live().cloned()
    }

    /// Whether an operation would fail at once.
    pub fn is_away(&self) -> bool {
        matches!(*self.0.shared.status.borrow(), Status::Away)
    }

    /// For those who want to know when the connection comes and goes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.0.shared.status.subscribe()
    }

    /// Waits for a connection newer than `generation`, unless there is not going to be one soon.
    async fn newer_than(&self, generation: u64, patience: Duration) -> Option<Live> {
        let mut status = self.watch();
        let settled = status.wait_for(|s| match s {
            Status::Up(live) => live.generation > generation,
            Status::Renewing => false,
            Status::Away => true,
        });
        timeout(patience, settled).await.ok()?.ok()?.live().cloned()
    }

    /// Waits for the outcome of the first attempt to connect.
    pub(super) async fn settled(&self) {
        self.newer_than(0, Duration::from_secs(1)).await;
    }

    /// Does `operation` in bounded time, counted in the statistics.
    pub async fn run<T, F, R>(&self, again: Again, operation: F) -> Result<T>
    where
        F: Fn(Live) -> R,
        R: Future<Output = RedisResult<T>>,
    {
        let start = Instant::now();
        let result = self.attempt(again, operation, start).await;
        self.0.shared.counters.operation(start.elapsed(), result.is_err());
        result
    }

    async fn attempt<T, F, R>(&self, mut again: Again, operation: F, start: Instant) -> Result<T>
    where
        F: Fn(Live) -> R,
        R: Future<Output = RedisResult<T>>,
    {
        let away = || Error::from(Code::Unreachable).because("Redis is away");
        let mut live = self.newer_than(0, NEW_CONNECTION).await.ok_or_else(away)?;
        loop {
            let generation = live.generation;
            let patience = ANSWER.min(OPERATION.saturating_sub(start.elapsed()));
            let error = match timeout(patience, operation(live)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(e)) if !is_dead(&e) => return Err(refused(e)),
                // The thread sees a closed connection by itself, but not a silent one.
                Ok(Err(e)) => Error::from(Code::Unreachable).because(e),
                Err(e) => {
                    self.suspect(generation);
                    Error::from(Code::Unreachable).because(e)
                }
            };
            if again == Again::No {
                return Err(error);
            }
            again = Again::No;
            let patience = NEW_CONNECTION.min(OPERATION.saturating_sub(start.elapsed()));
            live = self.newer_than(generation, patience).await.ok_or(error)?;
        }
    }

    fn suspect(&self, generation: u64) {
        self.0.shared.suspect.send_if_modified(|s| {
            let newer = generation > *s;
            *s = generation.max(*s);
            newer
        });
    }
}

/// Whether the connection, not the command, is at fault.
fn is_dead(e: &redis::RedisError) -> bool {
    e.is_io_error() || e.is_unrecoverable_error()
}

/// Redis answered, but not what was wanted.
fn refused(e: redis::RedisError) -> Error {
    let passing = matches!(
        e.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
        )
    ) || matches!(e.code(), Some("BUSY" | "OOM" | "MISCONF" | "NOREPLICAS"));
    if passing { Error::from(Code::Unreachable).because(e) } else { Error::internal(e) }
}
