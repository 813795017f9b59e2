//! A client's connection under watch.
//!
//! actix-http times a connection's first request head and idle connections, but neither a later head that trickles
//! in nor a client that does not read its answer, or reads it a few bytes at a time; any of them would hold a
//! connection, and with it a service's, for ever. So the stream itself knows until when a request may be served and
//! since when a write waits, and a sweep of each worker ends the connections that are overdue.

use crate::crowd::Place;
use service_kit::server::{HEAD_TIMEOUT, KEEP_ALIVE};
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A client's stream.
pub struct Conn {
    stream: Option<TcpStream>,
    watch: Rc<Watch>,
}

/// What is known of a connection.
pub struct Watch {
    /// A request is being served, and must have been by then.
    busy: Cell<Option<Instant>>,
    /// When the last one had been.
    since: Cell<Instant>,
    /// A write has waited since then.
    blocked: Cell<Option<Instant>>,
    overdue: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    pub place: Place,
}

/// A request is being served while this lives.
pub struct Busy(Option<Rc<Watch>>);

impl Busy {
    pub fn new(watch: Option<Rc<Watch>>, end: Instant) -> Self {
        let busy = Self(watch);
        busy.until(end);
        busy
    }

    /// The request must have been served by then.
    pub fn until(&self, end: Instant) {
        if let Some(watch) = &self.0 {
            watch.busy.set(Some(end));
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(watch) = &self.0 {
            watch.busy.set(None);
            watch.since.set(Instant::now());
        }
    }
}

impl Watch {
    fn is_overdue(&self, now: Instant, stall: Duration) -> bool {
        let passed = |since: Instant| now.saturating_duration_since(since);
        let late = match self.busy.get() {
            Some(end) => now >= end,
            // The server itself ends idle connections and the first head in time; this is later than both.
            None => passed(self.since.get()) > KEEP_ALIVE + HEAD_TIMEOUT,
        };
        late || self.blocked.get().is_some_and(|since| passed(since) > stall)
    }

    fn remember(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// A worker's connections.
#[derive(Default)]
pub struct Watched(RefCell<Vec<Weak<Watch>>>);

impl Watched {
    /// Takes a connection under watch.
    pub fn watch(&self, stream: TcpStream, place: Place) -> Conn {
        let watch = Rc::new(Watch {
            busy: Cell::new(None),
            since: Cell::new(Instant::now()),
            blocked: Cell::new(None),
            overdue: Cell::new(false),
            waker: RefCell::new(None),
            place,
        });
        self.0.borrow_mut().push(Rc::downgrade(&watch));
        Conn { stream: Some(stream), watch }
    }

    /// Ends what is overdue; forgets what has ended.
    pub fn sweep(&self, stall: Duration) {
        let now = Instant::now();
        self.0.borrow_mut().retain(|weak| {
            let Some(watch) = weak.upgrade() else { return false };
            if watch.is_overdue(now, stall) {
                watch.overdue.set(true);
                if let Some(waker) = watch.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
            true
        });
    }
}

impl Conn {
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// The bare stream, no longer watched.
    pub fn into_stream(mut self) -> io::Result<TcpStream> {
        self.stream.take().ok_or_else(gone)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if self.watch.overdue.get() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }

    fn wrote<T>(&self, cx: &Context<'_>, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            self.watch.blocked.set(None);
        } else {
            self.watch.remember(cx);
            if self.watch.blocked.get().is_none() {
                self.watch.blocked.set(Some(Instant::now()));
            }
        }
        poll
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = self.stream()?.poll_read(cx, buf);
        if poll.is_pending() {
            self.watch.remember(cx);
        }
        poll
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = self.stream()?.poll_write(cx, buf);
        self.wrote(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::crowd::Crowd;
    use crate::settings::Limits;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    const STALL: Duration = Duration::from_secs(5);

    #[test]
    fn an_overdue_connection_ends_and_is_forgotten() {
        let too_slow: [fn(&Watch, &Busy, Instant); 2] =
            [|watch, _, long_ago| watch.blocked.set(Some(long_ago)), |_, busy, long_ago| busy.until(long_ago)];
        for too_slow in too_slow {
            actix_rt::System::new().block_on(overdue(too_slow));
        }
    }

    async fn overdue(too_slow: fn(&Watch, &Busy, Instant)) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let watched = Watched::default();
        let mut conn = watched.watch(stream, Crowd::new(&Limits::default(), &[]).enter(None));
        assert!(!conn.watch.place.over_limit);

        let watch = Rc::clone(conn.watch());
        let reading = actix_rt::spawn(async move { conn.read_u8().await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        watched.sweep(STALL);
        assert!(!reading.is_finished());

        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        watch.since.set(long_ago);
        let busy = Busy::new(Some(Rc::clone(&watch)), Instant::now() + STALL);
        watched.sweep(STALL);
        tokio::task::yield_now().await;
        assert!(!reading.is_finished(), "a request may take longer than an idle connection");
        too_slow(&watch, &busy, long_ago);
        watched.sweep(STALL);
        let ended = tokio::time::timeout(STALL, reading).await.unwrap();
        assert_eq!(ended.unwrap(), io::ErrorKind::TimedOut);

        drop((busy, watch));
        watched.sweep(STALL);
        assert!(watched.0.borrow().is_empty());
    }
}
