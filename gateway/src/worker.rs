//! What one worker thread has of its own, and what it shares with the others.

use crate::conn::Watched;
use crate::crowd::Crowd;
use crate::documents::Documents;
use crate::ids::Ids;
use crate::limit::RateLimit;
use crate::metrics::GatewayMetrics;
use crate::relay::Sockets;
use crate::routes::Routes;
use crate::settings::Settings;
use crate::upstream::{PoolSettings, Pools, Upstream};
use http::HeaderValue;
use service_kit::health::Health;
use service_kit::metrics::{Metrics, RouteMetrics};
use service_kit::server::Context;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What all workers share.
pub struct Shared {
    pub settings: Settings,
    pub routes: Routes,
    pub upstreams: Vec<Arc<Upstream>>,
    pub rate: Option<RateLimit>,
    pub sockets: Sockets,
    pub crowd: Arc<Crowd>,
    pub token: HeaderValue,
    pub context: Context,
    pub health: Health,
    pub metrics: Metrics,
    pub own_metrics: GatewayMetrics,
    /// Where they are shown.
    pub documents: Option<Documents>,
}

/// What one worker has.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub watched: Watched,
    pub pools: Vec<Pools>,
    pub ids: Ids,
    /// Metrics of each service's requests, and of the gateway's own.
    pub routes: Vec<RouteMetrics>,
    pub own: RouteMetrics,
}

/// Overdue connections are looked for so often.
const SWEEP: Duration = Duration::from_secs(1);

impl Worker {
    /// Must be called on the worker's own thread.
    pub fn start(shared: &Arc<Shared>) -> Rc<Self> {
        let settings = PoolSettings {
            size: shared.settings.limits.upstream_connections,
            connect: shared.settings.timeouts.connect.into(),
            idle: shared.settings.timeouts.idle.into(),
            metrics: shared.own_metrics.clone(),
        };
        let pools = shared.upstreams.iter().map(|u| Pools::new(Arc::clone(u), settings.clone()));
        let worker = Rc::new(Self {
            watched: Watched::default(),
            pools: pools.collect(),
            ids: Ids::new(),
            routes: shared.upstreams.iter().map(|u| shared.metrics.route(u.name.clone())).collect(),
            own: shared.metrics.route("gateway"),
            shared: Arc::clone(shared),
        });
        let weak = Rc::downgrade(&worker);
        actix_rt::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(worker) = weak.upgrade() else { break };
                worker.watched.sweep(worker.shared.settings.timeouts.stall.into());
                worker.pools.iter().for_each(Pools::sweep);
            }
        });
        worker
    }
}
