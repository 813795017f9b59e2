//! `/tu_rc_…`: what IM needs of a terminal user (document 000).

use super::Handled;
use super::fields::given;
use crate::domain::{Basics, Core, Found, Shown, Wanted};
use actix_web::dev::Payload;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{CustomizeResponder, FromRequest, HttpRequest, Responder};
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Deserializer, Serialize, de};
use service_kit::Error;
use service_kit::media::{Image, Links, Upload};
use service_kit::params::{Params, typed};
use service_kit::wire::{Failure, RcRm, Reply};
use shared_models::schema::{PlatformOrEmpty, TuserKeyOrEmpty};
use shared_models::{Platform, Text, TuserKey};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SyncBasicsRequest {
    tuser_key: TuserKey,
    app_id: Option<String>,
    name: Option<Text<64>>,
    br_intro: Option<Text<512>>,
    portrait_url: Option<Text<1024>>,
    /// The same as `portrait_url`, under the name that every deployed client sends (`semantics.md` E.3).
    portrait_uri: Option<Text<1024>>,
}

/// `GET|POST /tu_rc_sync_urb_from_hp.action`
#[utoipa::path(get, path = "/tu_rc_sync_urb_from_hp.action", params(SyncBasicsRequest), responses((status = 200)),
    summary = "Stores name, introduction and portrait of a terminal user",
    description = "Registers an unknown key. What is absent stays, what is empty is cleared; not all may be empty.",
    extensions(("x-fails" = json!(["BadParameter"]))))]
pub async fn sync_basics(core: Data<Core>, links: Links, params: Params<RcRm, SyncBasicsRequest>) -> Handled {
    let req = params.into_inner();
    let app = core.app(req.app_id.as_deref())?;
    let portrait = req.portrait_url.or(req.portrait_uri);
    let is_empty = |text: Option<&str>| text.is_none_or(str::is_empty);
    if is_empty(req.name.as_deref()) && is_empty(req.br_intro.as_deref()) && is_empty(portrait.as_deref()) {
        return Err(Error::parameter("name", "name, br_intro and portrait_url must not all be empty").into());
    }
    let basics = Basics {
        name: req.name.map(Text::into_inner),
        icon: portrait.map(|portrait| links.stored(&portrait)),
        br_intro: req.br_intro.map(Text::into_inner),
    };
    core.sync_basics(app.id.clone(), req.tuser_key, basics).await?;
    Ok(Reply::done())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KeyRequest {
    tuser_key: TuserKey,
    app_id: Option<String>,
}

/// A form with a portrait in it: whatever its file name and type, the content decides.
pub struct PortraitForm {
    request: KeyRequest,
    image: Image,
}

impl FromRequest for PortraitForm {
    type Error = Failure<RcRm>;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let (map, upload) = Upload::of_form(&req, payload, "portrait").await?;
            let request = typed(map)?;
            let upload = upload.ok_or_else(|| Error::parameter("portrait", "missing"))?;
            Ok(Self { request, image: upload.into_image()? })
        })
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncPortraitResponse {
    portrait_uri: String,
}

/// `POST /tu_rc_sync_urp_from_hp.action`
#[utoipa::path(get, path = "/tu_rc_sync_urp_from_hp.action", params(KeyRequest),
    summary = "Stores a portrait that is uploaded as a multipart form",
    description = "Registers an unknown key. A jpg, png, gif or bmp of at most 5 MiB, whatever its file name and type. \
                   Fails without a file, as every GET does.",
    responses((status = 200, body = SyncPortraitResponse, example = json!({
        "portraitUri": "http://localhost:8080/media/0d1cf5cc0f2a2a1ee9a1d9ef1a0a5d3e2c7ae3ae8e3f5d4b8c9b1a5e6f708192.jpg"
    }))),
    extensions(("x-file" = json!("portrait")), ("x-fails" = json!(["BadParameter", "ImageRefused", "BodyTooLarge"]))))]
pub async fn sync_portrait(core: Data<Core>, links: Links, form: PortraitForm) -> Handled<SyncPortraitResponse> {
    let PortraitForm { request: KeyRequest { tuser_key, app_id }, image } = form;
    let app = core.app(app_id.as_deref())?;
    let name = core.sync_portrait(app.id.clone(), tuser_key, image).await?;
    Ok(Reply::new(SyncPortraitResponse { portrait_uri: links.shown(name.as_str()) }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GetTokenRequest {
    tuser_key: TuserKey,
    app_id: Option<String>,
    /// Of a builtin token; iOS if absent.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<PlatformOrEmpty>)]
    platform: Option<Platform>,
}

#[derive(Serialize, ToSchema)]
pub struct GetTokenResponse {
    token: String,
}

/// `GET|POST /tu_rc_get_urt_from_hp.action`
#[utoipa::path(get, path = "/tu_rc_get_urt_from_hp.action", params(GetTokenRequest),
    summary = "A token for the IM provider of the app",
    description = "Registers an unknown key. The token's user is the md5 of the key.",
    responses((status = 200, body = GetTokenResponse, example = json!({"token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}))),
    extensions(("x-fails" = json!(["BadParameter", "ProviderAway", "ProviderRefused"]))))]
pub async fn get_token(core: Data<Core>, params: Params<RcRm, GetTokenRequest>) -> Handled<GetTokenResponse> {
    let req = params.into_inner();
    let app = core.app(req.app_id.as_deref())?;
    let token = core.token(app.id.clone(), req.tuser_key, req.platform.unwrap_or(Platform::Ios)).await?;
    Ok(Reply::new(GetTokenResponse { token }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GetUserRequest {
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<TuserKeyOrEmpty>)]
    tuser_key: Option<TuserKey>,
    /// md5 of the key.
    #[serde(default, deserialize_with = "given")]
    user_id: Option<Text<64>>,
    app_id: Option<String>,
    #[serde(default, deserialize_with = "given", rename = "type")]
    #[param(value_type = Option<String>,
        pattern = "^(all|user_id|token|name|br_intro|portrait_url|portrait_uri)?$")]
    part: Option<Part>,
}

/// Parameter `type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    UserId,
    Token,
    Name,
    Introduction,
    Portrait,
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match &*Text::<64>::deserialize(d)? {
            "all" => Ok(Self::All),
            "user_id" => Ok(Self::UserId),
            "token" => Ok(Self::Token),
            "name" => Ok(Self::Name),
            "br_intro" => Ok(Self::Introduction),
            "portrait_url" | "portrait_uri" => Ok(Self::Portrait),
            _ => Err(de::Error::custom("must be all, user_id, token, name, br_intro or portrait_url")),
        }
    }
}

impl Part {
    fn includes(self, part: Self) -> bool {
        self == Self::All || self == part
    }

    fn wanted(self) -> Wanted {
        Wanted {
            profile: self.includes(Self::Name) || self.includes(Self::Portrait),
            token: self.includes(Self::Token),
            br_intro: self.includes(Self::Introduction),
        }
    }
}

/// What was asked for; the key too, which the shipped iOS app reads though no document says so (`semantics.md` E.1).
#[derive(Serialize, ToSchema)]
pub struct GetUserResponse {
    #[serde(rename = "userId", skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    br_intro: Option<String>,
    #[serde(rename = "portraitUri", skip_serializing_if = "Option::is_none")]
    portrait_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuser_key: Option<String>,
}

impl GetUserResponse {
    fn new(found: Found, shows_key: bool, shown: Shown, part: Part, links: &Links) -> Self {
        let asked = |of: Part, text: String| part.includes(of).then_some(text);
        Self {
            user_id: asked(Part::UserId, found.im_uid),
            token: asked(Part::Token, shown.token),
            name: asked(Part::Name, shown.name),
            br_intro: asked(Part::Introduction, shown.br_intro),
            portrait_uri: asked(Part::Portrait, links.shown(&shown.icon)),
            tuser_key: (part == Part::All && shows_key).then_some(found.key),
        }
    }
}

/// `GET|POST /tu_rc_get_usr_from_hp.action`
#[utoipa::path(get, path = "/tu_rc_get_usr_from_hp.action", params(GetUserRequest),
    summary = "What is stored of a terminal user",
    description = "By key, by user id (the key's md5) or by both, which must be of the same user. Answers all fields, \
                   or the one that `type` names. Never registers.",
    responses((status = 200, body = GetUserResponse,
        headers(("Cache-Control" = String, description = "`private, max-age=86400` on success, else `no-store`")),
        example = json!({"userId": "900150983cd24fb0d6963f7d28e17f72", "token": "", "name": "张三", "br_intro": "",
            "portraitUri": "", "tuser_key": "abc"}))),
    extensions(("x-fails" = json!(["BadParameter", "UnknownTerminalUser"]))))]
pub async fn get_user(
    core: Data<Core>,
    links: Links,
    params: Params<RcRm, GetUserRequest>,
) -> Result<CustomizeResponder<Reply<RcRm, GetUserResponse>>, Failure<RcRm>> {
    let req = params.into_inner();
    let (app, part) = (core.app(req.app_id.as_deref())?, req.part.unwrap_or(Part::All));
    let found = core.find(req.tuser_key, req.user_id.map(Text::into_inner)).await?;
    let shown = core.shown(app.id.clone(), &found, part.wanted()).await?;
    let shows_key = core.shows_key(found.by_key);
    let reply = Reply::new(GetUserResponse::new(found, shows_key, shown, part, &links));
    // The document's one day; private, because a token may be in it.
    Ok(reply.customize().insert_header((CACHE_CONTROL, "private, max-age=86400")))
}
