//! How long a request may take: one timer, set anew only when it fires.

use super::upload::{Feed, State};
use crate::settings::Timeouts;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// A request's time.
#[derive(Clone, Copy)]
pub struct Deadline {
    /// When all of it must be over.
    pub end: Instant,
    answer: Duration,
    pub stall: Duration,
}

/// Who was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooSlow {
    Client,
    Service,
}

impl Deadline {
    pub fn new(began: Instant, timeouts: &Timeouts) -> Self {
        Self {
            end: began + Duration::from(timeouts.request),
            answer: timeouts.answer.into(),
            stall: timeouts.stall.into(),
        }
    }

    /// Waits for the head of an answer.
    pub async fn watch<F: Future>(&self, feed: Option<&Feed>, answer: F) -> Result<F::Output, TooSlow> {
        let sent = Instant::now();
        let mut answer = pin!(answer);
        let first = (sent + self.stall.min(self.answer)).min(self.end);
        let mut timer = pin!(sleep_until(first.into()));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            while timer.as_mut().poll(cx).is_ready() {
                match self.next(feed, sent, Instant::now()) {
                    Ok(next) => timer.as_mut().reset(next.into()),
                    Err(slow) => return Poll::Ready(Err(slow)),
                }
            }
            Poll::Pending
        })
        .await
    }

    /// When to look again, or who is too slow.
    fn next(&self, feed: Option<&Feed>, sent: Instant, now: Instant) -> Result<Instant, TooSlow> {
        let (due, slow) = match feed {
            Some(feed) if feed.state() == State::Open => {
                let slow = if feed.waits_for_client() { TooSlow::Client } else { TooSlow::Service };
                (feed.progress() + self.stall, slow)
            }
            Some(feed) => (feed.progress().max(sent) + self.answer, TooSlow::Service),
            None => (sent + self.answer, TooSlow::Service),
        };
        let due = due.min(self.end);
        if due <= now { Err(slow) } else { Ok(due) }
    }
}
