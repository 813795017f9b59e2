//! WebSockets: raw streams from the client to the service and back, past the request handling.
//!
//! The server library hands over every request with `Upgrade: websocket`, and every CONNECT, together with the bare
//! stream. `GET /ws` is opened at the service with the same head (`open`) and from then on bytes are carried
//! (`pipe`); anything else is told no. After that nothing is left per socket but the two streams and a few words.

mod answer;
mod open;
mod pipe;
mod sockets;

pub use sockets::Sockets;

use crate::conn::Conn;
use crate::door::Visit;
use crate::fail::Failure;
use crate::path;
use crate::worker::Worker;
use actix_codec::Framed;
use actix_http::header::{CONNECTION, HeaderValue, UPGRADE};
use actix_http::{Method, Request, h1};
use bytes::Bytes;
use open::Opened;
use pipe::Pipe;
use service_kit::client::REQUEST_ID;
use service_kit::server::{decline, finish};
use service_kit::{Code, Error};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The one path that has sockets (design §3).
const PATH: &str = "/ws";

/// A client has this long to take an answer's head.
const LINGER: Duration = Duration::from_secs(2);

/// Takes over a stream; ends when the socket is open, or refused.
pub async fn relay(worker: Rc<Worker>, req: Request, framed: Framed<Conn, h1::Codec>) {
    let parts = framed.into_parts();
    let (head, _) = req.into_parts();
    let visit = Visit::new(worker, head);
    let place = &parts.io.watch().place;
    let (crowded, seat) = (place.over_limit, place.take_seat());
    let Ok(mut client) = parts.io.into_stream() else { return };
    // Answers to earlier requests on the same connection.
    if write_all(&mut client, &parts.write_buf).await.is_err() {
        return;
    }
    match open(&visit, crowded, parts.read_buf.freeze()).await {
        Ok(Opened::Switched { service, head, permit }) => {
            visit.tell(101, "ok");
            if write_all(&mut client, &head).await.is_ok() {
                let sockets = &visit.worker.shared.sockets;
                let socket = sockets.track(permit, Pipe::new(client, service, sockets.closing()));
                actix_rt::spawn(async move {
                    socket.await;
                    drop(seat);
                });
            }
        }
        Ok(Opened::Declined { mut service, status, head }) => {
            visit.tell(status, "declined");
            let declined = async {
                client.write_all(&head).await?;
                tokio::io::copy(&mut service, &mut client).await?;
                finish(&mut client).await
            };
            let _ = timeout(visit.worker.shared.settings.timeouts.request.into(), declined).await;
        }
        Err(error) => {
            visit.log_failure(&error);
            visit.count_failure(&error);
            let _ = refuse(&visit, &mut client, &error).await;
        }
    }
}

async fn open(visit: &Visit, crowded: bool, rest: Bytes) -> Result<Opened, Error> {
    let path = path::check(&visit.head.uri).ok_or(Code::UnknownPath)?;
    if crowded {
        return Err(Code::Overloaded.into());
    }
    if path.strip_suffix('/').unwrap_or(path) != PATH || visit.head.method == Method::CONNECT {
        return Err(Code::UnknownPath.into());
    }
    if visit.head.method != Method::GET {
        return Err(Code::WrongMethod.into());
    }
    let upgrades = visit.head.upgrade() && visit.head.headers.contains_key(UPGRADE);
    if !upgrades || !visit.head.headers.contains_key(CONNECTION) {
        return Err(Code::UnknownPath.into());
    }
    visit.admit()?;
    let service = visit.worker.shared.routes.find(path).ok_or(Code::UnknownPath)?;
    visit.set_service(service);
    let permit = visit.worker.shared.sockets.admit().ok_or(Code::Overloaded)?;
    open::open(visit, service, rest, permit).await
}

/// Says no over the bare stream.
async fn refuse(visit: &Visit, client: &mut TcpStream, error: &Error) -> io::Result<()> {
    let path = visit.head.uri.path();
    let failure = Failure::new(error, path.strip_suffix('/').unwrap_or(path), visit.worker.shared.settings.real_status);
    let id = HeaderValue::from_str(visit.caller.id.as_str()).unwrap_or(HeaderValue::from_static(""));
    visit.tell(failure.status, error.code().name());
    decline(client, failure.status, failure.fields.into_iter().chain([(REQUEST_ID, id)]), &failure.body).await
}

async fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    timeout(LINGER, stream.write_all(bytes)).await?
}

fn field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}
