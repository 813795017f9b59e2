//! The two lists: friends and requests.

use super::Handled;
use super::fields::{Bit, LocalTime, Order, PageSize, Useracc};
use super::signed::{Fields, Signed};
use crate::domain::{Caller, Core, Entry};
use crate::store::friends::FriendRow;
use crate::store::requests::RequestRow;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::media::Links;
use service_kit::wire::Reply;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetFriendsRequest {
    useracc: Useracc,
    /// `yyyy-MM-dd HH:mm:ss.SSS`: the timestamp of the last answer; absent on a first call.
    #[serde(default)]
    timestamp: LocalTime,
    /// 1–100, 20 if absent.
    #[serde(default)]
    size: PageSize,
    /// "1": former friends, too.
    #[serde(default)]
    is_update: Bit,
    /// "1": all instead of a page.
    #[serde(default)]
    is_all_page: Bit,
    /// "1": users of the same app by their account alone.
    #[serde(default)]
    is_simp_useracc: Bit,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetFriendsResponse {
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}$")]
    timestamp: String,
    friends_list: Vec<Friend>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Friend {
    useracc: String,
    remark_name: String,
    nick_name: String,
    avatar: String,
    /// "1" friend, "0" former friend.
    #[schema(pattern = "^[01]$")]
    friend_state: &'static str,
}

impl Friend {
    fn new(entry: Entry<FriendRow>, useracc: String, links: &Links) -> Self {
        let profile = entry.profile.as_deref();
        Self {
            useracc,
            remark_name: entry.row.remark,
            nick_name: profile.map(|p| p.name.clone()).unwrap_or_default(),
            avatar: profile.map(|p| links.shown(&p.icon)).unwrap_or_default(),
            friend_state: if entry.row.active { "1" } else { "0" },
        }
    }
}

/// `POST /{SoftVersion}/Application/{appId}/IM/getFriends`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/getFriends", summary = "The friends list, whole or page by page",
    description = "Ascending by time of change. Following the answer's timestamp with `isUpdate` 1 to the end loses nothing.",
    request_body(content = GetFriendsRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "timestamp": "2017-07-08 12:12:12.123", "size": "50", "isUpdate": "1", "isAllPage": "0", "isSimpUseracc": "0"})),
    responses((status = 200, body = GetFriendsResponse, example = json!({"timestamp": "2017-07-08 12:12:12.123", "friendsList": [{"useracc": "20150314000000110000000000000010#15011097123", "remarkName": "备注", "nickName": "测试账号", "avatar": "http://url", "friendState": "1"}]}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp"]))))]
pub async fn get_friends(
    core: Data<Core>,
    links: Links,
    signed: Signed<Fields<GetFriendsRequest>>,
) -> Handled<GetFriendsResponse> {
    let Signed { caller, body: Fields(req) } = signed;
    let owner = caller.operator(&req.useracc)?;
    let place = req.timestamp.place(core.times, (!req.is_all_page.0).then_some(req.size));
    let page = core.friends(&owner, place, req.is_update.0).await?;
    let friend = |e: Entry<_>| {
        let useracc = caller.shown(&e.person, req.is_simp_useracc.0);
        Friend::new(e, useracc, &links)
    };
    let friends_list = page.entries.into_iter().map(friend).collect();
    Ok(Reply::new(GetFriendsResponse { timestamp: core.times.millis(page.stamp), friends_list }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FriendMessageRequest {
    useracc: Useracc,
    /// `yyyy-MM-dd HH:mm:ss.SSS`: the timestamp of the last answer; absent on a first call.
    #[serde(default)]
    timestamp: LocalTime,
    /// 1–100, 20 if absent.
    #[serde(default)]
    size: PageSize,
    /// "2": newest first.
    #[serde(default)]
    order: Order,
    /// "1": users of the same app by their account alone.
    #[serde(default)]
    is_simp_useracc: Bit,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FriendMessageResponse {
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}$")]
    timestamp: String,
    invite_list: Vec<Invite>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Invite {
    friend_useracc: String,
    message: String,
    source: String,
    /// "0" the operator asked, "1" the operator was asked.
    #[schema(pattern = "^[01]$")]
    is_invited: &'static str,
    /// "1" friends since.
    #[schema(pattern = "^[01]$")]
    deal_state: &'static str,
    /// Left out for apps with `legacy_invite_list`: an unknown key crashes the 2017 iOS demo (`semantics.md` A.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
}

impl Invite {
    fn new(entry: Entry<RequestRow>, caller: &Caller, simple: bool, links: &Links) -> Self {
        let avatar = entry.profile.as_deref().map(|p| links.shown(&p.icon)).unwrap_or_default();
        Self {
            friend_useracc: caller.shown(&entry.person, simple),
            message: entry.row.message,
            source: entry.row.source,
            is_invited: if entry.row.invited { "1" } else { "0" },
            deal_state: if entry.row.done { "1" } else { "0" },
            avatar: (!caller.app.legacy_invite_list).then_some(avatar),
        }
    }
}

/// `POST /{SoftVersion}/Application/{appId}/IM/friendMessage`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/friendMessage", summary = "Requests, asked and received",
    request_body(content = FriendMessageRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "timestamp": "2017-07-08 12:12:12.123", "size": "50", "order": "0", "isSimpUseracc": "0"})),
    responses((status = 200, body = FriendMessageResponse, example = json!({"timestamp": "2017-07-08 12:12:12.123", "inviteList": [{"friendUseracc": "20150314000000110000000000000010#15011097123", "message": "", "source": "", "isInvited": "1", "dealState": "1", "avatar": "http://url"}]}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp"]))))]
pub async fn friend_message(
    core: Data<Core>,
    links: Links,
    signed: Signed<Fields<FriendMessageRequest>>,
) -> Handled<FriendMessageResponse> {
    let Signed { caller, body: Fields(req) } = signed;
    let owner = caller.operator(&req.useracc)?;
    let place = req.timestamp.place(core.times, Some(req.size));
    let page = core.requests(&owner, place, req.order.descending).await?;
    let invite = |e| Invite::new(e, &caller, req.is_simp_useracc.0, &links);
    let invite_list = page.entries.into_iter().map(invite).collect();
    Ok(Reply::new(FriendMessageResponse { timestamp: core.times.millis(page.stamp), invite_list }))
}
