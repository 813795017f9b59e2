//! Carrying bytes both ways between a client and a service.
//!
//! An idle socket keeps no buffer: all sockets of a thread read into one, and only what the other side did not take
//! at once is kept, which also stops reading from whoever sent it.

use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

const BUFFER: usize = 16 << 10;
/// Reads in a row before other sockets get their turn.
const TURNS: usize = 16;
/// Who takes nothing for so long is cut off.
const STALL: Duration = Duration::from_secs(20);
/// When one side has ended, the other has this long to end too.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into());
}

/// An open socket; ready when it is over.
pub struct Pipe {
    client: TcpStream,
    service: TcpStream,
    up: Way,
    down: Way,
    /// `None` once it has happened.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Read and not yet written.
    kept: Bytes,
    /// Nothing more is read.
    ended: bool,
    /// And the other side has been told.
    over: bool,
    /// Something was carried since this was last looked at.
    moved: bool,
}

/// Which end of a direction is broken.
enum Broken {
    From,
    To,
}

impl Pipe {
    pub fn new(client: TcpStream, service: TcpStream, closing: WaitForCancellationFutureOwned) -> Self {
        let (up, down) = (Way::default(), Way::default());
        Self { client, service, up, down, closing: Some(Box::pin(closing)), timer: None }
    }

    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(cx).is_ready()) {
            self.closing = None;
            // The service closes the socket in its own words, which then go to the client.
            self.up.ended = true;
        }
        if !self.down.over {
            match self.up.poll(cx, &self.client, &mut self.service) {
                // Nobody is left to be told anything; the service must know it now, not when it next writes.
                Poll::Ready(Err(Broken::From)) => return Poll::Ready(()),
                // The service takes nothing any more; what it has said already still goes to the client.
                Poll::Ready(Err(Broken::To)) => self.up.over = true,
                _ => {}
            }
            match self.down.poll(cx, &self.service, &mut self.client) {
                Poll::Ready(Ok(())) => self.timer = None,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if self.down.over {
            // Leaving bytes of the client unread would reset the connection, and with it what it has yet to read.
            return self.poll_discard(cx).map(drop);
        }
        self.poll_timer(cx)
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            if self.client.poll_read_ready(cx)?.is_pending() {
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(LINGER)));
                return timer.as_mut().poll(cx).map(Ok);
            }
            match SHARED.with_borrow_mut(|buffer| self.client.try_read(buffer)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(e)),
                _ => {}
            }
        }
        // A client that sends without end is not waited for.
        Poll::Ready(Ok(()))
    }

    /// A side that takes nothing, or a service that stays when its client has gone, has limited time.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stuck = !self.up.kept.is_empty() || !self.down.kept.is_empty();
        if std::mem::take(&mut self.up.moved) | std::mem::take(&mut self.down.moved) || !(stuck || self.up.over) {
            self.timer = None;
        }
        if !(stuck || self.up.over) {
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(STALL)));
        timer.as_mut().poll(cx)
    }
}

impl Future for Pipe {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // However a socket ends: it is over, and the end of the streams tells both sides.
        self.poll_both(cx)
    }
}

impl Way {
    /// Ready when this direction is over.
    fn poll(&mut self, cx: &mut Context<'_>, from: &TcpStream, to: &mut TcpStream) -> Poll<Result<(), Broken>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..TURNS {
            while !self.kept.is_empty() {
                let Ok(n) = ready!(Pin::new(&mut *to).poll_write(cx, &self.kept)) else {
                    return Poll::Ready(Err(Broken::To));
                };
                self.kept.advance(n);
                self.moved = true;
            }
            if self.ended {
                self.over = ready!(Pin::new(&mut *to).poll_shutdown(cx)).is_ok();
                return Poll::Ready(if self.over { Ok(()) } else { Err(Broken::To) });
            }
            if ready!(from.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Err(Broken::From));
            }
            SHARED.with_borrow_mut(|buffer| self.carry(buffer, from, to))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn carry(&mut self, buffer: &mut [u8], from: &TcpStream, to: &TcpStream) -> Result<(), Broken> {
        let n = match from.try_read(buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Broken::From),
        };
        if n == 0 {
            self.ended = true;
            return Ok(());
        }
        self.moved = true;
        let written = match to.try_write(&buffer[..n]) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Err(Broken::To),
        };
        self.kept = Bytes::copy_from_slice(&buffer[written..n]);
        Ok(())
    }
}
