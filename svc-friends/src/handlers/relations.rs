//! Becoming friends, and what comes before and after.

use super::Handled;
use super::fields::{Bit, Object, Useracc};
use super::signed::{Fields, Signed};
use crate::domain::Core;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::wire::Reply;
use service_kit::{Code, Error, Result};
use shared_models::Text;
use utoipa::ToSchema;

/// Pairs in one import.
const MAX_IMPORT: usize = 1000;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddFriendRequest {
    useracc: Useracc,
    friend_useracc: Useracc,
    #[serde(default)]
    message: Text<256>,
    #[serde(default)]
    source: Text<64>,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/addFriend`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/addFriend", summary = "Asks somebody to be friends",
    description = "Friends at once where the other has asked before, needs no agreement (`setUserVerify`), or still holds the operator as a friend.",
    request_body(content = AddFriendRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "friendUseracc": "20150314000000110000000000000010#15011097101", "message": "", "source": ""})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "OtherAppNotAllowed", "Oneself", "LimitReached"]))))]
pub async fn add_friend(core: Data<Core>, signed: Signed<Fields<AddFriendRequest>>) -> Handled {
    let Signed { caller, body: Fields(req) } = signed;
    let operator = caller.operator(&req.useracc)?;
    let target = caller.other("friendUseracc", &req.friend_useracc)?;
    core.add_friend(&operator, &target, req.message.into_inner(), req.source.into_inner()).await?;
    Ok(Reply::done())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FriendAgreeRequest {
    useracc: Useracc,
    /// The one who asked.
    friend_useracc: Useracc,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/friendAgree`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/friendAgree", summary = "Agrees to a request",
    request_body(content = FriendAgreeRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "friendUseracc": "20150314000000110000000000000010#15011097101"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "OtherAppNotAllowed", "Oneself", "NoSuchRequest", "AlreadyHandled", "LimitReached"]))))]
pub async fn friend_agree(core: Data<Core>, signed: Signed<Fields<FriendAgreeRequest>>) -> Handled {
    let Signed { caller, body: Fields(req) } = signed;
    let operator = caller.operator(&req.useracc)?;
    let asker = caller.other("friendUseracc", &req.friend_useracc)?;
    core.agree(&operator, &asker).await?;
    Ok(Reply::done())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FriendRefuseRequest {
    useracc: Useracc,
    /// The one who asked.
    friend_useracc: Useracc,
    /// Why.
    #[serde(default)]
    message: Text<256>,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/friendRefuse`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/friendRefuse", summary = "Refuses a request",
    request_body(content = FriendRefuseRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "friendUseracc": "20150314000000110000000000000010#15011097101", "message": "拒绝原因"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "OtherAppNotAllowed", "Oneself", "NoSuchRequest", "AlreadyHandled"]))))]
pub async fn friend_refuse(core: Data<Core>, signed: Signed<Fields<FriendRefuseRequest>>) -> Handled {
    let Signed { caller, body: Fields(req) } = signed;
    let operator = caller.operator(&req.useracc)?;
    let asker = caller.other("friendUseracc", &req.friend_useracc)?;
    core.refuse(&operator, &asker, req.message.into_inner()).await?;
    Ok(Reply::done())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DelFriendRequest {
    useracc: Useracc,
    friend_useracc: Useracc,
    /// "1": on both lists, else only on the operator's.
    #[serde(default)]
    all_del: Bit,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/delFriend`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/delFriend", summary = "Ends a friendship, on one list or on both",
    request_body(content = DelFriendRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "friendUseracc": "20150314000000110000000000000010#15011097101", "allDel": "0"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "OtherAppNotAllowed", "Oneself", "NotAFriend"]))))]
pub async fn del_friend(core: Data<Core>, signed: Signed<Fields<DelFriendRequest>>) -> Handled {
    let Signed { caller, body: Fields(req) } = signed;
    let operator = caller.operator(&req.useracc)?;
    let friend = caller.other("friendUseracc", &req.friend_useracc)?;
    core.delete_friend(&operator, &friend, req.all_del.0).await?;
    Ok(Reply::done())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetFriendRemarkRequest {
    useracc: Useracc,
    friend_useracc: Useracc,
    remark_name: Text<64>,
}

#[derive(Serialize, ToSchema)]
pub struct SetFriendRemarkResponse {
    /// The entry's, to the second.
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$")]
    timestamp: String,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/setFriendRemark`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/setFriendRemark", summary = "Sets the remark on a friend",
    request_body(content = SetFriendRemarkRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "friendUseracc": "20150314000000110000000000000010#15011097101", "remarkName": "备注"})),
    responses((status = 200, body = SetFriendRemarkResponse, example = json!({"timestamp": "2017-07-20 08:00:00"}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "OtherAppNotAllowed", "Oneself", "NotAFriend"]))))]
pub async fn set_friend_remark(
    core: Data<Core>,
    signed: Signed<Fields<SetFriendRemarkRequest>>,
) -> Handled<SetFriendRemarkResponse> {
    let Signed { caller, body: Fields(req) } = signed;
    let operator = caller.operator(&req.useracc)?;
    let friend = caller.other("friendUseracc", &req.friend_useracc)?;
    let stamp = core.set_remark(&operator, &friend, req.remark_name.into_inner()).await?;
    Ok(Reply::new(SetFriendRemarkResponse { timestamp: core.times.seconds(stamp) }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportFriendsRequest {
    /// 1–1000.
    #[schema(value_type = Vec<ImportedPair>, min_items = 1, max_items = 1000)]
    friends_list: Vec<Object<ImportedPair>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ImportedPair {
    useracc: Useracc,
    friend_useracc: Useracc,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/importFriends`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/importFriends", summary = "Makes many pairs friends at once, for app servers",
    description = "All or nothing; again changes nothing.",
    request_body(content = ImportFriendsRequest, example = json!({"friendsList": [{"useracc": "20150314000000110000000000000010#15011097123", "friendUseracc": "20150314000000110000000000000010#15011097101"}, {"useracc": "20150314000000110000000000000010#15011097124", "friendUseracc": "20150314000000110000000000000010#15011097102"}]})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["OtherAppNotAllowed", "Oneself", "LimitReached"]))))]
pub async fn import_friends(core: Data<Core>, signed: Signed<Fields<ImportFriendsRequest>>) -> Handled {
    let Signed { caller, body: Fields(req) } = signed;
    bounded("friendsList", req.friends_list.len(), MAX_IMPORT)?;
    let people = req.friends_list.iter().enumerate().map(|(n, Object(pair))| {
        let field = |name: &str| format!("friendsList[{n}].{name}");
        let person = caller.own(&field("useracc"), &pair.useracc)?;
        Ok((person, caller.own(&field("friendUseracc"), &pair.friend_useracc)?))
    });
    core.import(people.collect::<Result<_>>()?).await?;
    Ok(Reply::done())
}

/// Contract §4: a list that is too long has a number of its own.
pub(super) fn bounded(field: &str, len: usize, max: usize) -> Result<()> {
    match len {
        0 => Err(Error::parameter(field, "must not be empty")),
        len if len > max => Err(Error::new(Code::LimitReached, format!("{field}: more than {max} entries"))),
        _ => Ok(()),
    }
}
