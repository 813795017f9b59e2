//! Reading the rest of a body that nobody wants, so that its sender, who may only read once it has sent everything,
//! gets to read the answer (contract §0).

use actix_http::Payload;
use futures_util::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

const MAX_BYTES: u64 = 32 << 20;
const MAX_TIME: Duration = Duration::from_secs(5);

/// A body that is thrown away.
pub struct Drain {
    payload: Payload,
    left: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Drain {
    pub fn new(payload: Payload) -> Self {
        Self { payload, left: MAX_BYTES, timer: None }
    }

    /// Ready when there is nothing left or enough was read.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match Pin::new(&mut self.payload).poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => match self.left.checked_sub(chunk.len() as u64) {
                    Some(left) => self.left = left,
                    None => return Poll::Ready(()),
                },
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(MAX_TIME)));
                    return timer.as_mut().poll(cx);
                }
            }
        }
    }

    /// Reads on for a moment: the connection of a client that sends a small body need not be closed then. Whether
    /// the body has come to its end.
    pub async fn briefly(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, poll_fn(|cx| self.poll(cx))).await.is_ok()
    }
}
