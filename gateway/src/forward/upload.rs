//! A request's body on its way to a service: counted, and still in hand if the service answers before its end.
//!
//! Its beginning is read before a connection to the service is taken: a client that trickles a small body holds none.

use actix_http::Payload;
use actix_http::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of a body that are read before a connection to the service is taken.
const AHEAD: u64 = 64 << 10;

/// The body of a request to a service; `None` for requests without one.
pub struct Upload(pub Option<Rc<Feed>>);

/// A client's body, shared by the connection that sends it on and the request that may have to stop that.
pub struct Feed {
    payload: RefCell<Option<Payload>>,
    /// Read, but not sent yet.
    ahead: RefCell<VecDeque<Bytes>>,
    /// The right to send a body that is not there yet.
    permit: Cell<Option<OwnedSemaphorePermit>>,
    /// What `Content-Length` said.
    length: Option<u64>,
    limit: u64,
    passed: Cell<u64>,
    state: Cell<State>,
    progress: Cell<Instant>,
    /// The service would take more, the client has not sent it.
    waiting: Cell<bool>,
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    /// Read to its end.
    Done,
    TooLarge,
    /// The client left or what it sent is no chunked body.
    Broken,
}

/// Ends the connection to the service; the reason is in the feed.
#[derive(Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body was stopped")
    }
}

impl std::error::Error for Stopped {}

impl Feed {
    pub fn new(payload: Payload, length: Option<u64>, limit: u64) -> Rc<Self> {
        Rc::new(Self {
            payload: RefCell::new(Some(payload)),
            ahead: RefCell::default(),
            permit: Cell::default(),
            length,
            limit,
            passed: Cell::new(0),
            state: Cell::new(State::Open),
            progress: Cell::new(Instant::now()),
            waiting: Cell::new(true),
        })
    }

    pub fn state(&self) -> State {
        self.state.get()
    }

    /// Whether the service was sent all of it.
    pub fn is_sent(&self) -> bool {
        self.state.get() == State::Done && self.ahead.borrow().is_empty()
    }

    /// When the last bytes passed.
    pub fn progress(&self) -> Instant {
        self.progress.get()
    }

    pub fn waits_for_client(&self) -> bool {
        self.waiting.get()
    }

    /// Takes back what has not been read yet; nothing is sent from now on.
    pub fn take(&self) -> Option<Payload> {
        self.payload.borrow_mut().take().filter(|_| self.state.get() != State::Done)
    }

    /// Reads the body to its end or for `AHEAD` bytes; why it cannot be sent is then in the state.
    pub async fn read_ahead(&self) {
        poll_fn(|cx| {
            while self.state.get() == State::Open && self.passed.get() < AHEAD {
                match self.read(cx) {
                    Poll::Ready(Some(Ok(chunk))) => self.ahead.borrow_mut().push_back(chunk),
                    Poll::Ready(_) => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Holds `permit` until the body is there.
    pub fn hold(&self, permit: OwnedSemaphorePermit) {
        self.permit.set(Some(permit));
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Stopped>>> {
        if let Some(chunk) = self.ahead.borrow_mut().pop_front() {
            self.progress.set(Instant::now());
            return Poll::Ready(Some(Ok(chunk)));
        }
        if self.state.get() == State::Done {
            return Poll::Ready(None);
        }
        self.read(cx)
    }

    fn read(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Stopped>>> {
        let mut payload = self.payload.borrow_mut();
        let Some(payload) = payload.as_mut() else { return Poll::Ready(Some(Err(Stopped))) };
        let polled = Pin::new(payload).poll_next(cx);
        self.waiting.set(polled.is_pending());
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(item) => {
                self.progress.set(Instant::now());
                let judged = self.judge(item);
                if self.state.get() != State::Open {
                    drop(self.permit.take());
                }
                Poll::Ready(judged)
            }
        }
    }

    fn judge(&self, item: Option<Result<Bytes, PayloadError>>) -> Option<Result<Bytes, Stopped>> {
        let chunk = match item {
            Some(Ok(chunk)) => chunk,
            Some(Err(_)) => {
                self.state.set(State::Broken);
                return Some(Err(Stopped));
            }
            None => {
                self.state.set(State::Done);
                return None;
            }
        };
        let passed = self.passed.get() + chunk.len() as u64;
        self.passed.set(passed);
        if passed > self.limit {
            self.state.set(State::TooLarge);
            return Some(Err(Stopped));
        }
        if self.length == Some(passed) {
            self.state.set(State::Done);
        }
        Some(Ok(chunk))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        match &self.0 {
            None => Poll::Ready(None),
            Some(feed) => feed.poll(cx).map(|item| item.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|feed| feed.is_sent())
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_ref().map(|feed| feed.length) {
            None => SizeHint::with_exact(0),
            Some(Some(length)) => SizeHint::with_exact(length),
            Some(None) => SizeHint::default(),
        }
    }
}
