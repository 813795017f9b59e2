//! Answers with a list of any length, written piece by piece: memory stays bounded, and a slow reader holds nothing
//! but his own connection.

use super::{Envelope, Failure};
use crate::error::{Error, Result};
use actix_web::body::BoxBody;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::Serialize;
use std::marker::PhantomData;

/// A list: its first piece, which is there, and what comes after it.
pub struct Chunks<T> {
    pub first: Vec<T>,
    pub rest: Option<BoxStream<'static, Result<Vec<T>>>>,
}

impl<T: 'static> Chunks<T> {
    /// Each entry as something else.
    pub fn map<U>(self, shown: impl Fn(T) -> U + Clone + Send + 'static) -> Chunks<U> {
        let first = self.first.into_iter().map(shown.clone()).collect();
        let rest = self.rest.map(|rest| {
            let shown = move |chunk: Vec<T>| chunk.into_iter().map(shown.clone()).collect();
            rest.map(move |chunk| chunk.map(&shown)).boxed()
        });
        Chunks { first, rest }
    }
}

/// Success with a payload and, last in the same object, a list. A piece that fails after the first byte was sent
/// cuts the connection, so that no client takes part of a list for the whole.
pub struct ListReply<W, H, T> {
    head: H,
    field: &'static str,
    chunks: Chunks<T>,
    family: PhantomData<W>,
}

impl<W, H, T> ListReply<W, H, T> {
    pub fn new(head: H, field: &'static str, chunks: Chunks<T>) -> Self {
        Self { head, field, chunks, family: PhantomData }
    }
}

impl<W: Envelope, H: Serialize, T: Serialize + 'static> Responder for ListReply<W, H, T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        let Self { head, field, chunks, .. } = self;
        let opening = opening::<W>(head, field).and_then(|mut opening| {
            entries(&mut opening, &chunks.first, true)?;
            Ok(opening)
        });
        let mut opening = match opening {
            Ok(opening) => opening,
            Err(e) => return Failure::<W>::from(Error::internal(e)).error_response(),
        };
        let mut answer = HttpResponse::Ok();
        answer.insert_header((CONTENT_TYPE, W::CONTENT_TYPE));
        let Some(rest) = chunks.rest else {
            opening.extend_from_slice(b"]}");
            return answer.body(opening);
        };
        let rest = rest.map(|chunk| {
            let written = chunk.and_then(|chunk| {
                let mut out = Vec::new();
                // There is a rest only after a first piece with entries.
                entries(&mut out, &chunk, false).map_err(Error::internal)?;
                Ok(Bytes::from(out))
            });
            written.inspect_err(|e| log::warn!("a list broke off: {}", e.chain()))
        });
        let whole =
            stream::iter([Ok(Bytes::from(opening))]).chain(rest).chain(stream::iter([Ok(Bytes::from_static(b"]}"))]));
        answer.streaming(whole)
    }
}

/// The envelope and the payload, left open inside the list.
fn opening<W: Envelope>(head: impl Serialize, field: &str) -> serde_json::Result<Vec<u8>> {
    let mut out = serde_json::to_vec(&W::success(head))?;
    // An envelope is an object and never empty.
    out.pop();
    out.extend_from_slice(format!(",\"{field}\":[").as_bytes());
    Ok(out)
}

fn entries<T: Serialize>(out: &mut Vec<u8>, entries: &[T], are_first: bool) -> serde_json::Result<()> {
    for (n, entry) in entries.iter().enumerate() {
        if n > 0 || !are_first {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::error::Code;
    use crate::wire::{Nothing, RetReason};
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    #[derive(Serialize)]
    struct Head {
        id: i64,
    }

    async fn body<H: Serialize>(head: H, chunks: Chunks<i64>) -> std::result::Result<String, ()> {
        let reply = ListReply::<RetReason, H, i64>::new(head, "list", chunks);
        let answer = reply.respond_to(&TestRequest::default().to_http_request());
        to_bytes(answer.into_body()).await.map(|b| String::from_utf8(b.to_vec()).unwrap()).map_err(drop)
    }

    fn rest(pieces: Vec<Result<Vec<i64>>>) -> Option<BoxStream<'static, Result<Vec<i64>>>> {
        Some(stream::iter(pieces).boxed())
    }

    #[actix_web::test]
    async fn lists_stand_last_in_the_envelope_whole_or_in_pieces() {
        let text = body(Nothing {}, Chunks { first: vec![], rest: None }).await.unwrap();
        assert_eq!(text, r#"{"ret":"ok","reason":"","list":[]}"#);
        let text = body(Head { id: 7 }, Chunks { first: vec![1, 2], rest: None }).await.unwrap();
        assert_eq!(text, r#"{"ret":"ok","reason":"","id":7,"list":[1,2]}"#);
        let pieces = rest(vec![Ok(vec![3, 4]), Ok(vec![])]);
        let text = body(Head { id: 7 }, Chunks { first: vec![1, 2], rest: pieces }).await.unwrap();
        assert_eq!(text, r#"{"ret":"ok","reason":"","id":7,"list":[1,2,3,4]}"#);
    }

    #[actix_web::test]
    async fn a_piece_that_fails_breaks_the_body_off() {
        let pieces = rest(vec![Ok(vec![3]), Err(Code::Busy.into()), Ok(vec![5])]);
        assert!(body(Nothing {}, Chunks { first: vec![1], rest: pieces }).await.is_err());
    }
}
