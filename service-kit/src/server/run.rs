//! A running server and its end.

use super::Spec;
use crate::health::Health;
use crate::metrics::Metrics;
use actix_server::{Server, ServerHandle};
use futures_util::future::LocalBoxFuture;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

type Step = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()>>;

/// A running server. Dropping it does not stop the server; [`Running::stop`] does.
pub struct Running {
    pub name: &'static str,
    pub public: SocketAddr,
    pub internal: SocketAddr,
    health: Health,
    metrics: Option<Metrics>,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
    before_stop: Vec<Step>,
    after_stop: Vec<Step>,
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

    /// Done after the drain, before what runs is waited for: close long-lived connections here.
    #[must_use]
    pub fn before_stop<F: Future<Output = ()> + 'static>(mut self, step: impl FnOnce() -> F + 'static) -> Self {
        self.before_stop.push(Box::new(move || Box::pin(step())));
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

    /// Ends accepting, finishes what runs.
    pub async fn stop(self) {
        self.health.drain();
        for step in self.before_stop {
            step().await;
        }
        self.handle.stop(true).await;
        for step in self.after_stop {
            step().await;
        }
        if let Ok(Err(e)) = self.server.await {
            log::error!("{}: {e}", self.name);
        }
    }
}

/// Waits for SIGTERM or SIGINT, then ends the servers in their order, the doors first.
pub async fn until_signal(servers: Vec<Running>, drain: Duration) -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let ending = tokio::select! {
        _ = term.recv() => Ending::Drain,
        _ = int.recv() => Ending::Now,
    };
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
    for server in servers {
        server.stop().await;
    }
    Ok(())
}
