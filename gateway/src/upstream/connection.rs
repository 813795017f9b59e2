//! One connection to a service, driven by a task of its own on the worker that opened it.

use crate::forward::Upload;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// An answer's head may be that long.
const MAX_HEAD: usize = 64 << 10;

/// A connection. Dropping it ends it at once, whatever it was doing.
pub struct Connection {
    send: SendRequest<Upload>,
    /// Bytes have come since this was last reset.
    heard: Rc<Cell<bool>>,
    task: JoinHandle<()>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let heard = Rc::new(Cell::new(false));
        let stream = TokioIo::new(Heard { stream, heard: Rc::clone(&heard) });
        let (send, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD).handshake(stream).await.map_err(io::Error::other)?;
        let task = actix_rt::spawn(async move {
            if let Err(e) = connection.await {
                log::debug!("connection to {address}: {e}");
            }
        });
        Ok(Self { send, heard, task })
    }

    pub fn is_ready(&self) -> bool {
        self.send.is_ready()
    }

    pub fn is_closed(&self) -> bool {
        self.send.is_closed()
    }

    /// Sends a request; the future yields the answer's head. The error gives the request back if it was never sent.
    pub fn send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<> {
        self.heard.set(false);
        self.send.try_send_request(request)
    }

    /// Whether any byte came since the last request was sent.
    pub fn has_heard(&self) -> bool {
        self.heard.get()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stream that notes that bytes came.
struct Heard {
    stream: TcpStream,
    heard: Rc<Cell<bool>>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.set(true);
        }
        poll
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
