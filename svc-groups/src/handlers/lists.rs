//! Members of a group, groups of a user.

use super::InPath;
use crate::domain::{Core, JoinedGroup, MemberView, Page};
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::auth::Signed;
use service_kit::client::Client;
use service_kit::links::Links;
use service_kit::wire::{Failure, ListReply, Nothing, RetReason};
use shared_models::schema::IntOrEmpty;
use shared_models::{GroupId, Int, empty_is_absent};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = GroupUserListRequest)]
pub struct UserListFields {
    /// From 1. Neither this nor `size`: all members.
    #[serde(default, deserialize_with = "empty_is_absent")]
    #[schema(value_type = Option<IntOrEmpty>)]
    page: Option<Int>,
    /// 1 to 1000, 20 if only `page` is given.
    #[serde(default, deserialize_with = "empty_is_absent")]
    #[schema(value_type = Option<IntOrEmpty>)]
    size: Option<Int>,
}

type UserListRequest = Signed<UserListFields>;

/// What stands before the list.
#[derive(Serialize, ToSchema)]
pub struct GroupHead {
    group_id: GroupId,
    group_name: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = GroupUserInfo)]
pub struct UserInfo {
    username: String,
    nickname: String,
    thumb: String,
}

/// For the API document only: the answer is written piece by piece.
#[derive(ToSchema)]
#[schema(as = GroupUserListResponse)]
#[expect(dead_code, reason = "describes what ListReply writes")]
struct UserListResponse {
    group_id: GroupId,
    group_name: String,
    userinfos: Vec<UserInfo>,
}

/// `POST /im/{group_id}/group_get_user_list/`
#[utoipa::path(post, path = "/im/{group_id}/group_get_user_list/", summary = "Members of a group, in joining order",
    description = "All of them, or a page.",
    params(("group_id" = GroupId, Path, example = 11)),
    request_body(content = UserListRequest, example = json!({"username": "username", "password": "password"})),
    responses((status = 200, body = UserListResponse, example = json!({"group_id": 1234, "group_name": "群组名称",
        "userinfos": [{"username": "18516271364", "nickname": "9527",
            "thumb": "resource.haorenao.cn/static/tea/threadimages/xx1.png"}]}))),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter", "UnknownGroup"]))))]
pub async fn group_get_user_list(
    core: Data<Core>,
    client: Client,
    links: Links,
    group: InPath,
    signed: UserListRequest,
) -> Result<ListReply<RetReason, GroupHead, UserInfo>, Failure<RetReason>> {
    let UserListFields { page, size } = signed.more;
    let page = Page::of(page.map(|Int(n)| n), size.map(|Int(n)| n));
    core.caller(&signed.credential, client.address).await?;
    let (name, members) = core.list_members(group.0, page).await?;
    let head = GroupHead { group_id: group.0, group_name: name };
    Ok(ListReply::new(head, "userinfos", members.map(move |member| shown(member, &links))))
}

fn shown(member: MemberView, links: &Links) -> UserInfo {
    UserInfo { username: member.uid, nickname: member.nickname, thumb: links.shown(&member.icon) }
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserGroup)]
pub struct GroupEntry {
    id: GroupId,
    name: String,
}

impl From<JoinedGroup> for GroupEntry {
    fn from(group: JoinedGroup) -> Self {
        Self { id: GroupId(group.id), name: group.name }
    }
}

/// For the API document only: the answer is written piece by piece.
#[derive(ToSchema)]
#[schema(as = UserGroupListResponse)]
#[expect(dead_code, reason = "describes what ListReply writes")]
struct GroupListResponse {
    groups: Vec<GroupEntry>,
}

/// `POST /im/user_get_group_list/`
#[utoipa::path(post, path = "/im/user_get_group_list/", summary = "Groups of the caller, in joining order",
    request_body(content = Signed, example = json!({"username": "username", "password": "password"})),
    responses((status = 200, body = GroupListResponse,
        example = json!({"groups": [{"id": 1234, "name": "我的测试群"}]}))),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter"]))))]
pub async fn user_get_group_list(
    core: Data<Core>,
    client: Client,
    signed: Signed,
) -> Result<ListReply<RetReason, Nothing, GroupEntry>, Failure<RetReason>> {
    let who = core.caller(&signed.credential, client.address).await?;
    let groups = core.list_groups(&who.uid).await?;
    Ok(ListReply::new(Nothing {}, "groups", groups.map(GroupEntry::from)))
}
