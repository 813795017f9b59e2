//! A server that speaks RongCloud's server API, checks signatures with code of its own, keeps what it is told, and
//! misbehaves when asked to.
#![expect(clippy::expect_used, reason = "a test that cannot have its server fails")]

use crate::secret::Secret;
use crate::settings::{List, RongCloudSettings};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

const APP_KEY: &str = "rc-key";
const APP_SECRET: &str = "rc-secret";

/// How it treats every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Kind,
    /// Does what it is told, but answers so much later.
    Slow(Duration),
    /// Does nothing and answers with this status and code.
    Refuses(u16, i64),
    /// Does what it is told, and breaks off in the middle of its answer.
    CutsShort,
    /// Answers for ever.
    Endless,
    /// Does what `/group/sync.json` tells it so much later, and never answers that; kind otherwise.
    HearsSyncLate(Duration),
}

/// What it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Name and portrait by user.
    pub users: BTreeMap<String, (String, String)>,
    /// Name and members by group.
    pub groups: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Path and form of every request with a good signature, in their order.
    pub calls: Vec<(String, String)>,
    pub bad_signatures: usize,
}

struct Shared {
    world: Mutex<World>,
    mood: Mutex<Mood>,
}

/// The server; ends when dropped.
pub struct FakeRongCloud {
    shared: Arc<Shared>,
    port: u16,
    running: Option<(actix_web::dev::ServerHandle, JoinHandle<()>)>,
}

impl FakeRongCloud {
    pub fn start() -> Self {
        let shared = Arc::new(Shared { world: Mutex::default(), mood: Mutex::new(Mood::Kind) });
        let mut server = Self { shared, port: 0, running: None };
        server.start_again();
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Settings of an app that uses it.
    pub fn settings(&self) -> RongCloudSettings {
        Self::settings_with(vec![self.url()])
    }

    pub fn settings_with(hosts: Vec<String>) -> RongCloudSettings {
        let app_secret = Secret::new(APP_SECRET);
        RongCloudSettings { app_key: APP_KEY.into(), app_secret, hosts: List(hosts) }
    }

    pub fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Members of a group; `None` if there is no such group.
    pub fn members(&self, group_id: i64) -> Option<Vec<String>> {
        self.world().groups.get(&group_id.to_string()).map(|(_, members)| members.iter().cloned().collect())
    }

    /// Connections are refused from now on; what it was told stays.
    pub fn stop(&mut self) {
        if let Some((handle, thread)) = self.running.take() {
            drop(handle.stop(false));
            thread.join().expect("the server's thread");
        }
    }

    /// On the same port.
    pub fn start_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("a free port");
        self.port = listener.local_addr().expect("an address").port();
        let shared = Data::from(self.shared.clone());
        let (tell, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let app = move || App::new().app_data(shared.clone()).default_service(web::to(serve));
                let server =
                    HttpServer::new(app).workers(2).disable_signals().listen(listener).expect("a listener").run();
                tell.send(server.handle()).expect("the test");
                server.await.expect("the server");
            });
        });
        self.running = Some((started.recv().expect("the server"), thread));
    }
}

impl Drop for FakeRongCloud {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A base URL where nobody listens.
pub fn dead_host() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

async fn serve(req: HttpRequest, body: Bytes, shared: Data<Shared>) -> HttpResponse {
    let mood = *shared.mood.lock().unwrap_or_else(PoisonError::into_inner);
    if let Mood::Refuses(status, code) = mood {
        return answer(status, &format!(r#"{{"code":{code},"errorMessage":"as asked"}}"#));
    }
    let is_never_answered = match mood {
        Mood::HearsSyncLate(by) if req.path() == "/group/sync.json" => {
            tokio::time::sleep(by).await;
            true
        }
        _ => false,
    };
    let text = {
        let mut world = shared.world.lock().unwrap_or_else(PoisonError::into_inner);
        if is_signed(&req) {
            act(&mut world, req.path(), &body)
        } else {
            world.bad_signatures += 1;
            Err((401, 1004))
        }
    };
    if is_never_answered {
        std::future::pending::<()>().await;
    }
    match (mood, text) {
        (_, Err((status, code))) => answer(status, &format!(r#"{{"code":{code},"errorMessage":"refused"}}"#)),
        (Mood::CutsShort, Ok(text)) => {
            let part = Bytes::from(text.into_bytes()).slice(..8);
            let broken = stream::iter([Ok(part), Err(std::io::Error::other("cut short"))]);
            HttpResponse::Ok().content_type("application/json").streaming(broken.boxed_local())
        }
        (Mood::Endless, Ok(_)) => {
            let spaces = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1024])));
            HttpResponse::Ok().content_type("application/json").streaming(spaces.boxed_local())
        }
        (Mood::Slow(by), Ok(text)) => {
            tokio::time::sleep(by).await;
            answer(200, &text)
        }
        (_, Ok(text)) => answer(200, &text),
    }
}

fn answer(status: u16, body: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("a status");
    HttpResponse::build(status).content_type("application/json").body(body.to_owned())
}

/// As the document says it, computed by another library than the client's.
fn is_signed(req: &HttpRequest) -> bool {
    let header = |name: &str| req.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (nonce, timestamp) = (header("Nonce"), header("Timestamp"));
    let plain = !nonce.is_empty() && nonce.len() <= 18 && timestamp.parse::<u64>().is_ok();
    let expected = sha1_smol::Sha1::from(format!("{APP_SECRET}{nonce}{timestamp}")).digest().to_string();
    plain && header("App-Key") == APP_KEY && header("Signature") == expected
}

fn act(world: &mut World, path: &str, body: &[u8]) -> Result<String, (u16, i64)> {
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    world.calls.push((path.to_owned(), String::from_utf8_lossy(body).into_owned()));
    let get = |name: &str| form.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
    let need = |name: &str| get(name).filter(|v| !v.is_empty()).ok_or((400, 1002));
    let users = || form.iter().filter(|(k, _)| k == "userId").map(|(_, v)| v.clone());
    let user = need("userId")?;
    // What the real one takes as a portrait, and as a user id.
    if get("portraitUri").is_some_and(|portrait| portrait.len() > 1024) {
        return Err((400, 1002));
    }
    let is_plain = |u: &String| u.len() <= 64 && u.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=-_".contains(&b));
    if !users().all(|u| is_plain(&u)) || users().count() > 1000 {
        return Err((400, 1002));
    }
    match path {
        "/user/getToken.json" => {
            world.users.insert(user.clone(), (need("name")?, get("portraitUri").unwrap_or_default()));
            let token = format!("{}@fake.cn.rongnav.com;fake.cn.rongcfg.com", crate::random::hex(24));
            return Ok(format!(r#"{{"code":200,"userId":"{user}","token":"{token}"}}"#));
        }
        "/user/refresh.json" => {
            let known = world.users.entry(user).or_default();
            if let Some(name) = get("name") {
                known.0 = name;
            }
            if let Some(portrait) = get("portraitUri") {
                known.1 = portrait;
            }
        }
        "/user/info.json" => {
            let (name, portrait) = world.users.get(&user).cloned().unwrap_or_default();
            let body = serde_json::json!({"code": 200, "userName": name, "userPortrait": portrait,
                "createTime": "2016-05-24 10:38:19"});
            return Ok(body.to_string());
        }
        "/group/create.json" | "/group/join.json" => {
            let group = world.groups.entry(need("groupId")?).or_default();
            group.0 = need("groupName")?;
            group.1.extend(users());
        }
        "/group/quit.json" => {
            if let Some((_, members)) = world.groups.get_mut(&need("groupId")?) {
                members.retain(|m| !users().any(|u| u == *m));
            }
        }
        "/group/dismiss.json" => drop(world.groups.remove(&need("groupId")?)),
        "/group/sync.json" => {
            for (_, members) in world.groups.values_mut() {
                members.remove(&user);
            }
            for (key, name) in &form {
                if let Some(id) = key.strip_prefix("group[").and_then(|k| k.strip_suffix(']')) {
                    let group = world.groups.entry(id.to_owned()).or_default();
                    group.0.clone_from(name);
                    group.1.insert(user.clone());
                }
            }
        }
        _ => return Err((404, 404)),
    }
    Ok(r#"{"code":200}"#.to_owned())
}
