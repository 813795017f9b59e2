//! `/auth/…`: registration and tokens (document 002).

use super::HandledB;
use crate::domain::{Core, Issued, Registration};
use crate::store::accounts::Changes;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::media::Links;
use service_kit::params::Params;
use service_kit::wire::{ErrCodeMsg, Reply};
use service_kit::{Code, Error, Result};
use shared_models::internal::AccountKey;
use shared_models::schema::{GenderOrEmpty, PlatformOrAll};
use shared_models::{ByteText, Flag, Gender, Int, Platform, Text, Uid, empty_is_absent};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    /// AppServer secret; names the app.
    secret: Text<32, 1>,
    platform: Platform,
    uid: Uid,
    /// May be empty.
    name: Text<64>,
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
    /// For the calls of document 003.
    password: Option<Text<128, 8>>,
    #[serde(default, deserialize_with = "empty_is_absent")]
    is_admin: Option<Flag>,
}

#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    data: TokenData,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenData {
    uid: String,
    token: String,
    /// Unix seconds.
    expired_time: i64,
}

impl TokenResponse {
    fn new(uid: Uid, issued: Issued) -> Self {
        let data = TokenData { uid: uid.into_inner(), token: issued.token, expired_time: issued.expires_at };
        Self { data }
    }
}

/// `POST /auth/user_register`
#[utoipa::path(post, path = "/auth/user_register", summary = "Registers a user; answers the first token",
    description = "An account that exists only implicitly is registered once, keeping name and icon where the \
                   request's are empty.",
    request_body(content = RegisterRequest, example = json!({"secret": "tuoyun", "platform": 1, "uid": "d5645454517",
        "name": "张三", "icon": "https:oss.com.cn/head", "gender": 1, "mobile": "17812457845", "birth": "1998.12.15",
        "email": "xxxx@qq.com", "ex": "xxx"})),
    responses((status = 200, body = TokenResponse, example = json!({"data": {"uid": "d5645454517", "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "expiredTime": 1735689600}}))),
    extensions(("x-fails" = json!(["AlreadyRegistered"]))))]
pub async fn user_register(
    core: Data<Core>,
    links: Links,
    params: Params<ErrCodeMsg, RegisterRequest>,
) -> HandledB<TokenResponse> {
    let req = params.into_inner();
    let app = core.app_of_secret(&req.secret)?;
    let registration = Registration {
        key: AccountKey { app_id: app.id.clone(), uid: req.uid.clone() },
        platform: req.platform,
        changes: Changes {
            name: Some(req.name.into_inner()),
            icon: req.icon.map(|icon| links.stored(&icon)),
            gender: req.gender.map(Gender::number),
            mobile: req.mobile.map(Text::into_inner),
            birth: req.birth.map(Text::into_inner),
            email: req.email.map(Text::into_inner),
            ex: req.ex.map(Text::into_inner),
            region: req.region.map(Text::into_inner),
            sign: req.sign.map(Text::into_inner),
            is_admin: req.is_admin.map(|Flag(b)| b),
            ..Changes::default()
        },
        password: req.password.map(Text::into_inner),
    };
    let issued = core.register(registration).await?;
    Ok(Reply::new(TokenResponse::new(req.uid, issued)))
}

#[derive(Deserialize, ToSchema)]
pub struct UserTokenRequest {
    secret: Text<32, 1>,
    platform: Platform,
    uid: Uid,
}

/// `POST /auth/user_token`
#[utoipa::path(post, path = "/auth/user_token", summary = "A new token of a registered user",
    description = "Older tokens stay valid.",
    request_body(content = UserTokenRequest,
        example = json!({"secret": "tuoyun", "platform": 1, "uid": "d5645454517"})),
    responses((status = 200, body = TokenResponse, example = json!({"data": {"uid": "d5645454517", "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "expiredTime": 1735689600}}))),
    extensions(("x-fails" = json!(["NotRegistered"]))))]
pub async fn user_token(core: Data<Core>, params: Params<ErrCodeMsg, UserTokenRequest>) -> HandledB<TokenResponse> {
    let req = params.into_inner();
    let app = core.app_of_secret(&req.secret)?;
    let key = AccountKey { app_id: app.id.clone(), uid: req.uid.clone() };
    let issued = core.user_token(key, req.platform).await?;
    Ok(Reply::new(TokenResponse::new(req.uid, issued)))
}

#[derive(Deserialize, ToSchema)]
pub struct ParseTokenRequest {
    secret: Text<32, 1>,
    token: Text<4096, 1>,
}

#[derive(Serialize, ToSchema)]
pub struct ParseTokenResponse {
    data: ParsedToken,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ParsedToken {
    uid: String,
    /// The platform's name.
    #[schema(pattern = "^(IOS|Android|Windows|OSX|Web|MiniWeb|Linux)$")]
    platform: String,
    /// Unix seconds.
    expired_time: i64,
}

/// `POST /auth/parse_token`
#[utoipa::path(post, path = "/auth/parse_token", summary = "Whose token it is, if it lives",
    request_body(content = ParseTokenRequest,
        example = json!({"secret": "tuoyun", "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"})),
    responses((status = 200, body = ParseTokenResponse,
        example = json!({"data": {"uid": "d5645454517", "platform": "IOS", "expiredTime": 1735689600}}))),
    extensions(("x-fails" = json!(["TokenExpired", "TokenInvalid", "TokenMalformed", "TokenKicked"]))))]
pub async fn parse_token(
    core: Data<Core>,
    params: Params<ErrCodeMsg, ParseTokenRequest>,
) -> HandledB<ParseTokenResponse> {
    let req = params.into_inner();
    let app = core.app_of_secret(&req.secret)?;
    let claims = core.verify_token_of(&app.id, &req.token).await?;
    Ok(Reply::new(ParseTokenResponse {
        data: ParsedToken { uid: claims.uid.into_inner(), platform: claims.platform, expired_time: claims.exp },
    }))
}

#[derive(Deserialize, ToSchema)]
pub struct ForceLogoutRequest {
    secret: Text<32, 1>,
    uid: Uid,
    /// 1–7, or 0 for all.
    #[schema(value_type = PlatformOrAll)]
    platform: Int,
}

/// `POST /auth/force_logout`
#[utoipa::path(post, path = "/auth/force_logout", summary = "Ends a user's tokens and sockets",
    description = "On one platform, or on all with 0. The tokens are dead before the answer. An unknown user is a \
                   success.",
    request_body(content = ForceLogoutRequest,
        example = json!({"secret": "tuoyun", "uid": "d5645454517", "platform": 0})),
    responses((status = 200)))]
pub async fn force_logout(core: Data<Core>, params: Params<ErrCodeMsg, ForceLogoutRequest>) -> HandledB {
    let req = params.into_inner();
    let platform = platform_or_all(req.platform)?;
    let app = core.app_of_secret(&req.secret)?;
    core.force_logout(AccountKey { app_id: app.id.clone(), uid: req.uid }, platform).await?;
    Ok(Reply::done())
}

fn platform_or_all(Int(n): Int) -> Result<Option<Platform>> {
    match (n, Platform::from_number(n)) {
        (0, _) => Ok(None),
        (_, Some(platform)) => Ok(Some(platform)),
        (_, None) => Err(Error::new(Code::BadParameter, "platform: must be 0 to 7")),
    }
}
