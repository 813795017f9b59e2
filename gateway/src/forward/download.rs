//! A service's body on its way to the client.

use super::deadline::Deadline;
use super::drain::Drain;
use super::upload::Feed;
use crate::metrics::GatewayMetrics;
use crate::upstream::Lease;
use actix_http::body::BodySize;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// A body that is passed on as it comes. If it breaks, the client's connection is cut, which is the only way left to
/// tell; if the client leaves, the service's connection is. So they are when the request's time is over, however
/// steadily bytes pass: who reads slowly would hold both. (Who does not ask for more at all is found by `conn`.)
pub struct Download {
    first: Option<Bytes>,
    rest: Incoming,
    size: BodySize,
    line: Option<Line>,
    drain: Option<Drain>,
    deadline: Deadline,
    progress: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    metrics: GatewayMetrics,
}

/// The connection that an answer comes by, and the request's body that may still go the other way.
pub struct Line {
    pub lease: Lease,
    pub feed: Option<Rc<Feed>>,
    /// The connection may be used again.
    pub keep: bool,
}

impl Line {
    /// The answer is over. If the request's body is not, it is of no more use.
    pub fn end(self) -> Option<Drain> {
        let open = self.feed.as_ref().filter(|feed| !feed.is_sent());
        match open {
            None if self.keep => self.lease.give_back(),
            None => {}
            Some(feed) => return feed.take().map(Drain::new),
        }
        None
    }
}

impl Download {
    pub fn new(
        first: Option<Bytes>,
        rest: Incoming,
        size: BodySize,
        line: Line,
        deadline: Deadline,
        metrics: GatewayMetrics,
    ) -> Self {
        let progress = Instant::now();
        Self { first, rest, size, line: Some(line), drain: None, deadline, progress, timer: None, metrics }
    }

    pub fn size(&self) -> BodySize {
        self.size
    }

    pub fn end(&self) -> Instant {
        self.deadline.end
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.line.is_some() && self.deadline.end <= Instant::now() {
            return Poll::Ready(Some(Err(self.broken(io::ErrorKind::TimedOut.into()))));
        }
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(drain) = &mut self.drain {
            return drain.poll(cx).map(|()| None);
        }
        loop {
            match Pin::new(&mut self.rest).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on: few clients know them, and the server library writes none.
                    let Ok(chunk) = frame.into_data() else { continue };
                    self.progress = Instant::now();
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(self.broken(io::Error::other(e))))),
                Poll::Ready(None) => {
                    self.drain = self.line.take().and_then(Line::end);
                    return match &mut self.drain {
                        Some(drain) => drain.poll(cx).map(|()| None),
                        None => Poll::Ready(None),
                    };
                }
                Poll::Pending => return self.poll_timer(cx).map(|e| Some(Err(e))),
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let due = (self.progress + self.deadline.stall).min(self.deadline.end);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if due <= Instant::now() {
                return Poll::Ready(self.broken(io::ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(due.into());
        }
    }

    fn broken(&mut self, e: io::Error) -> io::Error {
        if let Some(line) = self.line.take() {
            self.metrics.broken();
            log::warn!("answer of {} broke off: {e}", line.lease.pool.socket());
        }
        e
    }
}
