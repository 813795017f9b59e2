//! Courses that were bought (document 001, V), and activity records (contract §1).

use super::Handled;
use super::fields::given;
use crate::domain::{Activity, Amount, Core, Course, Kind, LnMd5, Moment};
use actix_web::web::Data;
use serde::Deserialize;
use service_kit::Error;
use service_kit::params::Params;
use service_kit::wire::{RcRm, Reply};
use shared_models::{Text, TuserKey};
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SyncValidityRequest {
    tuser_key: TuserKey,
    app_id: Option<String>,
    #[param(value_type = String, pattern = "^[0-9a-fA-F]{32}$", example = "0cc175b9c0f1b6a831c399e269772661")]
    ln_md5: LnMd5,
    /// The document demands it, the shipped iOS app never sends it (`semantics.md` E.3).
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, pattern = "^([0-9]+([.][0-9]{1,2})?)?$")]
    ln_price: Option<Amount>,
    /// `yyyy-MM-dd HH:mm:ss`
    #[param(value_type = String, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$", example = "2016-04-01 01:01:01")]
    start_time: Moment,
    #[param(value_type = String, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$", example = "2016-05-01 01:01:01")]
    end_time: Moment,
}

/// `GET|POST /tu_sync_lnvalidth_from_tn.action`
#[utoipa::path(get, path = "/tu_sync_lnvalidth_from_tn.action", params(SyncValidityRequest),
    summary = "Stores from when to when a course that was bought is valid",
    description = "Registers an unknown key. The same course again replaces what is stored.",
    responses((status = 200)), extensions(("x-fails" = json!(["BadParameter", "LimitReached"]))))]
pub async fn sync_validity(core: Data<Core>, params: Params<RcRm, SyncValidityRequest>) -> Handled {
    let req = params.into_inner();
    let app = core.app(req.app_id.as_deref())?;
    let course = Course { id: req.ln_md5, price: req.ln_price, start: req.start_time, end: req.end_time };
    core.sync_course(app.id.clone(), req.tuser_key, course).await?;
    Ok(Reply::done())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SyncRecordRequest {
    tuser_key: TuserKey,
    app_id: Option<String>,
    #[param(value_type = String,
        pattern = "^(recharge|feedback|location|payment|consumption|click|comment|purchase)$", example = "click")]
    kind: Text<64>,
    record_id: Text<64, 1>,
    subject: Option<Text<64>>,
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, pattern = "^([0-9]+([.][0-9]{1,2})?)?$")]
    amount: Option<Amount>,
    /// `yyyy-MM-dd HH:mm:ss`; now if absent.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, pattern = "^([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})?$")]
    occurred_at: Option<Moment>,
}

/// `GET|POST /tu_sync_record_from_tn.action`
#[utoipa::path(get, path = "/tu_sync_record_from_tn.action", params(SyncRecordRequest),
    summary = "Stores one activity of a terminal user",
    description = "Registers an unknown key. The same `record_id` of the same kind again replaces what is stored.",
    responses((status = 200)), extensions(("x-fails" = json!(["BadParameter", "LimitReached"]))))]
pub async fn sync_record(core: Data<Core>, params: Params<RcRm, SyncRecordRequest>) -> Handled {
    let req = params.into_inner();
    let app = core.app(req.app_id.as_deref())?;
    let kind = Kind::from_name(&req.kind).ok_or_else(|| Error::parameter("kind", "no such kind"))?;
    let activity = Activity {
        kind,
        record_id: req.record_id.into_inner(),
        subject: req.subject.map(Text::into_inner).unwrap_or_default(),
        amount: req.amount,
        occurred_at: req.occurred_at,
    };
    core.sync_activity(app.id.clone(), req.tuser_key, activity).await?;
    Ok(Reply::done())
}
