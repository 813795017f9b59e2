//! A service's API document, for its own listener; the gateway merges those of all services.

use crate::openapi::{Document, PATH};
use crate::wire::{ErrCodeMsg, get, serve_calls};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

pub(super) fn route(cfg: &mut ServiceConfig, document: Option<Document>) {
    if let Some(document) = document {
        serve_calls(cfg.app_data(Data::new(document)), vec![get::<ErrCodeMsg, _, _>(PATH, read)]);
    }
}

async fn read(req: HttpRequest, document: Data<Document>) -> HttpResponse {
    let known = req.headers().get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == document.etag().as_bytes());
    let mut answer = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    answer
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, document.etag()));
    if known { answer.finish() } else { answer.body(document.body()) }
}
