//! Health of a process (design §5.8): alive, ready, and what else is wrong.
//!
//! Ready means: this process could start its work. Outages of others are told in the body and in the metrics, not
//! as not-ready, so that one failing part does not take the rest out of service.

use crate::error::Result;
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// A part that is slower than this is reported as not answering.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// What `/readyz` tells. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    draining: AtomicBool,
    parts: Vec<(&'static str, Probe)>,
    /// Of other servers in the same process.
    others: RwLock<Vec<(&'static str, Health)>>,
}

/// Collects the parts of a process.
#[derive(Default)]
pub struct HealthBuilder(Inner);

impl HealthBuilder {
    #[must_use]
    pub fn part<F>(mut self, name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.0.parts.push((name, Box::new(move || Box::pin(probe()))));
        self
    }

    pub fn build(self) -> Health {
        Health(Arc::new(self.0))
    }
}

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
pub struct Readiness {
    pub ready: bool,
    pub draining: bool,
    /// `ok`, or why not.
    pub parts: BTreeMap<String, String>,
}

impl Health {
    pub fn builder() -> HealthBuilder {
        HealthBuilder::default()
    }

    /// From now on not ready: the process is about to end.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Shows the parts of another server of the same process too, as `server.part`.
    pub fn show(&self, server: &'static str, other: Health) {
        self.0.others.write().unwrap_or_else(PoisonError::into_inner).push((server, other));
    }

    pub async fn readiness(&self) -> Readiness {
        let others = self.0.others.read().unwrap_or_else(PoisonError::into_inner).clone();
        let own = self.0.parts.iter().map(|part| (None, part));
        let theirs = others.iter().flat_map(|(server, h)| h.0.parts.iter().map(|part| (Some(*server), part)));
        let parts = join_all(own.chain(theirs).map(|(server, (name, probe))| async move {
            let state = match tokio::time::timeout(PROBE_TIMEOUT, probe()).await {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(e)) => e.to_string(),
                Err(_) => "does not answer".to_owned(),
            };
            (server.map_or_else(|| (*name).to_owned(), |server| format!("{server}.{name}")), state)
        }));
        let draining = self.is_draining();
        Readiness { ready: !draining, draining, parts: parts.await.into_iter().collect() }
    }
}
