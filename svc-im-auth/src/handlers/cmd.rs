//! `/cmd?cmd=…` (document 003).

use super::HandledC;
use crate::domain::Core;
use crate::store::accounts::AccountRow;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service_kit::media::Links;
use service_kit::params::{self, Params};
use service_kit::wire::{Nothing, Reply, RetReason};
use service_kit::{Code, Error, Result};
use shared_models::{Text, Uid};
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CmdResponse {
    Info(UserInfo),
    Done(Nothing),
}

/// Names and types are those of the document's example; its table's `nickanme` is a slip.
#[derive(Serialize, ToSchema)]
pub struct UserInfo {
    username: String,
    nickname: String,
    desc: String,
    thumb: String,
    expert_status: i64,
    /// A number as text, as in the example.
    point: String,
    is_public_number: bool,
    is_admin: bool,
    yue: i64,
    jifen: i64,
}

/// For the API document only: each command reads its own.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what the commands read")]
struct CmdParameters {
    #[param(inline)]
    cmd: Command,
    username: Uid,
    /// With `reg_user`.
    password: Option<Text<128, 8>>,
    /// With `reg_user`.
    nickname: Option<Text<64>>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "names the commands")]
enum Command {
    GetUserinfo,
    RegUser,
}

#[derive(Deserialize)]
struct UserInfoRequest {
    username: Uid,
}

#[derive(Deserialize)]
struct RegisterRequest {
    username: Uid,
    password: Text<128, 8>,
    nickname: Option<Text<64>>,
}

/// `GET|POST /cmd?cmd=…`
#[utoipa::path(get, path = "/cmd", params(CmdParameters),
    summary = "Commands: `get_userinfo` reads a profile, `reg_user` registers oneself",
    description = "`reg_user` while `im_auth.open_registration` is on; not names of 32 hex digits, not administrators'.",
    responses((status = 200, body = CmdResponse, example = json!({"username": "18516271364", "nickname": "9527",
        "desc": "desc", "thumb": "resource.haorenao.cn/static/tea/threadimages/xx1.png", "expert_status": 0,
        "point": "1335", "is_public_number": false, "is_admin": false, "yue": 0, "jifen": 0}))),
    extensions(("x-fails" = json!(["BadParameter", "UnknownUser", "AlreadyRegistered", "NameReserved",
        "RegistrationClosed"]))))]
pub async fn cmd(
    core: Data<Core>,
    links: Links,
    params: Params<RetReason, Map<String, Value>>,
) -> HandledC<CmdResponse> {
    let params = params.into_inner();
    core.apps.system().admit()?;
    let answer = match params.get("cmd").and_then(Value::as_str) {
        Some("get_userinfo") => CmdResponse::Info(get_userinfo(&core, &links, params::typed(params)?).await?),
        Some("reg_user") => {
            reg_user(&core, params::typed(params)?).await?;
            CmdResponse::Done(Nothing {})
        }
        Some(_) => return Err(Error::new(Code::BadParameter, "cmd: unknown").into()),
        None => return Err(Error::parameter("cmd", "missing").into()),
    };
    Ok(Reply::new(answer))
}

async fn get_userinfo(core: &Core, links: &Links, req: UserInfoRequest) -> Result<UserInfo> {
    let row = core.find_account(core.system_key(req.username)).await?.ok_or(Code::UnknownUser)?;
    let is_admin = core.profile(&row)?.is_admin;
    let AccountRow { uid, name, sign, icon, expert_status, point, is_public_number, yue, jifen, .. } = row;
    Ok(UserInfo {
        username: uid,
        nickname: name,
        desc: sign,
        thumb: links.shown(&icon),
        expert_status,
        point,
        is_public_number,
        is_admin,
        yue,
        jifen,
    })
}

async fn reg_user(core: &Core, req: RegisterRequest) -> Result<()> {
    let nickname = req.nickname.map(Text::into_inner).unwrap_or_default();
    core.register_oneself(req.username, req.password.into_inner(), nickname).await
}
