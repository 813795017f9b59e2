//! Calls from one service to another over the internal HTTP API.
//!
//! Every internal call may be repeated: it reads, adds what nobody minds having twice, or carries an operation id. So a
//! call whose answer was lost goes to the next address. (To set a value twice is not to set it once: the process that
//! was asked first may be frozen, and would set it again when it wakes, over what was set since.)

use crate::client::REQUEST_ID;
use crate::error::{Code, Error, Result};
use crate::log as kit_log;
use crate::random;
use crate::secret::Secret;
use crate::server::INTERNAL_TOKEN;
use crate::settings::List;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared_models::Text;
use shared_models::internal::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A caller waits this long in all, whatever happens behind.
const TIMEOUT: Duration = Duration::from_millis(1800);
/// An address that accepts but does not answer leaves time for the next one.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1200);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Shorter than the servers' keep-alive, so that no call is sent into a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

thread_local! {
    /// One client a worker: no connection is driven by another thread (a shared one costs ten times the p99).
    static HTTP: std::cell::OnceCell<reqwest::Client> = const { std::cell::OnceCell::new() };
}

/// One service's internal API, at one or more addresses. Cheap to clone.
#[derive(Clone)]
pub struct InternalClient(Arc<Inner>);

struct Inner {
    bases: Vec<String>,
    token: Secret,
    next: AtomicUsize,
}

impl InternalClient {
    /// `bases` like `http://host:port`; a host name stands for whatever it resolves to.
    pub fn new(bases: &List<String>, token: Secret) -> Self {
        let bases = bases.0.iter().map(|b| b.trim_end_matches('/').to_owned()).collect();
        Self(Arc::new(Inner { bases, token, next: AtomicUsize::new(0) }))
    }

    /// Calls `POST {base}{path}` and reads the answer; a failure is the other service's own reason.
    pub async fn call<A: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<A> {
        let body = serde_json::to_vec(request).map_err(Error::internal)?;
        let deadline = Instant::now() + TIMEOUT;
        let start = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut why = Error::from(Code::Unreachable);
        // A lone address is tried twice: its first connection may have been a stale one.
        for n in 0..self.0.bases.len().max(2) {
            let Some(base) = self.0.bases.get(start.wrapping_add(n) % self.0.bases.len().max(1)) else { break };
            match timeout_at(deadline, self.attempt(base, path, body.clone())).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(transport)) => why = Error::from(Code::Unreachable).because(transport),
                Err(_) => break,
            }
        }
        Err(why)
    }

    /// The outer error is the transport's: nothing was heard, another address may answer.
    async fn attempt<A: DeserializeOwned>(&self, base: &str, path: &str, body: Vec<u8>) -> reqwest::Result<Result<A>> {
        let mut request = http()?
            .post(format!("{base}{path}"))
            .timeout(ATTEMPT_TIMEOUT)
            .header(INTERNAL_TOKEN.as_str(), self.0.token.expose())
            .header("content-type", "application/json")
            .body(body);
        if let Some(id) = kit_log::request_id() {
            request = request.header(REQUEST_ID.as_str(), id);
        }
        let answer = request.send().await?;
        let ok = answer.status().is_success();
        let status = answer.status();
        let body = answer.bytes().await?;
        if ok {
            return Ok(serde_json::from_slice(&body).map_err(Error::internal));
        }
        Ok(Err(match serde_json::from_slice::<Failure>(&body) {
            Ok(Failure { code, detail }) => match (Code::from_name(&code), detail) {
                (Some(code), Some(detail)) => Error::new(code, detail),
                (Some(code), None) => Error::from(code),
                (None, _) => Error::internal(format!("internal call {path}: unknown reason {code}")),
            },
            Err(e) => Error::from(Code::Unreachable).because(format!("internal call {path}: {status}: {e}")),
        }))
    }
}

/// A new operation's id: whoever is asked twice does it once.
pub fn operation_id() -> Result<Text<64, 1>> {
    Text::new(random::hex(16)).map_err(Error::internal)
}

fn http() -> reqwest::Result<reqwest::Client> {
    HTTP.with(|cell| {
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(64)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(cell.get_or_init(|| client).clone())
    })
}
