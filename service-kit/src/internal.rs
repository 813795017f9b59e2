//! Calls from one service to another over the internal HTTP API.
//!
//! Every internal call may be repeated: it reads, adds what nobody minds having twice, or carries an operation id. So a
//! call whose answer was lost, or was none of ours, goes to the next address. (To set a value twice is not to set it once: the process that
//! was asked first may be frozen, and would set it again when it wakes, over what was set since.)

use crate::client::REQUEST_ID;
use crate::error::{Code, Error, Result};
use crate::http::{self, Connections};
use crate::log as kit_log;
use crate::random;
use crate::secret::Secret;
use crate::server::INTERNAL_TOKEN;
use crate::settings::List;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared_models::Text;
use shared_models::internal::Failure;
use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A caller waits this long in all, whatever happens behind.
const TIMEOUT: Duration = Duration::from_millis(1800);
/// An address that accepts but does not answer leaves time for the next one.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1200);
const CONNECTIONS: Connections = Connections {
    connect_timeout: Duration::from_millis(500),
    // Shorter than the servers' keep-alive, so that no call is sent into a closing connection.
    idle_timeout: Duration::from_secs(5),
    idle_per_host: 64,
};

thread_local! {
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

    /// The outer error is the transport's: nothing was heard, or not from a service of ours; another address may
    /// answer.
    async fn attempt<A: DeserializeOwned>(
        &self,
        base: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Result<A>, Box<dyn StdError + Send + Sync>> {
        let mut request = http::client(&HTTP, &CONNECTIONS)?
            .post(format!("{base}{path}"))
            .timeout(ATTEMPT_TIMEOUT)
            .header(INTERNAL_TOKEN.as_str(), self.0.token.expose())
            .header("content-type", "application/json")
            .body(body);
        if let Some(id) = kit_log::request_id() {
            request = request.header(REQUEST_ID.as_str(), id);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        let foreign = |e: serde_json::Error| format!("internal call {path}: {status}: {e}");
        if status.is_success() {
            return Ok(Ok(serde_json::from_slice(&body).map_err(foreign)?));
        }
        let Failure { code: name, detail } = serde_json::from_slice(&body).map_err(foreign)?;
        let code = Code::from_name(&name).unwrap_or_else(|| general(status));
        let error = detail.map_or_else(|| Error::from(code), |detail| Error::new(code, detail));
        Ok(Err(if code.name() == name { error } else { error.because(format!("internal call {path}: {name}")) }))
    }
}

/// For the reason of a newer version, which is unknown here. That a request is wrong for a reason we do not know is no
/// judgement on what it is about: whoever repeats calls goes on.
fn general(status: StatusCode) -> Code {
    match status.as_u16() {
        401 => Code::NotAuthorized,
        413 => Code::BodyTooLarge,
        429 => Code::RateLimited,
        502 => Code::BadUpstream,
        503 => Code::Unreachable,
        504 => Code::UpstreamTimeout,
        _ => Code::Internal,
    }
}

/// A new operation's id: whoever is asked twice does it once.
pub fn operation_id() -> Result<Text<64, 1>> {
    Text::new(random::hex(16)).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// An address where each call gets this answer.
    async fn address(status: &'static str, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        base
    }

    /// Asks twice, so that each address is the first once.
    async fn ask(bases: Vec<String>) -> Vec<Result<u8>> {
        let client = InternalClient::new(&List(bases), Secret::new("token"));
        vec![client.call("/internal/x", &()).await, client.call("/internal/x", &()).await]
    }

    #[tokio::test]
    async fn an_answer_that_is_none_of_ours_is_looked_for_elsewhere() {
        for (status, body) in [
            ("502 Bad Gateway", "<html>"),
            ("404 Not Found", r#"{"errCode":404,"errMsg":"no such call"}"#),
            ("200 OK", "<html>"),
        ] {
            let answers = ask(vec![address(status, body).await, address("200 OK", "7").await]).await;
            assert!(answers.iter().all(|answer| matches!(answer, Ok(7))), "{status}: {answers:?}");
            let why = ask(vec![address(status, body).await]).await.remove(0).unwrap_err();
            assert_eq!(why.code(), Code::Unreachable, "{status}");
            assert!(why.chain().contains(&status[..3]), "{}", why.chain());
        }
    }

    #[tokio::test]
    async fn a_services_own_no_is_the_answer() {
        for (status, body, code, text) in [
            ("404 x", r#"{"code":"UnknownUser"}"#, Code::UnknownUser, "no such user"),
            ("404 x", r#"{"code":"UnknownUser","detail":"who?"}"#, Code::UnknownUser, "who?"),
            // Reasons that only a newer version has.
            ("409 x", r#"{"code":"News","detail":"no"}"#, Code::Internal, "no"),
            ("429 x", r#"{"code":"News"}"#, Code::RateLimited, "too many requests: try again later"),
            ("503 x", r#"{"code":"News","detail":"later"}"#, Code::Unreachable, "later"),
            ("500 x", r#"{"code":"News"}"#, Code::Internal, "internal error"),
        ] {
            for answer in ask(vec![address(status, body).await, address(status, body).await]).await {
                let why = answer.unwrap_err();
                assert_eq!((why.code(), why.text()), (code, text), "{body}");
            }
        }
    }
}
