//! What one user is told about another, and privacy.

use super::Handled;
use super::fields::{Bit, RequiredBit, Useracc};
use super::signed::{Fields, Signed};
use crate::domain::{Caller, Core, View};
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::media::Links;
use service_kit::wire::Reply;
use shared_models::Gender;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPersonInfoRequest {
    useracc: Useracc,
    /// The user who is looked for, like `useracc`.
    search_content: Useracc,
    /// "1": a user of the same app by the account alone.
    #[serde(default)]
    is_simp_useracc: Bit,
}

#[derive(Serialize, ToSchema)]
pub struct GetPersonInfoResponse {
    #[serde(flatten)]
    info: PersonInfo,
    /// "1" friend.
    #[schema(pattern = "^[01]$")]
    state: &'static str,
}

/// Unknown fields are empty.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonInfo {
    useracc: String,
    phone_number: String,
    nick_name: String,
    region: String,
    sign: String,
    avatar: String,
    birth_day: String,
    /// "1" male, "2" female.
    #[schema(pattern = "^[12]?$")]
    sex: &'static str,
    remark_name: String,
}

impl PersonInfo {
    fn new(view: View, caller: &Caller, simple: bool, links: &Links) -> Self {
        let useracc = caller.shown(&view.person, simple);
        let remark_name = view.relation.remark;
        let Some(account) = view.account else { return Self { useracc, remark_name, ..Self::empty() } };
        let private = |field: String| if view.relation.shows_private { field } else { String::new() };
        Self {
            useracc,
            phone_number: private(account.mobile),
            nick_name: account.name,
            region: account.region,
            sign: account.sign,
            avatar: links.shown(&account.icon),
            birth_day: private(account.birth),
            sex: match account.gender {
                Gender::Male => "1",
                Gender::Female => "2",
                Gender::Unknown => "",
            },
            remark_name,
        }
    }

    fn empty() -> Self {
        Self {
            useracc: String::new(),
            phone_number: String::new(),
            nick_name: String::new(),
            region: String::new(),
            sign: String::new(),
            avatar: String::new(),
            birth_day: String::new(),
            sex: "",
            remark_name: String::new(),
        }
    }
}

/// `POST /{SoftVersion}/Application/{appId}/IM/getPersonInfo`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/getPersonInfo", summary = "What the operator may see of a user",
    request_body(content = GetPersonInfoRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "searchContent": "20150314000000110000000000000010#15011097111", "isSimpUseracc": "0"})),
    responses((status = 200, body = GetPersonInfoResponse, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "phoneNumber": "", "nickName": "", "region": "1", "sign": "1", "avatar": "http://url", "birthDay": "", "sex": "", "remarkName": "", "state": "1"}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "OtherAppNotAllowed", "UnknownUser"]))))]
pub async fn get_person_info(
    core: Data<Core>,
    links: Links,
    signed: Signed<Fields<GetPersonInfoRequest>>,
) -> Handled<GetPersonInfoResponse> {
    let Signed { caller, body: Fields(req) } = signed;
    let viewer = caller.operator(&req.useracc)?;
    let person = caller.other("searchContent", &req.search_content)?;
    let view = core.person(&viewer, person).await?;
    let state = if view.relation.is_friend { "1" } else { "0" };
    let info = PersonInfo::new(view, &caller, req.is_simp_useracc.0, &links);
    Ok(Reply::new(GetPersonInfoResponse { info, state }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetFriendInfoRequest {
    useracc: Useracc,
    friend_useracc: Useracc,
    /// "1": a user of the same app by the account alone.
    #[serde(default)]
    is_simp_useracc: Bit,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/getFriendInfo`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/getFriendInfo", summary = "What the operator may see of a friend",
    request_body(content = GetFriendInfoRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "friendUseracc": "20150314000000110000000000000010#15011097101", "isSimpUseracc": "0"})),
    responses((status = 200, body = PersonInfo, example = json!({"useracc": "20150314000000110000000000000010#15011097236", "phoneNumber": "15011031254", "nickName": "昵称", "region": "北京市朝阳区", "sign": "12345", "remarkName": "备注名称", "avatar": "http://url", "birthDay": "", "sex": ""}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp", "OtherAppNotAllowed", "NotAFriend"]))))]
pub async fn get_friend_info(
    core: Data<Core>,
    links: Links,
    signed: Signed<Fields<GetFriendInfoRequest>>,
) -> Handled<PersonInfo> {
    let Signed { caller, body: Fields(req) } = signed;
    let viewer = caller.operator(&req.useracc)?;
    let friend = caller.other("friendUseracc", &req.friend_useracc)?;
    let view = core.friend(&viewer, friend).await?;
    Ok(Reply::new(PersonInfo::new(view, &caller, req.is_simp_useracc.0, &links)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetUserVerifyRequest {
    useracc: Useracc,
    /// "1": others need the operator's agreement.
    add_verify: RequiredBit,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/setUserVerify`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/setUserVerify", summary = "Whether others need the operator's agreement",
    request_body(content = SetUserVerifyRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123", "addVerify": "0"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["OperatorOfOtherApp"]))))]
pub async fn set_user_verify(core: Data<Core>, signed: Signed<Fields<SetUserVerifyRequest>>) -> Handled {
    let Signed { caller, body: Fields(req) } = signed;
    core.set_verify(&caller.operator(&req.useracc)?, req.add_verify.0).await?;
    Ok(Reply::done())
}

#[derive(Deserialize, ToSchema)]
pub struct GetUserVerifyRequest {
    useracc: Useracc,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetUserVerifyResponse {
    /// "1": others need the operator's agreement.
    #[schema(pattern = "^[01]$")]
    add_verify: &'static str,
}

/// `POST /{SoftVersion}/Application/{appId}/IM/getUserVerify`
#[utoipa::path(post, path = "/{SoftVersion}/Application/{appId}/IM/getUserVerify", summary = "Whether others need the operator's agreement",
    request_body(content = GetUserVerifyRequest, example = json!({"useracc": "20150314000000110000000000000010#15011097123"})),
    responses((status = 200, body = GetUserVerifyResponse, example = json!({"addVerify": "1"}))),
    extensions(("x-fails" = json!(["OperatorOfOtherApp"]))))]
pub async fn get_user_verify(
    core: Data<Core>,
    signed: Signed<Fields<GetUserVerifyRequest>>,
) -> Handled<GetUserVerifyResponse> {
    let Signed { caller, body: Fields(req) } = signed;
    let verifies = core.verifies(&caller.operator(&req.useracc)?).await?;
    Ok(Reply::new(GetUserVerifyResponse { add_verify: if verifies { "1" } else { "0" } }))
}
