//! Handlers' answers: [`Reply`] and [`Failure`], each in the envelope of its family.

use super::{Dialect, Envelope};
use crate::error::{Code, Error, Kind};
use crate::rate::retry_after;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use serde::Serialize;
use std::fmt;
use std::marker::PhantomData;

/// Carries the HTTP status that a failure would have, where the dialect answers 200.
pub const FAILURE_HEADER: HeaderName = HeaderName::from_static("x-kith-failure");

/// An empty payload. (What serde flattens must be a struct or a map, not a unit.)
#[derive(Serialize, utoipa::ToSchema)]
pub struct Nothing {}

/// A handler's outcome in the words of family `W`.
pub type Handled<W, T = Nothing> = Result<Reply<W, T>, Failure<W>>;

/// Success with a payload beside the envelope's keys.
pub struct Reply<W, T> {
    payload: T,
    family: PhantomData<W>,
}

impl<W, T> Reply<W, T> {
    pub fn new(payload: T) -> Self {
        Self { payload, family: PhantomData }
    }
}

impl<W> Reply<W, Nothing> {
    /// Success with nothing to add.
    pub fn done() -> Self {
        Self::new(Nothing {})
    }
}

impl<W: Envelope, T: Serialize> Responder for Reply<W, T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        match serde_json::to_vec(&W::success(self.payload)) {
            Ok(body) => {
                let mut answer = HttpResponse::Ok();
                answer.insert_header((CONTENT_TYPE, W::CONTENT_TYPE));
                if let Some(cache) = W::CACHE {
                    answer.insert_header((CACHE_CONTROL, cache));
                }
                answer.body(body)
            }
            Err(e) => Failure::<W>::from(Error::internal(e)).error_response(),
        }
    }
}

/// An [`Error`] on its way to the client in the envelope of family `W`.
pub struct Failure<W> {
    error: Error,
    family: PhantomData<W>,
}

impl<W, E> From<E> for Failure<W>
where
    Error: From<E>,
{
    fn from(e: E) -> Self {
        Self { error: e.into(), family: PhantomData }
    }
}

impl<W> fmt::Debug for Failure<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl<W> fmt::Display for Failure<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

/// The status that a service answers with: 200 whenever it judged the request (contract §0).
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::UnknownPath => StatusCode::NOT_FOUND,
        Code::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::OK,
    }
}

/// How a request failed, for the access log and the metrics.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub dialect: Dialect,
    pub code: Code,
}

impl<W: Envelope> ResponseError for Failure<W> {
    fn status_code(&self) -> StatusCode {
        W::status(self.error.code())
    }

    /// The one place that logs a failure: faults with all their causes, the rest for debugging.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        let code = self.error.code();
        if code.kind() == Kind::Internal {
            log::error!("{}", self.error.chain());
        } else if code.kind().is_fault() {
            log::warn!("{}", self.error.chain());
        } else {
            log::debug!("{}", self.error.chain());
        }
        let (body, content_type) = W::DIALECT.failure(&self.error);
        let mut answer = HttpResponse::build(self.status_code());
        answer.insert_header((CONTENT_TYPE, content_type));
        if let Some(cache) = W::CACHE {
            answer.insert_header((CACHE_CONTROL, cache));
        }
        if code.kind().is_fault() || matches!(code.kind(), Kind::TooLarge | Kind::TooMany) {
            answer.insert_header((FAILURE_HEADER, HeaderValue::from(code.kind().status())));
        }
        if let Some(seconds) = retry_after(&self.error) {
            answer.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        let mut answer = answer.body(body);
        answer.extensions_mut().insert(Outcome { dialect: W::DIALECT, code });
        answer
    }
}

/// The answer on an unknown path, in the dialect of the path.
pub async fn unknown_path(req: HttpRequest) -> HttpResponse {
    match super::Dialect::of_path(req.path()) {
        super::Dialect::RcRm => Failure::<super::RcRm>::from(Code::UnknownPath).error_response(),
        super::Dialect::ErrCodeMsg | super::Dialect::Internal => {
            Failure::<super::ErrCodeMsg>::from(Code::UnknownPath).error_response()
        }
        super::Dialect::RetReason => Failure::<super::RetReason>::from(Code::UnknownPath).error_response(),
        super::Dialect::StatusCodeMsg => Failure::<super::StatusCodeMsg>::from(Code::UnknownPath).error_response(),
    }
}
