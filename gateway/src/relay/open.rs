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
    let target = visit.head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("GET {target} HTTP/1.1\r\n").into_bytes();
    for (name, value) in &to_service(&outgoing) {
        field(&mut head, name.as_str(), value.as_bytes());
    }
    field(&mut head, "connection", b"Upgrade");
    field(&mut head, "upgrade", b"websocket");
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(rest);
    head
}
