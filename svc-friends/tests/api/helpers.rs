//! A running svc-friends with a clock of the test's own, and a client that signs.

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use service_kit::clock::Clock;
use service_kit::service::Environment;
use service_kit::settings::{Common, List, SecretUrl};
use service_kit::state::State;
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use shared_models::Stamp;
use std::net::TcpListener;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use svc_friends::FriendsSettings;
use tempfile::TempDir;

/// 2017-07-08 12:12:12.123 at +08:00, the document's example.
pub const EXAMPLE: i64 = 1_499_487_132_123;

/// A database that nobody else uses, on this run's backend.
pub enum Database {
    Sqlite(TempDir),
    Postgres(FreshDatabase),
}

impl Database {
    #[expect(clippy::disallowed_methods, reason = "the run's own parameter")]
    pub fn fresh() -> Self {
        match std::env::var("KITH_TEST_STACK").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite(TempDir::new().unwrap()),
            Ok("postgres") => Self::Postgres(fresh_database()),
            Ok(other) => panic!("KITH_TEST_STACK={other}: must be sqlite or postgres"),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", folder.path().join("friends.db").display()),
            Self::Postgres(database) => database.url(),
        }
    }
}

/// Whether this is the run on SQLite.
pub fn is_sqlite_run() -> bool {
    matches!(Database::fresh(), Database::Sqlite(_))
}

/// The service, running on threads of its own until the test process ends.
pub struct Service {
    pub client: Client,
    pub database: Arc<Database>,
    pub identity: Identity,
    _folder: TempDir,
}

#[derive(Clone)]
pub struct Client {
    url: String,
    http: reqwest::Client,
    clock: Arc<AtomicI64>,
}

impl Service {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut FriendsSettings)) -> Self {
        Self::on(Arc::new(Database::fresh()), Identity::start(), change)
    }

    /// Without an identity service.
    pub fn alone() -> Self {
        Self::on(Arc::new(Database::fresh()), Identity::away(), |_| {})
    }

    /// Two on one PostgreSQL database, as replicas of one Deployment; their clocks differ.
    pub fn replicas() -> [Self; 2] {
        let database = Arc::new(Database::Postgres(fresh_database()));
        let replicas = [(); 2].map(|()| Self::on(database.clone(), Identity::start(), |_| {}));
        replicas[1].client.move_clock(-700);
        replicas
    }

    fn on(database: Arc<Database>, identity: Identity, change: impl FnOnce(&mut FriendsSettings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = FriendsSettings { database_url: SecretUrl::new(database.url()), ..on_any_port() };
        change(&mut settings);
        let common = common(&folder, &identity);
        let clock = Arc::new(AtomicI64::new(EXAMPLE));
        let held = clock.clone();
        let environment =
            Environment { state: State::memory(), clock: Clock::from_fn(move || Stamp(held.load(Ordering::SeqCst))) };
        let (ready, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let running = svc_friends::server::start_in(common, settings, environment).await.unwrap();
                ready.send(running.public).unwrap();
                std::future::pending::<()>().await;
            });
        });
        let address = started.recv().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let client = Client { url: format!("http://{address}"), http, clock };
        Self { client, database, identity, _folder: folder }
    }
}

pub fn on_any_port() -> FriendsSettings {
    let any = "127.0.0.1:0".parse().unwrap();
    FriendsSettings { listen: any, internal_listen: any, ..FriendsSettings::default() }
}

pub fn common(folder: &TempDir, identity: &Identity) -> Common {
    let mut common = Common { data_dir: folder.path().into(), workers: 2, ..Common::default() };
    common.internal.im_auth = List(vec![identity.url.clone()]);
    common
}

/// An identity service where nobody has an account.
pub struct Identity {
    url: String,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Identity {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            let app = move || {
                let heard = heard.clone();
                let nobody = move |body: web::Bytes| {
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    heard.lock().unwrap().push(body["keys"].as_array().unwrap().len());
                    async { HttpResponse::Ok().body(r#"{"profiles":[],"accounts":[]}"#) }
                };
                App::new().app_data(web::PayloadConfig::new(8 << 20)).default_service(web::to(nobody))
            };
            let server = HttpServer::new(app).workers(1);
            actix_rt::System::new().block_on(server.listen(listener).unwrap().run()).unwrap();
        });
        Self { url, asked }
    }

    fn away() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, asked: Arc::default() }
    }

    /// How many users each question since the last time was about.
    pub fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Client {
    pub fn set_clock(&self, millis: i64) {
        self.clock.store(millis, Ordering::SeqCst);
    }

    pub fn move_clock(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    /// The whole answer of a signed call in the app `kith`.
    pub async fn call(&self, call: &str, body: Value) -> Value {
        let at = self.clock.load(Ordering::SeqCst).div_euclid(1000) + 8 * 3600;
        let time = chrono::DateTime::from_timestamp(at, 0).unwrap().format("%Y%m%d%H%M%S").to_string();
        let hash = Md5::digest(format!("kithkith-dev-token{time}"));
        let sig: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        let url = format!("{}/2013-12-26/Application/kith/IM/{call}?sig={sig}", self.url);
        let request = self.http.post(url).header("Authorization", BASE64_STANDARD.encode(format!("kith:{time}")));
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// The status code only.
    pub async fn code(&self, call: &str, body: Value) -> String {
        self.call(call, body).await["statusCode"].as_str().unwrap().to_owned()
    }

    pub async fn add(&self, who: &str, whom: &str) -> String {
        self.code("addFriend", json!({"useracc": who, "friendUseracc": whom, "message": "m", "source": "1"})).await
    }

    pub async fn import(&self, pairs: &[(String, String)]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| json!({"useracc": a, "friendUseracc": b})).collect();
        self.code("importFriends", json!({ "friendsList": pairs })).await
    }
}
