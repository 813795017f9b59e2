//! `GET /ws` with an upgrade: admitted or refused over the bare stream.

use super::session;
use crate::domain::{Core, SocketRequest};
use actix_codec::Framed;
use actix_http::header::{CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use actix_http::{HttpMessage, Method, Request, h1, ws};
use actix_rt::net::TcpStream;
use service_kit::client::Client;
use service_kit::params;
use service_kit::server::{AccessLine, Context, Upgrade, decline};
use service_kit::wire::{Dialect, FAILURE_HEADER};
use service_kit::{Code, Error, Kind, Result, log as kit_log};
use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::time::Instant;
use tokio::io::AsyncWriteExt;

const PATH: &str = "/ws";

/// Takes requests that ask for an upgrade, on every worker.
pub fn upgrade(core: Core, context: Context) -> impl Fn() -> Upgrade + Clone + Send + 'static {
    move || {
        let (core, context) = (core.clone(), context.clone());
        Rc::new(move |req, framed| Box::pin(accept(core.clone(), context.clone(), req, framed)))
    }
}

async fn accept(core: Core, context: Context, req: Request, framed: Framed<TcpStream, h1::Codec>) {
    let began = Instant::now();
    let parts = framed.into_parts();
    let mut stream = parts.io;
    let client = Client::of(req.headers(), req.peer_addr(), context.gateway_token());
    let tell = |status: u16, outcome: &'static str| {
        kit_log::with_request_id(&client.request_id, || {
            context.finished(&AccessLine {
                method: req.method().as_str(),
                path: req.path(),
                route: Cow::Borrowed(PATH),
                status,
                outcome: Cow::Borrowed(outcome),
                client: client.address,
                took: began.elapsed(),
            });
        });
    };
    // Answers to earlier requests on the same connection.
    if stream.write_all(&parts.write_buf).await.is_err() {
        return;
    }
    let admitted = async {
        let (accept, request) = read(&req)?;
        Ok((accept, core.open_socket(request).await?))
    };
    match admitted.await {
        Ok((accept, socket)) => {
            tell(101, "ok");
            drop(req);
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            let early = parts.read_buf.freeze();
            // A task of its own: nothing of the request is kept while the socket is open.
            actix_rt::spawn(async move {
                if stream.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
                let farewell = session::run(stream, early, socket.name(), socket.control()).await;
                drop(socket);
                if let Some(farewell) = farewell {
                    farewell.say().await;
                }
            });
        }
        Err(error) => {
            let status = status_of(&error, req.path());
            if error.kind().is_fault() {
                kit_log::with_request_id(&client.request_id, || log::warn!("{}", error.chain()));
            }
            context.failed(Dialect::ErrCodeMsg, error.code());
            tell(status, error.code().name());
            let _ = refuse(&mut stream, status, &error, req.path()).await;
        }
    }
}

/// The handshake's answer to the key, and what is asked.
fn read(req: &Request) -> Result<(String, SocketRequest)> {
    let header = |name| req.headers().get(name).and_then(|v| v.to_str().ok());
    let is_websocket = header(UPGRADE).is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
    let path = req.path().strip_suffix('/').unwrap_or(req.path());
    if path != PATH || req.method() != Method::GET || !is_websocket {
        return Err(Code::UnknownPath.into());
    }
    let (Some(key), Some("13")) = (header(SEC_WEBSOCKET_KEY), header(SEC_WEBSOCKET_VERSION)) else {
        return Err(Error::new(Code::BadParameter, "Sec-WebSocket-Version: must be 13, with a Sec-WebSocket-Key"));
    };
    let accept = String::from_utf8_lossy(&ws::hash_key(key.as_bytes())).into_owned();
    // Of a query with anything in it these three count; one of them that cannot be read is a wrong one.
    let value = |name| params::value_of(req.uri().query().unwrap_or_default(), name);
    let token = value("token").ok().flatten().filter(|token| !token.is_empty()).ok_or(Code::TokenMalformed)?;
    let given = |name| value(name).map_err(|_unreadable| Error::from(Code::TokenInvalid));
    let user = given("sendID")?.filter(|id| !id.is_empty());
    let platform = given("platformID")?.filter(|id| !id.is_empty());
    Ok((accept, SocketRequest { token, user, platform }))
}

/// Before the upgrade HTTP's own status counts (contract §0).
fn status_of(error: &Error, path: &str) -> u16 {
    match error.kind() {
        Kind::NotFound if error.code() == Code::UnknownPath => 404,
        kind if kind.is_fault() => 503,
        Kind::Invalid if path.starts_with(PATH) && error.code() == Code::BadParameter => 400,
        _ => 401,
    }
}

async fn refuse(stream: &mut TcpStream, status: u16, error: &Error, path: &str) -> io::Result<()> {
    let (body, content_type) = Dialect::of_path(path).failure(error);
    let failure = error.kind().is_fault().then(|| (FAILURE_HEADER, HeaderValue::from(error.kind().status())));
    let fields = [(CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().chain(failure);
    decline(stream, status, fields, &body).await
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use actix_codec::Decoder;
    use actix_http::ServiceConfig;
    use bytes::BytesMut;
    use service_kit::testkit::fuzz::target;

    #[test]
    fn handshake() {
        // It keeps the time by a task.
        let local = tokio::task::LocalSet::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let config = local.block_on(&runtime, async { ServiceConfig::default() });
        target(env!("CARGO_MANIFEST_DIR"), "handshake", |input| {
            let mut bytes = BytesMut::from(input);
            let message = h1::Codec::new(config.clone()).decode(&mut bytes);
            let Ok(Some(h1::Message::Item(req))) = message else { return };
            match read(&req) {
                Ok((accept, asked)) => {
                    assert!(
                        accept.len() == 28 && accept.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
                    );
                    assert!(req.path() == "/ws" || req.path() == "/ws/");
                    assert!(!asked.token.is_empty() && asked.token.len() <= input.len());
                    assert!(asked.user.is_none_or(|user| !user.is_empty()));
                }
                Err(error) => {
                    let status = status_of(&error, req.path());
                    assert!([400, 401, 404].contains(&status), "{status}");
                    assert_eq!(status == 404, error.code() == Code::UnknownPath);
                }
            }
        });
    }
}
