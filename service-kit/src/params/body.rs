//! Bodies, within limits of size and time.

use crate::error::{Code, Error, Result};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use std::time::Duration;

/// JSON and form bodies hold at most this many bytes.
pub const FORM_LIMIT: usize = 2 << 20;

/// A body must be there within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Of a refused body so much is still read, so that the client comes to reading the answer.
pub(super) const DRAIN_LIMIT: usize = 32 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The whole body, at most `limit` bytes.
pub async fn read_body(mut payload: Payload, headers: &HeaderMap, limit: usize) -> Result<Bytes> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    let read = async {
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(64 << 10));
        if announced.is_some_and(|n| n > limit) {
            return Err(Error::from(Code::BodyTooLarge));
        }
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(broken)?;
            if body.len() + chunk.len() > limit {
                return Err(Code::BodyTooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let body = in_time(read).await;
    if body.as_ref().is_err_and(|e| e.code() == Code::BodyTooLarge) {
        drain(payload).await;
    }
    body
}

/// A body as a stream that fails with `Overflow` past `limit` bytes.
pub(super) fn limited(payload: Payload, limit: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    let mut left = limit;
    payload.map(move |chunk| {
        let chunk = chunk?;
        left = left.checked_sub(chunk.len()).ok_or(PayloadError::Overflow)?;
        Ok(chunk)
    })
}

pub(super) async fn in_time<T>(read: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Error::new(Code::BadBody, "the request's body did not arrive in time");
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_| Err(late()))
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

fn broken(e: PayloadError) -> Error {
    Error::new(Code::BadBody, "the request's body broke off").because(e.to_string())
}
