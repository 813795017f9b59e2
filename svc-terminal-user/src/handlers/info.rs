//! `/tu_ua_…`: status, courses and mappings of a terminal user (document 001).

use super::Handled;
use super::fields::given;
use crate::domain::{Core, LnMd5};
use actix_web::web::Data;
use serde::{Deserialize, Deserializer, Serialize, de};
use service_kit::Error;
use service_kit::params::Params;
use service_kit::wire::{RcRm, Reply};
use shared_models::schema::{TuserKeyOrEmpty, UidOrEmpty};
use shared_models::{Text, TuserKey, Uid};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GetStatusRequest {
    tuser_key: TuserKey,
    app_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct GetStatusResponse {
    /// "1" registered, with consumption data in the app; "-2" without; "-1" not registered.
    #[schema(pattern = "^(1|-1|-2)$")]
    rs: &'static str,
}

/// `GET|POST /tu_ua_get_status_from_tn.action`
#[utoipa::path(get, path = "/tu_ua_get_status_from_tn.action", params(GetStatusRequest),
    summary = "Whether a terminal user is registered, and whether he bought anything in the app",
    responses((status = 200, body = GetStatusResponse, example = json!({"rs": "-1"}))),
    extensions(("x-fails" = json!(["BadParameter"]))))]
pub async fn get_status(core: Data<Core>, params: Params<RcRm, GetStatusRequest>) -> Handled<GetStatusResponse> {
    let req = params.into_inner();
    let app = core.app(req.app_id.as_deref())?;
    let rs = match core.status(app.id.clone(), req.tuser_key).await? {
        None => "-1",
        Some(true) => "1",
        Some(false) => "-2",
    };
    Ok(Reply::new(GetStatusResponse { rs }))
}

/// Parameter `type`.
#[derive(Clone, Copy, ToSchema)]
enum Topic {
    #[schema(rename = "lnvalidth")]
    Validity,
    #[schema(rename = "tuserurms")]
    Mapping,
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Self::Validity => "lnvalidth",
            Self::Mapping => "tuserurms",
        }
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match &*Text::<64>::deserialize(d)? {
            "lnvalidth" => Ok(Self::Validity),
            "tuserurms" => Ok(Self::Mapping),
            _ => Err(de::Error::custom("must be lnvalidth or tuserurms")),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GetInfoRequest {
    #[serde(rename = "type")]
    #[param(inline)]
    topic: Topic,
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<TuserKeyOrEmpty>)]
    tuser_key: Option<TuserKey>,
    app_id: Option<String>,
    /// Of the course, with `type=lnvalidth`.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, pattern = "^([0-9a-fA-F]{32})?$")]
    ln_md5: Option<LnMd5>,
    /// An account's, with `type=tuserurms`.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<UidOrEmpty>)]
    user_id: Option<Uid>,
}

#[derive(Serialize, ToSchema)]
pub struct GetInfoResponse {
    #[serde(rename = "type")]
    #[schema(pattern = "^(lnvalidth|tuserurms)$")]
    topic: &'static str,
    #[serde(rename = "isExisted")]
    #[schema(pattern = "^[01]$")]
    is_existed: &'static str,
    #[serde(flatten)]
    found: InfoFound,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum InfoFound {
    Nothing {},
    Validity {
        #[schema(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$")]
        start_time: String,
        #[schema(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$")]
        end_time: String,
    },
    Mapping {
        #[serde(skip_serializing_if = "Option::is_none")]
        tuser_key: Option<String>,
        user_id: String,
    },
}

impl GetInfoResponse {
    fn new(topic: Topic, found: Option<InfoFound>) -> Self {
        let is_existed = if found.is_some() { "1" } else { "0" };
        Self { topic: topic.name(), is_existed, found: found.unwrap_or(InfoFound::Nothing {}) }
    }
}

/// `GET|POST /tu_ua_get_info_from_tn.action`
#[utoipa::path(get, path = "/tu_ua_get_info_from_tn.action", params(GetInfoRequest),
    summary = "A course's validity, or the account that a key is bound to",
    description = "`type=lnvalidth` needs `tuser_key` and `ln_md5`, `type=tuserurms` needs `tuser_key` or `user_id`. \
                   Nothing there is a success with `isExisted` 0.",
    responses((status = 200, body = GetInfoResponse, example = json!({"type": "lnvalidth", "isExisted": "1",
        "start_time": "2016-04-01 01:01:01", "end_time": "2016-05-01 01:01:01"}))),
    extensions(("x-fails" = json!(["BadParameter"]))))]
pub async fn get_info(core: Data<Core>, params: Params<RcRm, GetInfoRequest>) -> Handled<GetInfoResponse> {
    let req = params.into_inner();
    let app = core.app(req.app_id.as_deref())?;
    let found = match req.topic {
        Topic::Validity => {
            let key = req.tuser_key.ok_or_else(|| Error::parameter("tuser_key", "missing"))?;
            let course = req.ln_md5.ok_or_else(|| Error::parameter("ln_md5", "missing"))?;
            let validity = core.validity(app.id.clone(), key, course).await?;
            validity.map(|(start_time, end_time)| InfoFound::Validity { start_time, end_time })
        }
        Topic::Mapping => {
            let shows_key = core.shows_key(req.tuser_key.is_some());
            let mapping = core.mapping(req.tuser_key, req.user_id).await?;
            mapping.map(|(key, user_id)| InfoFound::Mapping { tuser_key: shows_key.then_some(key), user_id })
        }
    };
    Ok(Reply::new(GetInfoResponse::new(req.topic, found)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SendMatrixInfoRequest {
    tuser_key: TuserKey,
    /// Only `tuserurms` there is.
    #[serde(rename = "type")]
    #[param(value_type = String, pattern = "^tuserurms$")]
    scene: Text<64>,
    /// The code: all that follows `matrix_tuserurms=` in what was scanned.
    para1: Text<256, 1>,
    app_id: Option<String>,
}

/// `GET|POST /tu_ua_send_matrix_info_from_tn.action`
#[utoipa::path(get, path = "/tu_ua_send_matrix_info_from_tn.action", params(SendMatrixInfoRequest),
    summary = "Binds a key to the account whose binding page showed the scanned code",
    description = "Registers an unknown key. A code is good once and for five minutes; the same code again from the \
                   same key is a success in that time.",
    responses((status = 200)),
    extensions(("x-fails" = json!(["BadParameter", "UnusableCode"]))))]
pub async fn send_matrix_info(core: Data<Core>, params: Params<RcRm, SendMatrixInfoRequest>) -> Handled {
    let req = params.into_inner();
    core.app(req.app_id.as_deref())?;
    if &*req.scene != "tuserurms" {
        return Err(Error::parameter("type", "must be tuserurms").into());
    }
    core.bind(req.tuser_key, &req.para1).await?;
    Ok(Reply::done())
}
