//! The service's core on a database of its own; nobody else is there to be asked.

use service_kit::Result;
use service_kit::auth::{Credentials, Lockout};
use service_kit::clock::Clock;
use service_kit::db::{Db, DbSettings};
use service_kit::directory::Directory;
use service_kit::internal::InternalClient;
use service_kit::media::MediaStore;
use service_kit::metrics::Metrics;
use service_kit::outbox::{Options, Outbox};
use service_kit::settings::{Apps, Common, List};
use service_kit::state::State;
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use shared_models::{AppId, Stamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use svc_terminal_user::domain::{Core, Parts, Rules};
use svc_terminal_user::store;

pub struct World {
    pub core: Core,
    pub db: Db,
    pub apps: [AppId; 2],
    _folder: tempfile::TempDir,
    _database: Option<FreshDatabase>,
}

#[expect(clippy::disallowed_methods, reason = "the run's own parameter")]
fn on_postgres() -> bool {
    std::env::var("KITH_TEST_STACK").is_ok_and(|stack| stack == "postgres")
}

impl World {
    pub async fn start() -> Self {
        // Stands still now and then, so that nothing depends on its steps.
        let now = Arc::new(AtomicI64::new(3_000_000));
        Self::start_at(Clock::from_fn(move || Stamp(now.fetch_add(1, Ordering::Relaxed) / 3))).await
    }

    pub async fn start_at(clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let common = Common { data_dir: folder.path().to_owned(), ..Common::default() };
        let database = on_postgres().then(fresh_database);
        let url = match &database {
            Some(database) => database.url(),
            None => format!("sqlite://{}", folder.path().join("t.db").display()),
        };
        let db = Db::open(DbSettings::new(url), store::MIGRATIONS).await.unwrap();
        let apps = Apps::from_settings(&common).unwrap();
        let state = State::memory();
        let nobody = InternalClient::new(&List(vec!["http://127.0.0.1:1".into()]), common.internal.token());
        let directory = Directory::new(state.clone(), nobody.clone());
        let system = apps.system().id.clone();
        let lockout = Lockout::new(state.clone(), Vec::new());
        let credentials = Credentials::new(system.clone(), lockout, directory.clone(), nobody.clone());
        let outbox = Outbox::builder(db.clone(), clock.clone(), Options::default()).start(&Metrics::new("test"));
        let other = apps.iter().map(|app| app.id.clone()).find(|id| *id != system).unwrap();
        let core = Core::new(Parts {
            db: db.clone(),
            state,
            clock,
            apps,
            directory,
            im_auth: nobody,
            credentials,
            media: MediaStore::open(&common).unwrap(),
            outbox,
            rules: Rules {
                secrets_by_user_id: true,
                code_life: Duration::from_secs(300),
                session_life: Duration::from_secs(1800),
                utc_offset: common.utc_offset.fixed(),
                public_base_url: String::new(),
            },
        });
        Self { core, db, apps: [system, other], _folder: folder, _database: database }
    }

    pub async fn query<T: Send + 'static>(
        &self,
        job: impl Fn(&mut service_kit::db::DbConn) -> Result<T> + Send + 'static,
    ) -> T {
        self.db.read(job).await.unwrap()
    }
}
