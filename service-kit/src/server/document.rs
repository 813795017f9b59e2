//! A service's API document, for its own listener; the gateway merges those of all services.

use crate::error::{Error, Result};
use crate::openapi::{Document, PATH, apart};
use crate::wire::{ErrCodeMsg, Failure, get, serve_calls};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Made when it is first asked for, which in most processes it never is.
#[derive(Clone)]
pub struct LazyDocument(Arc<Lazy>);

struct Lazy {
    make: fn() -> Document,
    made: OnceCell<Document>,
}

impl LazyDocument {
    pub fn new(make: fn() -> Document) -> Self {
        Self(Arc::new(Lazy { make, made: OnceCell::new() }))
    }

    async fn get(&self) -> Result<&Document> {
        self.0.made.get_or_try_init(|| apart(self.0.make)).await.map_err(Error::internal)
    }
}

pub(super) fn route(cfg: &mut ServiceConfig, document: Option<LazyDocument>) {
    if let Some(document) = document {
        serve_calls(cfg.app_data(Data::new(document)), vec![get::<ErrCodeMsg, _, _>(PATH, read)]);
    }
}

async fn read(
    req: HttpRequest,
    document: Data<LazyDocument>,
) -> std::result::Result<HttpResponse, Failure<ErrCodeMsg>> {
    let document = document.get().await?;
    let known = req.headers().get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == document.etag().as_bytes());
    let mut answer = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    answer
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, document.etag()));
    Ok(if known { answer.finish() } else { answer.body(document.body()) })
}
