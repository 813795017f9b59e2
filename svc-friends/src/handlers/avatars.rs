//! Avatars: the accounts' icons.

use super::Handled;
use super::fields::{Bit, LocalTime, Useracc};
use super::relations::bounded;
use super::signed::{Fields, Signed, SignedUpload};
use crate::domain::{Avatar, Core};
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::Result;
use service_kit::media::Links;
use service_kit::wire::Reply;
use shared_models::Stamp;
use std::collections::HashSet;
use utoipa::ToSchema;

/// Accounts in one call.
const MAX_BATCH: usize = 200;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UploadAvatarResponse {
    avatar: String,
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}$")]
    update_time: String,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/uploadAvatar`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/uploadAvatar", summary = "Stores the operator's avatar",
    description = "The body is a jpg, png, gif or bmp of at most 5 MiB, whatever its Content-Type says.",
    params(("useracc" = Useracc, Query, example = "15011031478"),
        ("fileName" = Option<String>, Query, description = "Without effect", example = "1.jpg")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = UploadAvatarResponse,
        example = json!({"avatar": "http://url", "updateTime": "2017-07-21 12:00:00.123"}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "ImageRefused"]))))]
pub async fn upload_avatar(
    core: Data<Core>,
    links: Links,
    signed: Signed<SignedUpload>,
) -> Handled<UploadAvatarResponse> {
    let Signed { caller, body: SignedUpload { upload, useracc } } = signed;
    let owner = caller.operator(&useracc)?;
    let Avatar { icon, changed_at } = core.set_avatar(&owner, upload.into_image()?).await?;
    Ok(Reply::new(UploadAvatarResponse { avatar: links.shown(&icon), update_time: core.times.millis(changed_at) }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetUserAvatarRequest {
    useracc: Useracc,
    /// What the client has; where it is the stored one, the answer has no avatar.
    #[serde(default)]
    update_time: LocalTime,
}

#[derive(Serialize, ToSchema)]
pub struct GetUserAvatarResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/getUserAvatar`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/getUserAvatar", summary = "The operator's own avatar",
    description = "Left out where `updateTime` is that of the stored one.",
    request_body(content = GetUserAvatarRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "updateTime": "2017-07-21 12:00:00.123"})),
    responses((status = 200, body = GetUserAvatarResponse, example = json!({"avatar": "http://url"}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp"]))))]
pub async fn get_user_avatar(
    core: Data<Core>,
    links: Links,
    signed: Signed<Fields<GetUserAvatarRequest>>,
) -> Handled<GetUserAvatarResponse> {
    let Signed { caller, body: Fields(req) } = signed;
    let owner = caller.operator(&req.useracc)?;
    let stored = core.avatars(&[owner]).await?.pop().flatten().unwrap_or_default();
    // Equal, not newer: the shipped Android client always sends the present time (`semantics.md` A.3).
    let is_theirs = !stored.icon.is_empty() && req.update_time.stamp(core.times) == Some(stored.changed_at);
    Ok(Reply::new(GetUserAvatarResponse { avatar: (!is_theirs).then(|| links.shown(&stored.icon)) }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchGetUserAvatarRequest {
    /// 1–200.
    #[schema(min_items = 1, max_items = 200)]
    useracc_list: Vec<Useracc>,
    /// "1": users of the same app by their account alone.
    #[serde(default)]
    is_simp_useracc: Bit,
}

/// The document's table says `avatarList`, its example `friendsList`: both (`semantics.md` A.5).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchGetUserAvatarResponse {
    avatar_list: Vec<UserAvatar>,
    friends_list: Vec<UserAvatar>,
}

#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserAvatar {
    useracc: String,
    avatar: String,
    #[schema(pattern = "^([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3})?$")]
    update_time: String,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/batchGetUserAvatar`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/batchGetUserAvatar", summary = "Avatars of many users",
    description = "Each once, in the order asked. The list stands twice, as the document's table and example differ.",
    request_body(content = BatchGetUserAvatarRequest, example = json!({"useraccList": ["20150314000000110000000000000010#1", "20150314000000110000000000000010#2", "20150314000000110000000000000010#3"], "isSimpUseracc": "1"})),
    responses((status = 200, body = BatchGetUserAvatarResponse, example = json!({"avatarList": [{"useracc": "1", "avatar": "url", "updateTime": "2017-10-25 10:00:00.123"}], "friendsList": [{"useracc": "1", "avatar": "url", "updateTime": "2017-10-25 10:00:00.123"}]}))),
    extensions(("x-fails" = json!(["OtherAppNotAllowed", "LimitReached"]))))]
pub async fn batch_get_user_avatar(
    core: Data<Core>,
    links: Links,
    signed: Signed<Fields<BatchGetUserAvatarRequest>>,
) -> Handled<BatchGetUserAvatarResponse> {
    let Signed { caller, body: Fields(req) } = signed;
    bounded("useraccList", req.useracc_list.len(), MAX_BATCH)?;
    let people = req.useracc_list.iter().map(|useracc| caller.other("useraccList", useracc));
    let mut people = people.collect::<Result<Vec<_>>>()?;
    let mut seen = HashSet::new();
    people.retain(|person| seen.insert(person.clone()));
    let avatars = core.avatars(&people).await?.into_iter().map(Option::unwrap_or_default);
    let shown = |(person, Avatar { icon, changed_at }): (&_, Avatar)| UserAvatar {
        useracc: caller.shown(person, req.is_simp_useracc.0),
        avatar: links.shown(&icon),
        update_time: if changed_at == Stamp(0) { String::new() } else { core.times.millis(changed_at) },
    };
    let avatar_list: Vec<_> = people.iter().zip(avatars).map(shown).collect();
    Ok(Reply::new(BatchGetUserAvatarResponse { friends_list: avatar_list.clone(), avatar_list }))
}
