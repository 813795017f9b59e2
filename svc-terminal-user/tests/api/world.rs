//! The service's core on a database of its own; of svc-im-auth there is what the credential check and the directory ask.

use futures_util::future::BoxFuture;
use service_kit::auth::{Credentials, Lockout, Verifier};
use service_kit::clock::Clock;
use service_kit::db::{Db, DbSettings};
use service_kit::directory::{Directory, ProfileSource};
use service_kit::internal::InternalClient;
use service_kit::media::MediaStore;
use service_kit::metrics::Metrics;
use service_kit::outbox::{Options, Outbox};
use service_kit::settings::{Apps, Common, List};
use service_kit::state::State;
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use service_kit::{Code, Result};
use shared_models::internal::{AccountKey, Identity, VerifiedToken, VerifyPasswordRequest, VerifyTokenRequest};
use shared_models::{AppId, Profile, Stamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use svc_terminal_user::domain::{Core, Parts, Rules};
use svc_terminal_user::store;

pub struct World {
    pub core: Core,
    pub db: Db,
    pub apps: [AppId; 2],
    now: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
    _database: Option<FreshDatabase>,
}

pub const PASSWORD: &str = "password-1";
/// No other test's history stores so many.
pub const MAX_RECORDS: i64 = 250;

/// Everybody has an account with one password.
struct Everybody(AppId);

impl Verifier for Everybody {
    fn password(&self, request: VerifyPasswordRequest) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async move {
            if request.password != PASSWORD {
                return Err(Code::WrongCredentials.into());
            }
            Ok(Identity { app_id: self.0.clone(), uid: request.username, is_admin: false, credential_version: 0 })
        })
    }

    fn token(&self, _: VerifyTokenRequest) -> BoxFuture<'_, Result<VerifiedToken>> {
        Box::pin(async { Err(Code::WrongCredentials.into()) })
    }
}

impl ProfileSource for Everybody {
    fn fetch(&self, keys: Vec<AccountKey>) -> BoxFuture<'_, Result<Vec<Profile>>> {
        let profile = |AccountKey { app_id, uid }| Profile {
            revision: 0,
            app_id,
            uid,
            name: String::new(),
            icon: String::new(),
            icon_changed_at: Stamp(0),
            is_admin: false,
            credential_version: 0,
        };
        Box::pin(async move { Ok(keys.into_iter().map(profile).collect()) })
    }
}

#[expect(clippy::disallowed_methods, reason = "the run's own parameter")]
fn on_postgres() -> bool {
    std::env::var("KITH_TEST_STACK").is_ok_and(|stack| stack == "postgres")
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(true).await
    }

    pub async fn start_with(secrets_by_user_id: bool) -> Self {
        // Stands still now and then, so that nothing depends on its steps.
        let now = Arc::new(AtomicI64::new(3_000_000));
        let ticks = now.clone();
        let clock = Clock::from_fn(move || Stamp(ticks.fetch_add(1, Ordering::Relaxed) / 3));
        Self::start_as(clock, now, secrets_by_user_id).await
    }

    /// By the machine's clock, which [`pass`](Self::pass) does not turn.
    pub async fn start_now() -> Self {
        Self::start_as(Clock::system(), Arc::default(), true).await
    }

    async fn start_as(clock: Clock, now: Arc<AtomicI64>, secrets_by_user_id: bool) -> Self {
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
        let system = apps.system().id.clone();
        let directory = Directory::new(state.clone(), Everybody(system.clone()));
        let lockout = Lockout::new(state.clone(), Vec::new());
        let credentials = Credentials::new(system.clone(), lockout, directory.clone(), Everybody(system.clone()));
        let outbox = Outbox::builder(db.clone(), clock.clone(), Options::default()).start(&Metrics::new("test"));
        let other = apps.iter().map(|app| app.id.clone()).find(|id| *id != system).unwrap();
        let core = Core::new(Parts {
            keys: store::users::keys(&db),
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
                secrets_by_user_id,
                max_records: MAX_RECORDS,
                code_life: Duration::from_secs(300),
                session_life: Duration::from_secs(1800),
                utc_offset: common.utc_offset.fixed(),
                public_base_url: String::new(),
            },
        });
        Self { core, db, apps: [system, other], now, _folder: folder, _database: database }
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.now.fetch_add(3 * i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub async fn query<T: Send + 'static>(
        &self,
        job: impl Fn(&mut service_kit::db::DbConn) -> Result<T> + Send + 'static,
    ) -> T {
        self.db.read(job).await.unwrap()
    }
}
