//! `ua_reg_user_from_hp`: of no document here, but shipped iOS apps call it when the status call says "-1"
//! (`semantics.md` E.1). Answers bare text.

use crate::domain::Core;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use service_kit::params::{read, typed};
use service_kit::wire::Dialect;
use service_kit::{Error, Result};
use shared_models::{Text, TuserKey};
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RegisterRequest {
    user_key: TuserKey,
    app_id: Option<String>,
    /// Only `reg` there is.
    #[serde(rename = "type")]
    #[param(value_type = String, pattern = "^reg$")]
    action: Text<64>,
}

/// `GET|POST /ua_reg_user_from_hp.action`
#[utoipa::path(get, path = "/ua_reg_user_from_hp.action", params(RegisterRequest),
    summary = "Registers a terminal user; answers bare text",
    responses((status = 200, description = "0: registered now, 1: was registered, -1: anything is wrong",
        content_type = "text/plain", body = String)),
    extensions(("x-bare" = json!(true))))]
pub async fn register(core: Data<Core>, req: HttpRequest, payload: Payload) -> HttpResponse {
    let answer = match registered(&core, &req, payload).await {
        Ok(true) => "0",
        Ok(false) => "1",
        Err(e) => {
            let level = if e.kind().is_fault() { log::Level::Warn } else { log::Level::Debug };
            log::log!(level, "{}", e.chain());
            "-1"
        }
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(answer)
}

async fn registered(core: &Core, req: &HttpRequest, payload: Payload) -> Result<bool> {
    let map = read(Dialect::RcRm, req, payload.into_inner()).await?;
    let RegisterRequest { user_key, app_id, action } = typed(map)?;
    core.app(app_id.as_deref())?;
    if &*action != "reg" {
        return Err(Error::parameter("type", "must be reg"));
    }
    core.register(user_key).await
}
