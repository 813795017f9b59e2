//! What the four services have in common on their way from settings to a running server.

use crate::clock::Clock;
use crate::db::{Db, DbSettings, Migrations};
use crate::error::{Code, Error, Result};
use crate::health::Health;
use crate::metrics::{BOUNDS, Metrics, Reading};
use crate::server::{Listeners, Spec};
use crate::settings::{Apps, Common, Section};
use crate::state::State;

/// What a service is given from outside: `kith` shares one store, tests hold the clock.
#[derive(Clone)]
pub struct Environment {
    pub state: State,
    pub clock: Clock,
}

impl Environment {
    /// Of a process with one service. The store in memory is refused: other processes could not see it.
    pub async fn of_process(common: &Common) -> Result<Self> {
        common.refuse_store_in_memory().map_err(|e| Error::new(Code::Internal, e))?;
        let state = State::open(&common.state).await.map_err(|e| Error::new(Code::Internal, e))?;
        Ok(Self { state, clock: Clock::system() })
    }
}

/// A service before its routes.
pub struct Base {
    pub db: Db,
    pub state: State,
    pub clock: Clock,
    pub apps: Apps,
    pub listeners: Listeners,
    pub metrics: Metrics,
    pub spec: Spec,
}

impl Base {
    /// Reserves the listeners' ports, opens the database, brings its schema up to date, registers health and metrics.
    pub async fn prepare<S: Section>(
        name: &'static str,
        common: &Common,
        section: &S,
        migrations: Migrations,
        environment: Environment,
    ) -> Result<Self> {
        let listeners = Listeners::reserve(section)?;
        let Environment { state, clock } = environment;
        let apps = Apps::from_settings(common).map_err(|e| Error::new(Code::Internal, e))?;
        let db = open_database(name, common, section, migrations).await?;

        let metrics = Metrics::new(name);
        metrics.read_on_scrape("kith_db", readings_of_db(db.clone()));
        metrics.read_on_scrape("kith_state", readings_of_state(state.clone()));
        let health = Health::builder()
            .part("database", {
                let db = db.clone();
                move || {
                    let db = db.clone();
                    async move { db.ping().await }
                }
            })
            .part("state", {
                let state = state.clone();
                move || {
                    let state = state.clone();
                    async move { state.ping().await }
                }
            })
            .build();
        let spec = Spec::new(name, common, health, metrics.clone());
        Ok(Self { db, state, clock, apps, listeners, metrics, spec })
    }
}

/// Opens a service's database and brings its schema up to date.
pub async fn open_database<S: Section>(name: &str, common: &Common, section: &S, migrations: Migrations) -> Result<Db> {
    let (url, threads) = section.database().ok_or_else(|| Error::internal("a service without a database"))?;
    let mut settings = DbSettings::new(common.database_url(S::NAME, url));
    settings.threads = threads;
    settings.application_name = name.to_owned();
    Db::open(settings, migrations).await.map_err(|e| Error::new(Code::Internal, e.to_string()))
}

fn readings_of_db(db: Db) -> impl Fn() -> Vec<Reading> + Send + Sync + 'static {
    move || {
        let s = db.stats();
        vec![
            Reading::gauge("threads", "Database threads", s.threads as u64),
            Reading::gauge("queued", "Jobs waiting for a database thread", s.queued as u64),
            Reading::gauge("running", "Database threads at work", s.running as u64),
            Reading::counter("jobs", "Jobs run and answered", s.done),
            Reading::counter("refused", "Jobs refused because the queue was full", s.refused),
            Reading::counter("expired", "Jobs not run: waited too long, or their caller had gone", s.expired),
            Reading::counter("timeouts", "Callers who gave up waiting", s.timeouts),
            Reading::counter("grouped", "Jobs that shared a commit with others", s.grouped),
            Reading::counter("retries", "Jobs run again", s.retries),
            Reading::counter("connections_lost", "Connections found dead", s.lost),
            Reading::counter(
                "busy_milliseconds",
                "What the database threads were at work, together",
                u64::try_from(s.busy.as_millis()).unwrap_or(u64::MAX),
            ),
            Reading::histogram_of_micros(
                "wait_duration",
                "Time that jobs waited for a database thread",
                &BOUNDS,
                &s.waits.buckets,
                s.waits.sum_micros,
            ),
        ]
    }
}

fn readings_of_state(state: State) -> impl Fn() -> Vec<Reading> + Send + Sync + 'static {
    move || {
        let s = state.stats();
        vec![
            Reading::gauge("up", "Whether the state store is believed to be there", u64::from(s.up)),
            Reading::counter("operations", "Operations on the state store", s.operations),
            Reading::counter("errors", "Operations that failed", s.errors),
            Reading::counter("reconnects", "Connections made after the first", s.reconnects),
            Reading::histogram_of_micros(
                "operation_duration",
                "Time that operations took",
                &BOUNDS,
                &s.latency.buckets,
                s.latency.sum_micros,
            ),
        ]
    }
}
