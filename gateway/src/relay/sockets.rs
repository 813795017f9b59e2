//! All open sockets: how many, and their end when the process ends.

use crate::metrics::GatewayMetrics;
use crate::relay::pipe::Pipe;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// Services have this long to end their sockets, and clients to go.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Counts sockets and closes them.
pub struct Sockets {
    free: Arc<Semaphore>,
    tasks: TaskTracker,
    closing: CancellationToken,
    gauge: Gauge,
}

/// The right to one socket.
pub struct Permit {
    gauge: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Sockets {
    pub fn new(limit: usize, metrics: &GatewayMetrics) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            gauge: metrics.sockets().clone(),
        }
    }

    /// Room for one more, unless there are too many or the process ends.
    pub fn admit(&self) -> Option<Permit> {
        if self.closing.is_cancelled() {
            return None;
        }
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        self.gauge.inc();
        Some(Permit { gauge: self.gauge.clone(), _permit: permit })
    }

    /// Ready when sockets are to close.
    pub fn closing(&self) -> WaitForCancellationFutureOwned {
        self.closing.clone().cancelled_owned()
    }

    /// A socket's life.
    pub fn track(&self, permit: Permit, pipe: Pipe) -> impl Future<Output = ()> + use<> {
        self.tasks.track_future(async move {
            pipe.await;
            drop(permit);
        })
    }

    /// Tells the services that no client will send any more, which they answer with close frames, and waits for those
    /// to be passed on.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_TIMEOUT, self.tasks.wait()).await.is_err() {
            log::warn!("{} sockets did not close in time", self.tasks.len());
        }
    }
}
