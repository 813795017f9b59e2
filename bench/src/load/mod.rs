//! The load generator: many connections, each with one request on the way, on a few threads.
//!
//! *Closed*: each connection sends its next request when the answer to the last one is there: what a server can do.
//! *Open*: requests fall due at a fixed rate whatever the server does, and an answer's time counts from then, also
//! where the request had to wait for a free connection (no coordinated omission).

mod line;
mod pgbench;
mod run;

pub use line::{Answer, Line};
pub use pgbench::Pgbench;

use crate::Result;
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Writes the n-th request. Numbers go on from run to run, so that what is new stays new.
pub type Render = Arc<dyn Fn(u64, &mut Vec<u8>) + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Redis,
}

/// Requests of one kind to one server.
#[derive(Clone)]
pub struct Calls {
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub connections: usize,
    pub render: Render,
    /// What the body of a right answer begins with; any other ends the run.
    pub expected: &'static str,
    next: Arc<AtomicU64>,
    /// So many different requests there are; more would not be new.
    most: u64,
    /// Whether a wrong answer, or none, is asked for again, some times: a service may be busy while something is set up
    /// (ejabberd's rooms then even cut connections), and in a smoke run on a busy machine.
    patient: bool,
}

/// So long each turn goes on, at most, before it counts.
pub const WARM_UP: Duration = Duration::from_millis(500);
/// How often and after which pause the patient ask again.
const PATIENCE: (u32, Duration) = (40, Duration::from_millis(250));

impl Calls {
    pub fn new(
        address: SocketAddr,
        connections: usize,
        expected: &'static str,
        render: impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let next = Arc::default();
        Self {
            address,
            protocol: Protocol::Http,
            connections,
            render: Arc::new(render),
            expected,
            next,
            most: u64::MAX,
            patient: false,
        }
    }

    /// The same requests to another server; numbers are shared.
    pub fn to(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same of which there are only so many.
    pub fn at_most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// One request and the body of its answer, which must be a right one.
    pub fn once(&self) -> Result<String> {
        Ok(self.in_turn(1)?.remove(0))
    }

    pub fn most(&self) -> u64 {
        self.most
    }

    /// So many requests one after the other, and the bodies of their answers.
    pub fn in_turn(&self, count: usize) -> Result<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut line = Line::open(self.address, self.protocol).await?;
            let (mut request, mut bodies, mut tries) = (Vec::new(), Vec::with_capacity(count), 0);
            while bodies.len() < count {
                if tries == 0 {
                    request.clear();
                    (self.render)(self.number(), &mut request);
                }
                let (outcome, broken) = match line.exchange(&request).await {
                    Ok(answer) => {
                        let body = String::from_utf8_lossy(answer.body).into_owned();
                        (self.check(&answer).map(|()| body), false)
                    }
                    Err(e) => (Err(e), true),
                };
                match outcome {
                    Ok(body) => {
                        bodies.push(body);
                        tries = 0;
                    }
                    Err(e) if tries == PATIENCE.0 => return Err(e),
                    Err(_) => {
                        tries += 1;
                        tokio::time::sleep(PATIENCE.1).await;
                        if broken {
                            line = Line::open(self.address, self.protocol).await?;
                        }
                    }
                }
            }
            Ok(bodies)
        })
    }

    /// The first `count` requests, on all connections; the numbers start anew afterwards. Sets something up.
    pub fn each(&self, count: u64) -> Result<Tally> {
        let calls = Self { next: Arc::default(), patient: true, ..self.clone() };
        run::run(&calls, Pace::Count(count), Duration::from_secs(600))
    }

    fn check(&self, answer: &Answer<'_>) -> Result<()> {
        if answer.status == 200 && answer.body.starts_with(self.expected.as_bytes()) {
            return Ok(());
        }
        let body = String::from_utf8_lossy(answer.body);
        let body: String = body.chars().take(300).collect();
        Err(format!("{}: expected 200 and {:?}, got {} and {body:?}", self.address, self.expected, answer.status)
            .into())
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    Closed,
    /// So many a second.
    Open(f64),
    /// As `Closed`, but so many in all.
    Count(u64),
}

/// What a run has shown.
pub struct Tally {
    pub answers: u64,
    pub seconds: f64,
    /// Microseconds.
    pub latency: Histogram<u64>,
}

impl Tally {
    pub fn empty() -> Result<Self> {
        Ok(Self { answers: 0, seconds: 0.0, latency: Histogram::new_with_bounds(1, 120_000_000, 3)? })
    }

    pub fn record(&mut self, time: Duration) {
        self.answers += 1;
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros.max(1));
    }

    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.answers += other.answers;
        self.seconds = self.seconds.max(other.seconds);
        Ok(self.latency.add(&other.latency)?)
    }

    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds.max(1e-9)
    }

    /// Milliseconds.
    pub fn quantile(&self, q: f64) -> f64 {
        self.latency.value_at_quantile(q) as f64 / 1000.0
    }
}

/// One side's way of being loaded.
pub enum Load {
    Calls(Calls),
    Pgbench(Pgbench),
}

impl Load {
    /// For a smoke run: at most so many connections, and patience.
    pub fn calm(&mut self, connections: usize) {
        match self {
            Self::Calls(calls) => {
                calls.connections = calls.connections.min(connections);
                calls.patient = true;
            }
            Self::Pgbench(pgbench) => pgbench.clients = pgbench.clients.min(connections as u64),
        }
    }

    /// Before a turn of `time`: what was lost while others had theirs (caches of seconds) is made good before it
    /// counts. pgbench has nothing of the kind.
    pub fn warm_up(&self, pace: Pace, time: Duration) -> Result<()> {
        match self {
            Self::Calls(calls) => run::run(calls, pace, time.min(WARM_UP)).map(drop),
            Self::Pgbench(_) => Ok(()),
        }
    }

    pub fn run(&self, pace: Pace, time: Duration) -> Result<Tally> {
        match self {
            Self::Calls(calls) => run::run(calls, pace, time),
            Self::Pgbench(pgbench) => pgbench.run(pace, time),
        }
    }
}
