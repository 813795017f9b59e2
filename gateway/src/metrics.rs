//! The gateway's own metrics, beside those of every server.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service_kit::metrics::{Label, Metrics};
use std::borrow::Cow;
use std::sync::Arc;

type Labels = [(&'static str, Label); 2];

/// Cheap to clone.
#[derive(Clone)]
pub struct GatewayMetrics(Arc<Inner>);

struct Inner {
    errors: Family<Labels, Counter>,
    ejections: Family<[(&'static str, Label); 1], Counter>,
    retries: Counter,
    dials: Counter,
    reused: Counter,
    broken: Counter,
    gone: Counter,
    sockets: Gauge,
}

impl GatewayMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let inner = Inner {
            errors: Family::default(),
            ejections: Family::default(),
            retries: Counter::default(),
            dials: Counter::default(),
            reused: Counter::default(),
            broken: Counter::default(),
            gone: Counter::default(),
            sockets: Gauge::default(),
        };
        metrics.register(|r| {
            r.register("kith_upstream_errors", "Requests without a proper answer of a service", inner.errors.clone());
            r.register("kith_upstream_ejections", "Addresses taken out for failing", inner.ejections.clone());
            r.register("kith_upstream_retries", "Requests sent once more", inner.retries.clone());
            r.register("kith_upstream_connections_opened", "Connections opened to services", inner.dials.clone());
            r.register("kith_upstream_connections_reused", "Requests on connections there", inner.reused.clone());
            r.register("kith_answers_broken", "Answers cut off after their head", inner.broken.clone());
            r.register("kith_clients_gone", "Requests given up since the client left", inner.gone.clone());
            r.register("kith_sockets", "WebSockets open", inner.sockets.clone());
        });
        Self(Arc::new(inner))
    }

    pub fn upstream_error(&self, upstream: &str, reason: &'static str) {
        let labels = [("upstream", label(upstream)), ("reason", Label(Cow::Borrowed(reason)))];
        self.0.errors.get_or_create(&labels).inc();
    }

    pub fn ejected(&self, upstream: &str) {
        self.0.ejections.get_or_create(&[("upstream", label(upstream))]).inc();
    }

    pub fn retried(&self) {
        self.0.retries.inc();
    }

    pub fn dialed(&self) {
        self.0.dials.inc();
    }

    pub fn reused(&self) {
        self.0.reused.inc();
    }

    pub fn broken(&self) {
        self.0.broken.inc();
    }

    pub fn client_gone(&self) {
        self.0.gone.inc();
    }

    pub fn sockets(&self) -> &Gauge {
        &self.0.sockets
    }
}

fn label(name: &str) -> Label {
    Label(Cow::Owned(name.to_owned()))
}
