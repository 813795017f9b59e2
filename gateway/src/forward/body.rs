//! Bodies of answers, a service's or the gateway's own.

use super::download::Download;
use super::drain::Drain;
use crate::conn::Busy;
use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body on its way to the client. The connection counts as busy while it lives.
pub struct Body {
    content: Content,
    _busy: Option<Busy>,
}

enum Content {
    /// Nothing follows; of an answer to HEAD the size that there would be.
    Nothing(BodySize),
    Whole {
        bytes: Option<Bytes>,
        size: u64,
        /// What is left of the request's body, read and thrown away so that the client gets to read this.
        drain: Option<Box<Drain>>,
    },
    Stream(Box<Download>),
}

impl Body {
    pub fn nothing(size: BodySize) -> Self {
        Self::of(Content::Nothing(size))
    }

    pub fn whole(bytes: Bytes, drain: Option<Drain>) -> Self {
        let size = bytes.len() as u64;
        Self::of(Content::Whole { bytes: Some(bytes), size, drain: drain.map(Box::new) })
    }

    pub fn stream(download: Download) -> Self {
        Self::of(Content::Stream(Box::new(download)))
    }

    fn of(content: Content) -> Self {
        Self { content, _busy: None }
    }

    #[must_use]
    pub fn while_busy(self, busy: Busy) -> Self {
        if let Content::Stream(download) = &self.content {
            busy.until(download.end());
        }
        Self { _busy: Some(busy), ..self }
    }
}

impl MessageBody for Body {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        match &self.content {
            Content::Nothing(size) => *size,
            Content::Whole { size, .. } => BodySize::Sized(*size),
            Content::Stream(download) => download.size(),
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.content {
            Content::Nothing(_) => Poll::Ready(None),
            Content::Whole { bytes, drain, .. } => match (bytes.take(), drain) {
                (Some(bytes), _) => Poll::Ready(Some(Ok(bytes))),
                (None, Some(drain)) => drain.poll(cx).map(|()| None),
                (None, None) => Poll::Ready(None),
            },
            Content::Stream(download) => download.poll(cx),
        }
    }
}
