//! Opening a socket at the service: the same head there, its answer back.

use super::sockets::Permit;
use super::{answer, field};
use crate::door::Visit;
use crate::headers::{Outgoing, to_service};
use crate::upstream::{LeaseError, Pool, Tried};
use bytes::Bytes;
use service_kit::{Code, Error};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A service's answer.
pub enum Opened {
    /// The socket is open; `head` goes to the client, with the first bytes that came after it.
    Switched { service: TcpStream, head: Vec<u8>, permit: Permit },
    /// It is not; `head` goes to the client, and then what else the service says.
    Declined { service: TcpStream, status: u16, head: Vec<u8> },
}

/// An answer's head may be that long.
const MAX_HEAD: usize = 16 << 10;

pub async fn open(visit: &Visit, service: usize, rest: Bytes, permit: Permit) -> Result<Opened, Error> {
    let (mut stream, pool) = dial(visit, service).await?;
    let sent = pool.address.now();
    let exchange = async {
        stream.write_all(&head(visit, &rest)).await?;
        let mut read = Vec::with_capacity(1024);
        loop {
            if read.len() > MAX_HEAD || stream.read_buf(&mut read).await? == 0 {
                return Ok(None);
            }
            match answer::read(&read, visit.caller.id.as_str()) {
                answer::Read::Partial => {}
                answer::Read::Garbage => return Ok(None),
                answer::Read::Complete(answer) => return std::io::Result::Ok(Some(answer)),
            }
        }
    };
    let answer = match timeout(visit.worker.shared.settings.timeouts.answer.into(), exchange).await {
        Ok(Ok(Some(answer))) => answer,
        failed => {
            pool.address.failed(sent);
            return Err(match failed {
                Err(_) => Code::UpstreamTimeout.into(),
                Ok(Err(e)) => Error::from(Code::BadUpstream).because(e),
                Ok(Ok(_)) => Code::BadUpstream.into(),
            });
        }
    };
    // A declined socket is answered with `Connection: close` in any case; only the service's own word counts.
    pool.address.answered(sent, (answer.draining, false));
    Ok(match answer.status {
        101 => Opened::Switched { service: stream, head: answer.head, permit },
        status => Opened::Declined { service: stream, status, head: answer.head },
    })
}

/// A connection to an address of the service. Nothing is sent before there is one, so any address will do.
async fn dial(visit: &Visit, service: usize) -> Result<(TcpStream, Rc<Pool>), Error> {
    let mut tried = Tried::default();
    let mut last = Error::from(Code::UpstreamDown);
    while let Some(picked) = visit.worker.pools[service].pick(&mut tried) {
        match picked.0.stream().await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|e| Error::from(Code::UpstreamDown).because(e))?;
                return Ok((stream, picked.0));
            }
            Err(LeaseError::Refused(e)) => last = Error::from(Code::UpstreamDown).because(e),
            Err(LeaseError::Local(e)) => last = Error::from(Code::Overloaded).because(e),
            Err(LeaseError::Full) => {}
        }
    }
    Err(last)
}

/// The request as the service gets it, and what the client sent after it.
fn head(visit: &Visit, rest: &[u8]) -> Vec<u8> {
    let outgoing = Outgoing {
        head: &visit.head,
        caller: &visit.caller,
        token: &visit.worker.shared.token,
        // No body can follow: what does is the socket's.
        has_body: true,
    };
    written(&outgoing, rest)
}

fn written(outgoing: &Outgoing<'_>, rest: &[u8]) -> Vec<u8> {
    let target = outgoing.head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("GET {target} HTTP/1.1\r\n").into_bytes();
    for (name, value) in &to_service(outgoing) {
        field(&mut head, name.as_str(), value.as_bytes());
    }
    field(&mut head, "connection", b"Upgrade");
    field(&mut head, "upgrade", b"websocket");
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(rest);
    head
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use crate::headers::{identify, size};
    use crate::ids::RequestId;
    use crate::path;
    use crate::settings::Proxy;
    use actix_codec::Decoder;
    use actix_http::{RequestHead, ServiceConfig, h1};
    use bytes::BytesMut;
    use http::HeaderValue;
    use http::header::{CONTENT_LENGTH, HeaderMap};
    use service_kit::testkit::fuzz::{parts, target};

    const REST: &[u8] = b"\x81\x80 and what the socket says";

    /// Reads a request's head off what came, as the server library does for us and for the services.
    fn received(config: &ServiceConfig, bytes: &mut BytesMut) -> Option<(RequestHead, h1::MessageType)> {
        let mut codec = h1::Codec::new(config.clone());
        match codec.decode(bytes).ok()?? {
            h1::Message::Item(request) => Some((request.head().clone(), codec.message_type())),
            h1::Message::Chunk(_) => None,
        }
    }

    fn check_fields(to: &HeaderMap, address: &str) {
        for (name, value) in [("x-kith-gateway-token", "token"), ("x-forwarded-for", address)] {
            assert_eq!(to.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
        assert!(to.get_all("x-request-id").iter().count() == 1 && to.get_all("x-forwarded-proto").iter().count() == 1);
        let may = ["x-kith-gateway-token", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"];
        for name in to.keys().map(http::HeaderName::as_str) {
            let ours = name.starts_with("x-kith-") || name.starts_with("x-forwarded-") || name == "x-request-id";
            assert!(!ours || may.contains(&name), "{name} is ours to say");
            let connections = ["connection", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "expect"];
            assert!(!connections.contains(&name), "{name} is about another connection");
        }
    }

    #[test]
    fn request_head() {
        let trusted: Vec<Proxy> = vec!["10.0.0.0/8".parse().unwrap()];
        let token = HeaderValue::from_static("token");
        // It keeps the time by a task.
        let local = tokio::task::LocalSet::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let config = local.block_on(&runtime, async { ServiceConfig::default() });
        target(env!("CARGO_MANIFEST_DIR"), "request_head", |input| {
            let [peer, came] = parts(input);
            let mut bytes = BytesMut::from(came);
            let Some((mut head, kind)) = received(&config, &mut bytes) else { return };
            let peer = if peer == b"proxy" { "10.0.0.1:1" } else { "192.0.2.1:1" };
            head.peer_addr = Some(peer.parse().unwrap());
            let caller = identify(&head, &trusted, || RequestId::given("made"));
            assert!(peer == "10.0.0.1:1" || caller.address.to_string() == "192.0.2.1");
            if path::check(&head.uri).is_none() || size(&head).is_none() {
                return;
            }
            let address = caller.address.to_string();
            for has_body in [false, true] {
                let to = to_service(&Outgoing { head: &head, caller: &caller, token: &token, has_body });
                check_fields(&to, &address);
                assert!(to.len() <= 96, "services take no more");
                let lengths: Vec<_> = to.get_all(CONTENT_LENGTH).iter().collect();
                // hyper writes the length of a body; where none is read none may be told.
                let nothing = matches!(kind, h1::MessageType::None);
                assert!(lengths.is_empty() || (!has_body && lengths.len() == 1));
                assert!(
                    !nothing || lengths.iter().all(|length| length.as_bytes().iter().all(|b| *b == b'0')),
                    "{lengths:?}"
                );
            }
            let outgoing = Outgoing { head: &head, caller: &caller, token: &token, has_body: true };
            let mut sent = BytesMut::from(&written(&outgoing, REST)[..]);
            let (read, _) = received(&config, &mut sent).expect("a service reads what we write");
            assert_eq!(sent, REST, "one request, and nothing of it is left over");
            assert_eq!((read.method.as_str(), read.uri.path()), ("GET", head.uri.path()));
            assert_eq!(read.uri.query(), head.uri.query());
            let mut seen = HeaderMap::new();
            for (name, value) in read.headers.iter() {
                let name = http::HeaderName::from_bytes(name.as_str().as_bytes()).unwrap();
                seen.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            for (ours, value) in [("connection", "Upgrade"), ("upgrade", "websocket")] {
                assert_eq!(seen.get_all(ours).iter().collect::<Vec<_>>(), [value]);
                seen.remove(ours);
            }
            check_fields(&seen, &address);
            assert_eq!(seen.get_all(CONTENT_LENGTH).iter().count(), 0);
            assert_eq!(seen.get_all("host").iter().count().min(1), 1);
        });
    }
}
