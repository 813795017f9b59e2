//! A running server and its end.

use super::Spec;
use crate::health::Health;
use crate::metrics::Metrics;
use actix_server::{Server, ServerHandle};
use futures_util::future::{LocalBoxFuture, join_all};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

type Step = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()>>;
/// The same, told how much time is left.
type TimedStep = Box<dyn FnOnce(Duration) -> LocalBoxFuture<'static, ()>>;

/// A running server. Dropping it does not stop the server; [`Running::stop`] does.
pub struct Running {
    pub name: &'static str,
    pub public: SocketAddr,
    pub internal: SocketAddr,
    health: Health,
    metrics: Option<Metrics>,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
    before_stop: Vec<TimedStep>,
    after_stop: Vec<Step>,
}

/// From the signal to the end of the process: whoever started it kills it after 30 s.
const END_WITHIN: Duration = Duration::from_secs(28);
/// Kept of a server's time for leaving shared stores clean.
const FOR_LAST_STEPS: Duration = Duration::from_secs(2);

/// When something must have ended.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Of a process that is told to end now.
    pub fn of_process() -> Self {
        Self::after(END_WITHIN)
    }

    fn before(self, time: Duration) -> Self {
        Self(self.0.checked_sub(time).unwrap_or(self.0))
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Half of what is left.
    fn half(self) -> Self {
        Self::after(self.left() / 2)
    }
}

/// How a process was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM: others may still send requests for a while.
    Drain,
    /// SIGINT, from a keyboard.
    Now,
}

impl Running {
    /// Starts a server on the current runtime.
    pub fn start(server: Server, (public, internal): (SocketAddr, SocketAddr), spec: &Spec) -> Self {
        let handle = server.handle();
        Self {
            name: spec.name,
            public,
            internal,
            health: spec.health.clone(),
            metrics: spec.metrics.first().cloned(),
            handle,
            server: actix_rt::spawn(server),
            before_stop: Vec::new(),
            after_stop: Vec::new(),
        }
    }

    /// This server's own metrics.
    pub fn metrics(&self) -> Option<Metrics> {
        self.metrics.clone()
    }

    /// Done after the drain, before what runs is waited for: close long-lived connections here. Steps are told how much
    /// time is left, after which they are cut off.
    #[must_use]
    pub fn before_stop<F: Future<Output = ()> + 'static>(mut self, step: impl FnOnce(Duration) -> F + 'static) -> Self {
        self.before_stop.push(Box::new(move |left| Box::pin(step(left))));
        self
    }

    /// Done when no request runs any more: leave shared stores clean here.
    #[must_use]
    pub fn after_stop<F: Future<Output = ()> + 'static>(mut self, step: impl FnOnce() -> F + 'static) -> Self {
        self.after_stop.push(Box::new(move || Box::pin(step())));
        self
    }

    /// `/readyz` says no, answers carry `Connection: close`; accepting goes on.
    pub fn drain(&self) {
        self.health.drain();
    }

    /// Shows the parts of another server of this process in `/readyz` too.
    pub fn show_health_of(&self, other: &Self) {
        self.health.show(other.name, other.health.clone());
    }

    /// Ends accepting, finishes what runs.
    pub async fn stop(self) {
        self.stop_by(Deadline::of_process()).await;
    }

    /// The same, cutting off what is not finished by the deadline.
    pub async fn stop_by(self, deadline: Deadline) {
        self.health.drain();
        let serving = deadline.before(FOR_LAST_STEPS);
        for step in self.before_stop {
            if timeout_at(serving.0, step(serving.left())).await.is_err() {
                log::warn!("{}: long-lived connections are cut off", self.name);
            }
        }
        if timeout_at(serving.0, self.handle.stop(true)).await.is_err() {
            log::warn!("{}: requests that still run are cut off", self.name);
            // A stop that was begun takes no second order; dropped, the server ends its workers at once.
            self.server.abort();
        }
        for step in self.after_stop {
            if timeout_at(deadline.0, step()).await.is_err() {
                log::warn!("{}: no time was left to end everything", self.name);
            }
        }
        if let Ok(Ok(Err(e))) = timeout_at(deadline.0, self.server).await {
            log::error!("{}: {e}", self.name);
        }
    }
}

/// Ends servers by the deadline: the first is the door to the others, which are ended together after it, and leaves
/// them half the time.
pub async fn stop_all(mut servers: Vec<Running>, deadline: Deadline) {
    if servers.len() > 1 {
        servers.remove(0).stop_by(deadline.half()).await;
    }
    join_all(servers.into_iter().map(|server| server.stop_by(deadline))).await;
}

/// Waits for SIGTERM or SIGINT, then ends the servers, the first before the others, all within 28 s of the signal.
pub async fn until_signal(servers: Vec<Running>, drain: Duration) -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let ending = tokio::select! {
        _ = term.recv() => Ending::Drain,
        _ = int.recv() => Ending::Now,
    };
    let deadline = Deadline::of_process();
    log::info!("ending");
    for server in &servers {
        server.drain();
    }
    if ending == Ending::Drain {
        // A second signal, of either sort, shortens the wait.
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
    stop_all(servers, deadline).await;
    Ok(())
}
