//! Memberships follow a replaced key, whatever becomes of svc-groups meanwhile: the operations on their way there.

use crate::world::World;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use service_kit::Secret;
use service_kit::clock::Clock;
use service_kit::internal::InternalClient;
use service_kit::metrics::Metrics;
use service_kit::outbox::{Intent, Options, Outbox, enqueue, list};
use service_kit::settings::List;
use shared_models::TuserKey;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use svc_terminal_user::domain::{Course, LnMd5, Moment, Old, REKEY, RekeyDelivery, Replace};

const TOKEN: &str = "the-internal-token-of-this-test-0123456789";

/// What svc-groups was told, and how it answers.
#[derive(Default)]
struct Told {
    /// Old and new user, in their order.
    moves: Mutex<Vec<(String, String)>>,
    strangers: Mutex<usize>,
    slow: Mutex<Duration>,
    /// Status and body by operation.
    answers: Mutex<BTreeMap<String, (u16, String)>>,
}

/// A svc-groups that is a stand-in; lives as long as the test.
struct Groups {
    told: Arc<Told>,
    url: String,
    handle: actix_web::dev::ServerHandle,
}

async fn rekey(req: HttpRequest, body: Bytes, told: Data<Told>) -> HttpResponse {
    let token = req.headers().get("x-kith-internal-token").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if token != TOKEN {
        // As a service answers: nothing is there.
        *told.strangers.lock().unwrap() += 1;
        return HttpResponse::NotFound().body(r#"{"errCode":404,"errMsg":"no such call"}"#);
    }
    let slow = *told.slow.lock().unwrap();
    actix_web::rt::time::sleep(slow).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    if let Some((status, answer)) = told.answers.lock().unwrap().get(&text("operation_id")) {
        return HttpResponse::build(status.to_owned().try_into().unwrap()).body(answer.clone());
    }
    told.moves.lock().unwrap().push((text("old_uid"), text("new_uid")));
    HttpResponse::Ok().json(json!({}))
}

impl Groups {
    fn start() -> Self {
        let told = Arc::new(Told::default());
        let (shared, (tell, started)) = (Data::from(told.clone()), mpsc::channel());
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(shared.clone()).default_service(web::to(rekey));
                let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                tell.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle) = started.recv().unwrap();
        Self { told, url: format!("http://{address}"), handle }
    }

    fn moves(&self) -> Vec<(String, String)> {
        self.told.moves.lock().unwrap().clone()
    }

    /// The service's own lane with quicker pauses, and with this internal token.
    fn followed_by(&self, world: &World, token: &str) -> Outbox {
        let groups = InternalClient::new(&List(vec![self.url.clone()]), Secret::new(token));
        let quick = Duration::from_millis(50);
        let options = Options { poll: quick, first_pause: quick, longest_pause: quick * 4, ..Options::default() };
        Outbox::builder(world.db.clone(), Clock::system(), options)
            .kind(REKEY, 1, RekeyDelivery { groups })
            .start(&Metrics::new("test"))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn until(what: &str, within: Duration, mut check: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const SOON: Duration = Duration::from_secs(10);

/// A chain of replaced keys in the system app; answers what svc-groups should be told.
async fn replaced(world: &World, keys: usize) -> Vec<(String, String)> {
    let key = |n: usize| TuserKey::new(format!("key-{n}")).unwrap();
    let uid = |n: usize| key(n).im_uid().into_inner();
    let when = || Moment::new("2016-04-01 01:01:01").unwrap();
    let course = Course { id: LnMd5::new(&"0".repeat(32)).unwrap(), price: None, start: when(), end: when() };
    world.core.sync_course(world.apps[0].clone(), key(0), course).await.unwrap();
    for n in 1..keys {
        let old = Old { key: Some(key(n - 1)), account: None };
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        world.core.replace(Replace { app_id: world.apps[0].clone(), old, new: key(n), address }).await.unwrap();
    }
    (1..keys).map(|n| (uid(n - 1), uid(n))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_sent_with_a_wrong_internal_token_is_kept_and_delivered_later_in_order() {
    let (world, groups) = (World::start_now().await, Groups::start());
    let expected = replaced(&world, 3).await;
    let mistaken = groups.followed_by(&world, "some-other-token-of-another-deployment-0");
    until("refused several times", SOON, async || *groups.told.strangers.lock().unwrap() >= 4).await;
    mistaken.stop().await;
    let waiting = list(&world.db, false, 0, 10).await.unwrap();
    assert_eq!((waiting.len(), waiting.iter().filter(|l| l.is_dead).count()), (2, 0), "{waiting:?}");
    assert!(groups.moves().is_empty());
    let _outbox = groups.followed_by(&world, TOKEN);
    until("delivered", SOON, async || list(&world.db, false, 0, 10).await.unwrap().is_empty()).await;
    assert_eq!(groups.moves(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_replacements_reach_a_slow_svc_groups_once_each_and_in_order() {
    let (world, groups) = (World::start_now().await, Groups::start());
    let expected = replaced(&world, 21).await;
    *groups.told.slow.lock().unwrap() = Duration::from_millis(800);
    let _outbox = groups.followed_by(&world, TOKEN);
    until("delivered", Duration::from_secs(60), async || list(&world.db, false, 0, 30).await.unwrap().is_empty()).await;
    assert_eq!(groups.moves(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_refused_only_for_what_will_never_be_right() {
    let (world, groups) = (World::start_now().await, Groups::start());
    let reason = |code: &str| json!({"code": code, "detail": "as asked"}).to_string();
    let cases = [
        (400, reason("BadParameter"), true),
        (400, reason("BadBody"), true),
        (404, reason("UnknownPath"), false),
        (404, "not here".to_owned(), false),
        (401, reason("NotAuthorized"), false),
        (405, reason("WrongMethod"), false),
        (413, reason("BodyTooLarge"), false),
        (429, reason("RateLimited"), false),
        (500, reason("Internal"), false),
        (502, "<html>".to_owned(), false),
        (503, reason("Busy"), false),
        // A reason of a newer version; an answer that was cut short.
        (400, reason("SomethingNew"), false),
        (200, "{".to_owned(), false),
    ];
    let detail = json!({"old_uid": "a", "new_uid": "b", "before": 1}).to_string();
    let mut intents = Vec::new();
    for (n, (status, answer, _)) in cases.iter().enumerate() {
        let lane = format!("case {n}");
        groups.told.answers.lock().unwrap().insert(lane.clone(), (*status, answer.clone()));
        intents.push(Intent { kind: REKEY.into(), key: lane.clone(), lane, detail: detail.clone() });
    }
    // What can be read by nobody.
    let unreadable = |key: &str, detail: &str| Intent {
        kind: REKEY.into(),
        lane: format!("unreadable {key}"),
        key: key.into(),
        detail: detail.into(),
    };
    intents.extend([unreadable("op", "{"), unreadable(&"x".repeat(65), &detail)]);
    let now = Clock::system().now();
    world
        .db
        .transaction(move |conn| intents.iter().try_for_each(|intent| Ok(enqueue(conn, intent, now)?)))
        .await
        .unwrap();
    let _outbox = groups.followed_by(&world, TOKEN);
    let seen = async || list(&world.db, false, 0, 50).await.unwrap();
    until("all tried", SOON, async || seen().await.iter().all(|l| l.is_dead || l.failures > Some(1))).await;
    let seen = seen().await;
    assert_eq!(seen.len(), cases.len() + 2);
    for (n, listed) in seen.iter().enumerate() {
        let is_refused = cases.get(n).is_none_or(|(_, _, is_refused)| *is_refused);
        assert_eq!(listed.is_dead, is_refused, "{listed:?}");
    }
    assert!(groups.moves().is_empty());
}
