//! One open socket on its bare stream: JSON text frames, heartbeat, and its end (contract §2).

use super::{Control, Ending};
use actix_codec::{Decoder, Encoder};
use actix_http::ws::{CloseCode, CloseReason, Codec, Frame, Item, Message, ProtocolError};
use actix_rt::net::TcpStream;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

/// Pings go out this often; clients are told so.
const HEARTBEAT: Duration = Duration::from_secs(27);
/// A peer that sent nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// A peer that takes nothing for so long is gone too.
const WRITE: Duration = Duration::from_secs(10);
/// After our close frame the peer has so long to go.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of a frame, and of a message made of several.
const MAX_MESSAGE: usize = 4096;

/// Close codes of our own: 4000 and the family's number.
const REPLACED: u16 = 4706;
const LOGGED_OUT: u16 = 4702;
const INVALID_TEXT: u16 = 1007;

thread_local! {
    /// What is read goes through one buffer a worker, so that an idle socket holds none.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 << 10].into());
}

/// Serves a socket until it is to be closed. `early` is what the client sent right behind its request; `control`
/// is the way in for others.
pub async fn run(mut stream: TcpStream, early: Bytes, name: String, control: &Control) -> Option<Farewell> {
    let mut session = Session { codec: Codec::new().max_size(MAX_MESSAGE), read: early.into(), partial: None };
    let close = match session.serve(&mut stream, &name, control).await {
        Ok(close) => close,
        Err(e) => {
            log::debug!("socket: {e}");
            return None;
        }
    };
    let mut last_words = BytesMut::new();
    if control.ending() == Some(Ending::Replaced) {
        session.say(Message::Text(r#"{"type":"kicked","code":706}"#.into()), &mut last_words).ok()?;
    }
    session.say(Message::Close(close), &mut last_words).ok()?;
    Some(Farewell { stream, last_words })
}

/// A socket that is no longer one; the user is offline on it before the peer hears so.
pub struct Farewell {
    stream: TcpStream,
    last_words: BytesMut,
}

impl Farewell {
    pub async fn say(mut self) {
        if write(&mut self.stream, &self.last_words).await.is_ok() {
            let _ = timeout(LINGER, gone(&mut self.stream)).await;
        }
    }
}

/// Says that nothing more comes, and reads until the peer has gone.
async fn gone(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    timeout(WRITE, stream.write_all(bytes)).await.unwrap_or_else(|late| Err(late.into()))
}

struct Session {
    codec: Codec,
    /// A frame that has not come whole; empty and without memory otherwise.
    read: BytesMut,
    /// A message that comes in several frames.
    partial: Option<BytesMut>,
}

/// The greeting.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready<'a> {
    r#type: &'static str,
    conn_id: &'a str,
    /// Seconds between our pings.
    heartbeat: u64,
}

#[derive(Deserialize)]
struct Text {
    r#type: String,
}

impl Session {
    /// Until the socket is to be closed, and how.
    async fn serve(
        &mut self,
        stream: &mut TcpStream,
        name: &str,
        control: &Control,
    ) -> io::Result<Option<CloseReason>> {
        let mut out = BytesMut::new();
        let ready = Ready { r#type: "ready", conn_id: name, heartbeat: HEARTBEAT.as_secs() };
        self.say(Message::Text(serde_json::to_string(&ready)?.into()), &mut out)?;
        let mut close = self.take(&mut out)?;
        write(stream, &out).await?;
        drop(out);
        let (mut heard, mut pinged) = (Instant::now(), Instant::now());
        loop {
            if let Some(reason) = close {
                return Ok(reason);
            }
            tokio::select! {
                biased;
                () = control.wake.notified() => match control.ending() {
                    Some(Ending::Replaced) => return Ok(reason(REPLACED, "replaced by a later connection")),
                    Some(Ending::LoggedOut) => return Ok(reason(LOGGED_OUT, "logged out")),
                    Some(Ending::GoingAway) => return Ok(reason(CloseCode::Away.into(), "going away")),
                    None => {}
                },
                () = sleep_until((pinged + HEARTBEAT).min(heard + SILENCE)) => {
                    if heard.elapsed() >= SILENCE {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer is silent"));
                    }
                    pinged = Instant::now();
                    let mut out = BytesMut::new();
                    self.say(Message::Ping(Bytes::new()), &mut out)?;
                    write(stream, &out).await?;
                }
                ready = stream.readable() => {
                    ready?;
                    match self.fill(stream)? {
                        None => {}
                        // The peer sends no more: a client that left, or a gateway that ends (design §5.9).
                        Some(0) => return Ok(reason(CloseCode::Away.into(), "going away")),
                        Some(_) => {
                            heard = Instant::now();
                            let mut out = BytesMut::new();
                            close = self.take(&mut out)?;
                            write(stream, &out).await?;
                        }
                    }
                }
            }
        }
    }

    fn fill(&mut self, stream: &TcpStream) -> io::Result<Option<usize>> {
        READ.with_borrow_mut(|buffer| match stream.try_read(buffer) {
            Ok(n) => {
                self.read.extend_from_slice(buffer.get(..n).unwrap_or_default());
                Ok(Some(n))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        })
    }

    /// Takes the frames that have come whole; `Some` when the socket is to be closed.
    fn take(&mut self, out: &mut BytesMut) -> io::Result<Option<Option<CloseReason>>> {
        loop {
            // The codec looks at a frame's length when all of it is there; by then it would have been kept.
            if announced(&self.read).is_some_and(|length| length > MAX_MESSAGE as u64) {
                return Ok(Some(reason(CloseCode::Size.into(), "message too big")));
            }
            let frame = match self.codec.decode(&mut self.read) {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    if self.read.is_empty() {
                        self.read = BytesMut::new();
                    }
                    return Ok(None);
                }
                Err(ProtocolError::Overflow) => return Ok(Some(reason(CloseCode::Size.into(), "message too big"))),
                Err(_) => return Ok(Some(reason(CloseCode::Protocol.into(), "protocol error"))),
            };
            let whole = match frame {
                Frame::Text(text) => Some(text),
                Frame::Ping(payload) => {
                    self.say(Message::Pong(payload), out)?;
                    None
                }
                // A close without a code is answered without one.
                Frame::Close(theirs) => return Ok(Some(theirs.map(|r| CloseReason::from(r.code)))),
                Frame::Continuation(item) => match self.join(item) {
                    Ok(whole) => whole,
                    Err(TooBig) => return Ok(Some(reason(CloseCode::Size.into(), "message too big"))),
                },
                Frame::Binary(_) | Frame::Pong(_) => None,
            };
            if let Some(text) = whole {
                let Ok(text) = std::str::from_utf8(&text) else {
                    return Ok(Some(reason(INVALID_TEXT, "not UTF-8")));
                };
                if serde_json::from_str::<Text>(text).is_ok_and(|t| t.r#type == "ping") {
                    self.say(Message::Text(r#"{"type":"pong"}"#.into()), out)?;
                }
            }
        }
    }

    /// A text in several frames, when its last has come. (Binary ones are ignored as whole ones are.)
    fn join(&mut self, item: Item) -> Result<Option<Bytes>, TooBig> {
        let (part, last) = match item {
            Item::FirstText(part) => {
                self.partial = Some(BytesMut::new());
                (part, false)
            }
            Item::FirstBinary(_) => {
                self.partial = None;
                return Ok(None);
            }
            Item::Continue(part) => (part, false),
            Item::Last(part) => (part, true),
        };
        let Some(partial) = &mut self.partial else { return Ok(None) };
        if partial.len() + part.len() > MAX_MESSAGE {
            return Err(TooBig);
        }
        partial.extend_from_slice(&part);
        Ok(if last { self.partial.take().map(BytesMut::freeze) } else { None })
    }

    fn say(&mut self, message: Message, out: &mut BytesMut) -> io::Result<()> {
        self.codec.encode(message, out).map_err(io::Error::other)
    }
}

/// The payload length that a frame's head announces (RFC 6455, section 5.2), if that much of it is there.
fn announced(frame: &[u8]) -> Option<u64> {
    match frame.get(1)? & 0x7f {
        126 => Some(u16::from_be_bytes(*frame.get(2..)?.first_chunk()?).into()),
        127 => Some(u64::from_be_bytes(*frame.get(2..)?.first_chunk()?)),
        short => Some(short.into()),
    }
}

struct TooBig;

fn reason(code: u16, text: &str) -> Option<CloseReason> {
    Some(CloseReason { code: code.into(), description: Some(text.to_owned()) })
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::testkit::fuzz::target;

    /// A close frame: its code and text, or neither.
    type Close = Option<(u16, Option<String>)>;

    /// What a session says, and how it closes, on bytes that arrive in pieces of `size`.
    fn arriving(bytes: &[u8], size: usize) -> (BytesMut, Option<Close>) {
        let mut session = Session { codec: Codec::new().max_size(MAX_MESSAGE), read: BytesMut::new(), partial: None };
        let mut out = BytesMut::new();
        for piece in bytes.chunks(size) {
            session.read.extend_from_slice(piece);
            let close = session.take(&mut out).unwrap();
            if let Some(reason) = close {
                return (out, Some(reason.map(|reason| (reason.code.into(), reason.description))));
            }
            // A frame that has not come whole, and the head of it.
            assert!(session.read.len() <= MAX_MESSAGE + 14, "{}", session.read.len());
            assert!(session.partial.as_ref().is_none_or(|partial| partial.len() <= MAX_MESSAGE));
        }
        (out, None)
    }

    #[test]
    fn socket() {
        target(env!("CARGO_MANIFEST_DIR"), "socket", |input| {
            let (said, close) = arriving(input, usize::MAX);
            // A frame that is wrong in two ways is told what shows first.
            let told = |close: Option<Close>| match close {
                Some(Some((1002 | 1009, _))) => Some(None),
                other => other,
            };
            for size in [1, 7] {
                let (other, other_close) = arriving(input, size);
                assert_eq!((other, told(other_close)), (said.clone(), told(close.clone())), "however it arrives");
            }
            assert!(said.len() <= input.len(), "nobody gets more than he sends");
            let mut codec = Codec::new().client_mode();
            let mut left = said;
            while !left.is_empty() {
                match codec.decode(&mut left).unwrap().unwrap() {
                    Frame::Pong(_) => {}
                    Frame::Text(text) => assert_eq!(text, r#"{"type":"pong"}"#),
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}
