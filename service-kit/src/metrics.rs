//! Metrics in Prometheus' text format, one registry a server.

mod merge;
mod timings;

pub use merge::render_all;
pub use timings::{BOUNDS, Times, Timings};

use crate::error::Code;
use crate::wire::Dialect;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Seconds; from a cached read to the longest time a request may take.
const LATENCY_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// A server's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
    running: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Label,
    outcome: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Label,
}

/// A failure as its envelope tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    family: Label,
    code: Label,
    reason: Label,
}

/// A label out of a bounded set: a route's pattern, a reason's name. Never text from a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(pub Cow<'static, str>);

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(&self.0)
    }
}

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

impl Metrics {
    /// `service` becomes a label of every metric.
    pub fn new(service: &'static str) -> Self {
        let mut registry = Registry::with_labels([(Cow::Borrowed("service"), Cow::Borrowed(service))].into_iter());
        let requests = Family::default();
        let latency = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        let failures = Family::default();
        let running = Gauge::default();
        registry.register("kith_requests", "Requests answered, by route and outcome", requests.clone());
        registry.register_with_unit(
            "kith_request_duration",
            "Time from a request's head to its answer's head, by route",
            Unit::Seconds,
            latency.clone(),
        );
        registry.register("kith_failures", "Failures, by family, envelope code and reason", failures.clone());
        registry.register("kith_requests_running", "Requests being served", running.clone());
        let build = Family::<[(&str, &str); 2], Gauge>::default();
        // The commit is told by whoever builds an image: the compiler cannot know.
        let commit = option_env!("KITH_COMMIT").unwrap_or("unknown");
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION")), ("commit", commit)]).set(1);
        registry.register("kith_build_info", "Version of this process", build);
        Self(Arc::new(Inner { registry: Mutex::new(registry), requests, latency, failures, running }))
    }

    /// Adds metrics of a part: counters, gauges, or a `Collector` that reads them when asked.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.0.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds numbers that a part counts itself and that are read when metrics are asked for.
    pub fn read_on_scrape(&self, prefix: &'static str, read: impl Fn() -> Vec<Reading> + Send + Sync + 'static) {
        self.register(|registry| registry.register_collector(Box::new(OnScrape { prefix, read: Box::new(read) })));
    }

    /// A request begins; it ends when the guard is dropped.
    pub fn begin(&self) -> Running {
        self.0.running.inc();
        Running(self.clone())
    }

    pub fn request(&self, route: Cow<'static, str>, outcome: Cow<'static, str>, took: Duration) {
        let labels = RequestLabels { route: Label(route.clone()), outcome: Label(outcome) };
        self.0.requests.get_or_create(&labels).inc();
        self.0.latency.get_or_create(&RouteLabels { route: Label(route) }).observe(took.as_secs_f64());
    }

    /// A request that failed, as its envelope tells.
    pub fn failure(&self, dialect: Dialect, code: Code) {
        let label = |text: &'static str| Label(Cow::Borrowed(text));
        let labels = FailureLabels {
            family: label(dialect.letter()),
            code: Label(dialect.number(code)),
            reason: label(code.name()),
        };
        self.0.failures.get_or_create(&labels).inc();
    }

    /// A route's metrics, looked up once, for a server that serves so many requests that looking up shows.
    pub fn route(&self, name: impl Into<Cow<'static, str>>) -> RouteMetrics {
        let name = name.into();
        let ok = RequestLabels { route: Label(name.clone()), outcome: Label(Cow::Borrowed("ok")) };
        let latency = RouteLabels { route: Label(name.clone()) };
        RouteMetrics {
            ok: self.0.requests.get_or_create_owned(&ok),
            latency: self.0.latency.get_or_create_owned(&latency),
            name,
            metrics: self.clone(),
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        encode(&mut out, &self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(out)
    }
}

/// Metrics of one route.
#[derive(Clone)]
pub struct RouteMetrics {
    name: Cow<'static, str>,
    ok: Counter,
    latency: Histogram,
    metrics: Metrics,
}

impl RouteMetrics {
    pub fn name(&self) -> &Cow<'static, str> {
        &self.name
    }

    /// One finished request; outcomes other than `ok` are looked up.
    pub fn request(&self, outcome: &'static str, took: Duration) {
        if outcome == "ok" {
            self.ok.inc();
        } else {
            let labels = RequestLabels { route: Label(self.name.clone()), outcome: Label(Cow::Borrowed(outcome)) };
            self.metrics.0.requests.get_or_create(&labels).inc();
        }
        self.latency.observe(took.as_secs_f64());
    }
}

/// Counts a running request.
pub struct Running(Metrics);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.dec();
    }
}

/// One number of a part, at one moment.
pub struct Reading {
    name: &'static str,
    help: &'static str,
    value: Amount,
    label: Option<(&'static str, &'static str)>,
}

enum Amount {
    Gauge(u64),
    Counter(u64),
    /// Upper bounds in seconds with what fell below each and above the one before; the sum in seconds.
    Histogram(Vec<(f64, u64)>, f64),
}

impl Reading {
    /// The same number once for each value of a label; readings of one name stand together.
    #[must_use]
    pub fn of(mut self, label: &'static str, value: &'static str) -> Self {
        self.label = Some((label, value));
        self
    }

    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, value: Amount::Gauge(value), label: None }
    }

    /// A sum that only grows.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, value: Amount::Counter(value), label: None }
    }

    /// Durations in seconds, from counts by upper bound in microseconds; one more count than bounds holds the rest.
    pub fn histogram_of_micros(
        name: &'static str,
        help: &'static str,
        bounds: &[u64],
        counts: &[u64],
        sum_micros: u64,
    ) -> Self {
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let bounds = bounds.iter().map(|b| seconds(*b)).chain(std::iter::once(f64::INFINITY));
        let buckets = bounds.zip(counts.iter().copied()).collect();
        Self { name, help, value: Amount::Histogram(buckets, seconds(sum_micros)), label: None }
    }
}

struct OnScrape {
    prefix: &'static str,
    read: Box<dyn Fn() -> Vec<Reading> + Send + Sync>,
}

impl std::fmt::Debug for OnScrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnScrape({})", self.prefix)
    }
}

impl Collector for OnScrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let readings = (self.read)();
        // One description a name.
        for same in readings.chunk_by(|a, b| a.name == b.name) {
            let Some(first) = same.first() else { continue };
            let name = format!("{}_{}", self.prefix, first.name);
            let (kind, unit) = match first.value {
                Amount::Gauge(_) => (MetricType::Gauge, None),
                Amount::Counter(_) => (MetricType::Counter, None),
                Amount::Histogram(..) => (MetricType::Histogram, Some(&Unit::Seconds)),
            };
            let mut metric = encoder.encode_descriptor(&name, first.help, unit, kind)?;
            for reading in same {
                let labels: Vec<_> = reading.label.into_iter().collect();
                let mut labelled = metric.encode_family(&labels)?;
                match &reading.value {
                    Amount::Gauge(n) => ConstGauge::new(i64::try_from(*n).unwrap_or(i64::MAX)).encode(labelled)?,
                    Amount::Counter(n) => ConstCounter::new(*n).encode(labelled)?,
                    Amount::Histogram(buckets, sum) => {
                        let count = buckets.iter().map(|(_, n)| n).sum();
                        labelled.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}
