//! A svc-groups of a test's own, with a stand-in for svc-im-auth.

use actix_web::web::Json;
use actix_web::{App, HttpServer, web};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use serde_json::{Value, json};
use service_kit::clock::Clock;
use service_kit::db::Db;
use service_kit::internal::InternalClient;
use service_kit::server::Running;
use service_kit::service::Environment;
use service_kit::settings::{Common, List, SecretUrl};
use service_kit::state::State;
use service_kit::testkit::postgres::{FreshDatabase, fresh_database};
use service_kit::testkit::rongcloud::FakeRongCloud;
use shared_models::internal::{Identity, ProfilesRequest, ProfilesResponse, RekeyRequest, VerifyPasswordRequest};
use shared_models::{AppId, Profile, Stamp, Text, Uid};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use svc_groups::GroupsSettings;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Postgres,
    Sqlite,
}

/// Each test twice.
#[macro_export]
macro_rules! on_both {
    ($($name:ident)*) => { $(
        mod $name {
            use $crate::helpers::Backend;
            #[actix_web::test]
            async fn postgres() { super::$name(Backend::Postgres).await; }
            #[actix_web::test]
            async fn sqlite() { super::$name(Backend::Sqlite).await; }
        }
    )* };
}

pub struct TestApp {
    public: String,
    pub internal: String,
    pub client: InternalClient,
    /// Beside the service's own.
    pub db: Db,
    pub http: reqwest::Client,
    running: Option<Running>,
    _folder: TempDir,
    _database: Option<FreshDatabase>,
}

/// Everybody exists and has the same password; who is called admin… is an administrator.
async fn identity() -> SocketAddr {
    let is_admin = |uid: &Uid| uid.as_str().starts_with("admin");
    let system = || AppId::new("kith").unwrap();
    let verify = move |req: Json<VerifyPasswordRequest>| async move {
        let is_admin = is_admin(&req.username);
        Json(Identity { app_id: system(), uid: req.0.username, is_admin, credential_version: 1 })
    };
    let profiles = move |req: Json<ProfilesRequest>| async move {
        let profile = |uid: Uid| Profile {
            revision: 0,
            app_id: system(),
            name: format!("Name of {uid}"),
            icon: String::new(),
            icon_changed_at: Stamp(0),
            is_admin: is_admin(&uid),
            credential_version: 1,
            uid,
        };
        Json(ProfilesResponse { profiles: req.0.keys.into_iter().map(|k| profile(k.uid)).collect() })
    };
    let app = move || {
        App::new()
            .app_data(web::JsonConfig::default().limit(1 << 20))
            .route("/internal/credentials/verify", web::post().to(verify))
            .route("/internal/profiles", web::post().to(profiles))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    address
}

impl TestApp {
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, |_, _| {}).await
    }

    /// With RongCloud as the system app's provider.
    pub async fn start_beside(backend: Backend, fake: &FakeRongCloud) -> Self {
        let rongcloud = fake.settings();
        Self::start_with(backend, |common, _| {
            common.apps = common.effective_apps();
            common.public_base_url = "http://im.localhost".into();
            common.apps.get_mut("kith").unwrap().rongcloud = Some(rongcloud);
        })
        .await
    }

    pub async fn start_with(backend: Backend, tune: impl FnOnce(&mut Common, &mut GroupsSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = (backend == Backend::Postgres).then(fresh_database);
        let mut common = Common { data_dir: folder.path().to_owned(), workers: 2, ..Common::default() };
        common.internal.im_auth = List(vec![format!("http://{}", identity().await)]);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let database_url = database.as_ref().map_or_else(SecretUrl::default, |d| SecretUrl::new(d.url()));
        let mut settings =
            GroupsSettings { listen: any, internal_listen: any, database_url, ..GroupsSettings::default() };
        tune(&mut common, &mut settings);
        let environment = Environment { state: State::memory(), clock: Clock::system() };
        let running = svc_groups::server::start_in(common.clone(), settings.clone(), environment).await.unwrap();
        let db = svc_groups::server::database(&common, &settings).await.unwrap();
        let internal = format!("http://{}", running.internal);
        Self {
            public: format!("http://{}", running.public),
            client: InternalClient::new(&List(vec![internal.clone()]), common.internal.token()),
            internal,
            db,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            running: Some(running),
            _folder: folder,
            _database: database,
        }
    }

    pub async fn stop(mut self) {
        self.db.close().await;
        self.running.take().unwrap().stop().await;
    }

    pub async fn post(&self, path: &str, uid: &str, more: Value) -> Value {
        let mut body = json!({"username": uid, "password": "password"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = self.http.post(format!("{}{path}", self.public)).body(body.to_string());
        request.send().await.unwrap().json().await.unwrap()
    }

    pub async fn create(&self, uid: &str) -> i64 {
        self.post("/im/group_create", uid, json!({"name": "g"})).await["group_id"].as_i64().unwrap()
    }

    pub async fn on(&self, id: i64, call: &str, uid: &str) -> Value {
        self.post(&format!("/im/{id}/{call}"), uid, json!({})).await
    }

    pub async fn join(&self, id: i64, uid: &str) {
        assert_eq!(self.on(id, "group_join", uid).await["ret"], "ok");
    }

    pub async fn members(&self, id: i64) -> Vec<String> {
        let body = self.on(id, "group_get_user_list", "somebody").await;
        let members = body["userinfos"].as_array().unwrap_or_else(|| panic!("{body}"));
        members.iter().map(|m| m["username"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn page(&self, id: i64, page: usize, size: usize) -> Vec<String> {
        let path = format!("/im/{id}/group_get_user_list");
        let body = self.post(&path, "somebody", json!({"page": page, "size": size})).await;
        let members = body["userinfos"].as_array().unwrap_or_else(|| panic!("{body}"));
        members.iter().map(|m| m["username"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn groups(&self, uid: &str) -> Vec<i64> {
        let body = self.post("/im/user_get_group_list", uid, json!({})).await;
        body["groups"].as_array().unwrap().iter().map(|g| g["id"].as_i64().unwrap()).collect()
    }

    pub async fn rekey(&self, operation: &str, old: &str, new: &str, before: Stamp) {
        let request = RekeyRequest {
            operation_id: Text::new(operation).unwrap(),
            old_uid: Uid::new(old).unwrap(),
            new_uid: Uid::new(new).unwrap(),
            before,
        };
        self.client.call::<Value>("/internal/memberships/rekey", &request).await.unwrap();
    }

    pub async fn number(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        let sql = sql.to_owned();
        self.db.read(move |conn| Ok(sql_query(&sql).get_result::<Row>(conn)?.n)).await.unwrap()
    }

    /// The service's own metric of this name.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.http.get(format!("{}/metrics", self.internal)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|l| l.starts_with(&format!("{name}{{"))).unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Numbers from 1 to `last`, as a table with the column `n`.
    pub fn numbers(backend: Backend, last: usize) -> String {
        match backend {
            Backend::Postgres => format!("(SELECT n FROM generate_series(1, {last}) AS t(n))"),
            Backend::Sqlite => format!(
                "(WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {last}) SELECT n FROM t)"
            ),
        }
    }

    pub async fn execute(&self, sql: &str) {
        let sql = sql.to_owned();
        self.db.transaction(move |conn| Ok(sql_query(&sql).execute(conn).map(drop)?)).await.unwrap();
    }

    /// Every count says what there is, every owner is a member.
    pub async fn is_consistent(&self) {
        let wrong = "SELECT count(*) AS n FROM groups g WHERE g.members <> \
            (SELECT count(*) FROM memberships m WHERE m.group_id = g.id)";
        assert_eq!(self.number(wrong).await, 0, "a group's count is wrong");
        let wrong = "SELECT count(*) AS n FROM groups g WHERE NOT EXISTS \
            (SELECT 1 FROM memberships m WHERE m.group_id = g.id AND m.uid = g.owner)";
        assert_eq!(self.number(wrong).await, 0, "an owner is no member");
        let wrong = "SELECT count(*) AS n FROM (SELECT group_id, place / 512 AS block, count(*) AS members FROM \
            memberships GROUP BY group_id, place / 512) AS m LEFT JOIN membership_blocks b ON b.group_id = m.group_id \
            AND b.block = m.block WHERE b.members IS NULL OR b.members <> m.members";
        assert_eq!(self.number(wrong).await, 0, "a block's count is wrong");
        let sums = "SELECT (SELECT count(*) FROM memberships) - (SELECT CAST(coalesce(sum(members), 0) AS BIGINT) \
            FROM membership_blocks) AS n";
        assert_eq!(self.number(sums).await, 0, "a block counts members that are gone");
    }
}

pub fn now() -> Stamp {
    Clock::system().now()
}

pub async fn until(what: &str, within: Duration, mut check: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Long enough for the clock to show another millisecond.
pub async fn moment() {
    tokio::time::sleep(Duration::from_millis(3)).await;
}
