//! Bodies, within limits of size and time.

use super::held::Held;
use crate::error::{Code, Error, Result};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::Bytes;
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt};
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// JSON and form bodies hold at most this many bytes.
pub const FORM_LIMIT: usize = 2 << 20;

/// A body must be there within this time, and its next piece within that.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const STALL: Duration = Duration::from_secs(10);

/// Of a refused body so much is still read, so that the client comes to reading the answer.
pub(super) const DRAIN_LIMIT: usize = 32 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The whole body, at most `limit` bytes, within what all bodies together may hold in memory.
pub async fn read_body(mut payload: Payload, headers: &HeaderMap, limit: usize) -> Result<Held> {
    let read = async {
        if announced(headers).is_some_and(|n| n > limit) {
            return Err(Error::from(Code::BodyTooLarge));
        }
        let mut body = Held::with_capacity(announced(headers).unwrap_or(0));
        let mut left = limit;
        let mut pieces = pin!(patiently(&mut payload));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(broken)?;
            left = left.checked_sub(piece.len()).ok_or(Code::BodyTooLarge)?;
            body.push(&piece).await?;
        }
        Ok(body)
    };
    let outcome = read.await;
    // What broke off has nothing more to read.
    if outcome.as_ref().is_err_and(|e| e.code() != Code::BadBody) {
        drain(payload).await;
    }
    outcome
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok())
}

/// A body's pieces; one that does not come in time fails as `TimedOut`.
pub(super) fn patiently<P>(payload: P) -> impl Stream<Item = Result<Bytes, PayloadError>>
where
    P: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let end = Instant::now() + BODY_TIMEOUT;
    unfold(payload, move |mut payload| async move {
        let due = end.min(Instant::now() + STALL);
        let late = || Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into())));
        let piece = timeout_at(due, payload.next()).await.unwrap_or_else(|_| late());
        piece.map(|piece| (piece, payload))
    })
    // Multipart asks again after the end.
    .fuse()
}

/// A body as a stream that fails with `Overflow` past `limit` bytes, and with `TimedOut` where it stalls.
pub(super) fn limited(payload: Payload, limit: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    let mut left = limit;
    patiently(payload).map(move |chunk| {
        let chunk = chunk?;
        left = left.checked_sub(chunk.len()).ok_or(PayloadError::Overflow)?;
        Ok(chunk)
    })
}

/// Reads off a refused body, within limits.
pub async fn drain(mut payload: Payload) {
    let rest = async {
        let mut read = 0;
        while let Some(Ok(chunk)) = payload.next().await {
            read += chunk.len();
            if read > DRAIN_LIMIT {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
}

pub(super) fn broken(e: PayloadError) -> Error {
    match e {
        PayloadError::Overflow => Code::BodyTooLarge.into(),
        PayloadError::Io(e) if e.kind() == io::ErrorKind::TimedOut => {
            Error::new(Code::BadBody, "the request's body did not arrive in time")
        }
        e => Error::new(Code::BadBody, "the request's body broke off").because(e.to_string()),
    }
}
