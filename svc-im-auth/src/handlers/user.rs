//! `/user/…`: online status and profiles for app servers (document 002 and later OpenIM).

use super::HandledB;
use crate::domain::Core;
use crate::store::accounts::{AccountRow, Changes};
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::media::Links;
use service_kit::params::Params;
use service_kit::presence::Platforms;
use service_kit::wire::{ErrCodeMsg, Reply};
use shared_models::internal::AccountKey;
use shared_models::schema::{GenderOrEmpty, IntOrEmpty};
use shared_models::{ByteText, Flag, Gender, Int, Many, Text, Uid, empty_is_absent};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct OnlineStatusRequest {
    #[serde(rename = "operationID")]
    #[expect(dead_code, reason = "required by the protocol, without effect")]
    operation_id: Text<256>,
    secret: Text<32, 1>,
    #[serde(rename = "userIDList")]
    #[schema(value_type = Vec<Uid>, max_items = 200)]
    user_ids: Many<Uid, 200>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnlineStatusResponse {
    success_result: Vec<UserStatus>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserStatus {
    #[serde(rename = "userID")]
    user_id: String,
    /// `online` or `offline`.
    #[schema(pattern = "^(online|offline)$")]
    status: &'static str,
    /// Only when online, in the order of platform numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detail_platform_status: Vec<PlatformStatus>,
}

#[derive(Serialize, ToSchema)]
struct PlatformStatus {
    #[schema(pattern = "^(IOS|Android|Windows|OSX|Web|MiniWeb|Linux)$")]
    platform: &'static str,
    #[schema(pattern = "^online$")]
    status: &'static str,
}

impl UserStatus {
    fn new(uid: Uid, platforms: Platforms) -> Self {
        Self {
            user_id: uid.into_inner(),
            status: if platforms.is_empty() { "offline" } else { "online" },
            detail_platform_status: platforms
                .iter()
                .map(|p| PlatformStatus { platform: p.name(), status: "online" })
                .collect(),
        }
    }
}

/// `POST /user/get_users_online_status`
#[utoipa::path(post, path = "/user/get_users_online_status", summary = "Who is online, and on which platforms",
    description = "In the order asked, duplicates kept; unknown users are offline.",
    request_body(content = OnlineStatusRequest, example = json!({"operationID": "545454",
        "userIDList": ["18349115126", "45", "17396220460", "sadsdf"], "secret": "tuoyun"})),
    responses((status = 200, body = OnlineStatusResponse, example = json!({"successResult": [
        {"userID": "18349115126", "status": "online",
            "detailPlatformStatus": [{"platform": "Android", "status": "online"}]},
        {"userID": "45", "status": "offline"},
        {"userID": "17396220460", "status": "online",
            "detailPlatformStatus": [{"platform": "Web", "status": "online"}]},
        {"userID": "sadsdf", "status": "offline"}]}))))]
pub async fn get_users_online_status(
    core: Data<Core>,
    params: Params<ErrCodeMsg, OnlineStatusRequest>,
) -> HandledB<OnlineStatusResponse> {
    let req = params.into_inner();
    let app = core.app_of_secret(&req.secret)?;
    let platforms = core.online(&app.id, &req.user_ids.0).await?;
    let success_result =
        req.user_ids.0.into_iter().zip(platforms).map(|(uid, platforms)| UserStatus::new(uid, platforms)).collect();
    Ok(Reply::new(OnlineStatusResponse { success_result }))
}

#[derive(Deserialize, ToSchema)]
pub struct UsersInfoRequest {
    secret: Text<32, 1>,
    #[serde(rename = "userIDList")]
    #[schema(value_type = Vec<Uid>, max_items = 200)]
    user_ids: Many<Uid, 200>,
}

#[derive(Serialize, ToSchema)]
pub struct UsersInfoResponse {
    /// In the order asked; unknown users are left out.
    data: Vec<UserInfo>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserProfile)]
struct UserInfo {
    uid: String,
    name: String,
    icon: String,
    #[schema(minimum = 0, maximum = 2)]
    gender: i32,
    mobile: String,
    birth: String,
    email: String,
    ex: String,
    region: String,
    sign: String,
}

impl UserInfo {
    fn new(row: AccountRow, links: &Links) -> Self {
        Self {
            uid: row.uid,
            name: row.name,
            icon: links.shown(&row.icon),
            gender: row.gender,
            mobile: row.mobile,
            birth: row.birth,
            email: row.email,
            ex: row.ex,
            region: row.region,
            sign: row.sign,
        }
    }
}

/// `POST /user/get_users_info`
#[utoipa::path(post, path = "/user/get_users_info", summary = "Profiles of users",
    description = "In the order asked; unknown users are left out.",
    request_body(content = UsersInfoRequest, example = json!({"secret": "tuoyun", "userIDList": ["d5645454517"]})),
    responses((status = 200, body = UsersInfoResponse, example = json!({"data": [{"uid": "d5645454517",
        "name": "张三", "icon": "https:oss.com.cn/head", "gender": 1, "mobile": "17812457845", "birth": "1998.12.15",
        "email": "xxxx@qq.com", "ex": "xxx", "region": "", "sign": ""}]}))))]
pub async fn get_users_info(
    core: Data<Core>,
    links: Links,
    params: Params<ErrCodeMsg, UsersInfoRequest>,
) -> HandledB<UsersInfoResponse> {
    let req = params.into_inner();
    let app = core.app_of_secret(&req.secret)?;
    let accounts = core.list_accounts(&app.id, &req.user_ids.0).await?;
    let data = accounts.into_iter().map(|row| UserInfo::new(row, &links)).collect();
    Ok(Reply::new(UsersInfoResponse { data }))
}

#[derive(Deserialize, ToSchema)]
pub struct UpdateUserInfoRequest {
    secret: Text<32, 1>,
    uid: Uid,
    name: Option<Text<64>>,
    icon: Option<ByteText<1024>>,
    #[serde(default, deserialize_with = "empty_is_absent")]
    #[schema(value_type = Option<GenderOrEmpty>)]
    gender: Option<Gender>,
    mobile: Option<Text<32>>,
    birth: Option<Text<16>>,
    email: Option<Text<64>>,
    ex: Option<Text<1024>>,
    region: Option<Text<64>>,
    sign: Option<Text<256>>,
    password: Option<Text<128, 8>>,
    #[serde(rename = "isAdmin", default, deserialize_with = "empty_is_absent")]
    is_admin: Option<Flag>,
    /// Document 003: whether the user is an expert (达人).
    #[serde(default, deserialize_with = "empty_is_absent")]
    #[schema(value_type = Option<IntOrEmpty>)]
    expert_status: Option<Int>,
    /// Document 003: points, text there.
    point: Option<Text<32>>,
    #[serde(default, deserialize_with = "empty_is_absent")]
    is_public_number: Option<Flag>,
    #[serde(default, deserialize_with = "empty_is_absent")]
    #[schema(value_type = Option<IntOrEmpty>)]
    yue: Option<Int>,
    #[serde(default, deserialize_with = "empty_is_absent")]
    #[schema(value_type = Option<IntOrEmpty>)]
    jifen: Option<Int>,
}

/// `POST /user/update_user_info`
#[utoipa::path(post, path = "/user/update_user_info", summary = "Changes a profile; absent fields stay",
    description = "A new password ends remembered sign-ins and sessions of the binding page, not tokens.",
    request_body(content = UpdateUserInfoRequest,
        example = json!({"secret": "tuoyun", "uid": "d5645454517", "sign": "hello"})),
    responses((status = 200)), extensions(("x-fails" = json!(["NotRegistered"]))))]
pub async fn update_user_info(
    core: Data<Core>,
    links: Links,
    params: Params<ErrCodeMsg, UpdateUserInfoRequest>,
) -> HandledB {
    let req = params.into_inner();
    let app = core.app_of_secret(&req.secret)?;
    let key = AccountKey { app_id: app.id.clone(), uid: req.uid };
    let changes = Changes {
        name: req.name.map(Text::into_inner),
        icon: req.icon.map(|icon| links.stored(&icon)),
        gender: req.gender.map(Gender::number),
        mobile: req.mobile.map(Text::into_inner),
        birth: req.birth.map(Text::into_inner),
        email: req.email.map(Text::into_inner),
        ex: req.ex.map(Text::into_inner),
        region: req.region.map(Text::into_inner),
        sign: req.sign.map(Text::into_inner),
        is_admin: req.is_admin.map(|Flag(b)| b),
        is_public_number: req.is_public_number.map(|Flag(b)| b),
        expert_status: req.expert_status.map(|Int(n)| n),
        point: req.point.map(Text::into_inner),
        yue: req.yue.map(|Int(n)| n),
        jifen: req.jifen.map(|Int(n)| n),
        ..Changes::default()
    };
    core.update_user(key, changes, req.password.map(Text::into_inner)).await?;
    Ok(Reply::done())
}
