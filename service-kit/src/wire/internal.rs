use super::{Dialect, Envelope};
use crate::error::{Code, Error};
use actix_web::http::StatusCode;
use serde::Serialize;
use shared_models::internal::Failure;

/// The internal API: bare JSON, failures with the HTTP status of their kind.
pub struct Internal;

impl Envelope for Internal {
    const DIALECT: Dialect = Dialect::Internal;

    fn success<T: Serialize>(payload: T) -> impl Serialize {
        payload
    }

    fn failure(error: &Error) -> impl Serialize {
        Failure { code: error.code().name().to_owned(), detail: error.detail().map(str::to_owned) }
    }

    fn status(code: Code) -> StatusCode {
        StatusCode::from_u16(code.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
