//! Idle WebSockets: opened, and then only kept, pings answered.

use crate::{Failure, Result};
use futures_util::StreamExt;
use futures_util::stream;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// So many are being opened at a time.
const OPENING: usize = 32;
/// What the service says when a socket stands.
const READY: &[u8] = b"\"heartbeat\"";

/// Open sockets; closed when dropped.
pub struct Sockets {
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Sockets {
    /// One for each token; all stand when this returns.
    pub fn open(address: SocketAddr, tokens: Vec<String>) -> Result<Self> {
        let (close, closed) = oneshot::channel();
        let (ready, opened) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(keep(address, tokens, ready, closed))
        });
        opened.recv().unwrap_or_else(|gone| Err(gone.into()))?;
        Ok(Self { close: Some(close), thread: Some(thread) })
    }

    /// Closes them all; an error if one had ended before.
    pub fn close(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.close.take());
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err("the sockets' thread has panicked".into()),
            Some(Ok(ended)) => ended,
            None => Ok(()),
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.end();
    }
}

async fn keep(
    address: SocketAddr,
    tokens: Vec<String>,
    ready: mpsc::Sender<Result<()>>,
    closed: oneshot::Receiver<()>,
) -> Result<()> {
    let opening = tokens
        .into_iter()
        .map(|token| async move { tokio::time::timeout(Duration::from_secs(20), open(address, token)).await? });
    let opened: Vec<Result<TcpStream>> = stream::iter(opening).buffer_unordered(OPENING).collect().await;
    let mut tasks = tokio::task::JoinSet::new();
    for socket in opened {
        match socket {
            Ok(socket) => drop(tasks.spawn(idle(socket))),
            Err(e) => {
                let told = ready.send(Err(e));
                return told.map_err(Failure::from);
            }
        }
    }
    ready.send(Ok(()))?;
    tokio::select! {
        // Dropping the sender closes.
        _ = closed => {
            tasks.shutdown().await;
            Ok(())
        }
        Some(ended) = tasks.join_next() => match ended? {
            Err(e) => Err(format!("a socket has ended: {e}").into()),
            Ok(()) => Err("a socket was closed".into()),
        },
    }
}

async fn open(address: SocketAddr, token: String) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "GET /ws?token={token} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut seen = Vec::new();
    while !seen.windows(READY.len()).any(|part| part == READY) {
        if stream.read_buf(&mut seen).await? == 0 {
            return Err(format!("no socket: {}", String::from_utf8_lossy(&seen)).into());
        }
    }
    Ok(stream)
}

/// Answers pings until the other side ends.
async fn idle(mut stream: TcpStream) -> Result<()> {
    let mut buffer = [0; 256];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        // A ping comes alone and whole: nothing else is sent to an idle socket.
        if buffer[0] == 0x89 {
            let payload = &buffer[2..read.min(2 + usize::from(buffer[1] & 0x7f))];
            let length = u8::try_from(payload.len())?;
            // Masked, as a client must, with zeros, which change nothing.
            let mut pong = vec![0x8a, 0x80 | length, 0, 0, 0, 0];
            pong.extend_from_slice(payload);
            stream.write_all(&pong).await?;
        }
    }
}
