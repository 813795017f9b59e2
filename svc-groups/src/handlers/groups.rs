//! `/im/group_create/` and what concerns a group as a whole.

use super::{HandledC, InPath};
use crate::domain::Core;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::auth::Signed;
use service_kit::client::Client;
use service_kit::wire::Reply;
use shared_models::{GroupId, Text};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = GroupCreateRequest)]
pub struct CreateFields {
    name: Text<64, 1>,
}

type CreateRequest = Signed<CreateFields>;

#[derive(Serialize, ToSchema)]
#[schema(as = GroupCreateResponse)]
pub struct CreateResponse {
    group_id: GroupId,
}

/// `POST /im/group_create/`
#[utoipa::path(post, path = "/im/group_create/", summary = "Makes a group; its creator owns it",
    description = "For administrators.",
    request_body(content = CreateRequest,
        example = json!({"username": "username", "password": "password", "name": "group_name"})),
    responses((status = 200, body = CreateResponse, example = json!({"group_id": 123}))),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter", "AdminOnly"]))))]
pub async fn group_create(core: Data<Core>, client: Client, signed: CreateRequest) -> HandledC<CreateResponse> {
    let who = core.caller(&signed.credential, client.address).await?;
    let group_id = core.create_group(&who, signed.more.name.into_inner()).await?;
    Ok(Reply::new(CreateResponse { group_id }))
}

/// `POST /im/{group_id}/group_dismiss/`
#[utoipa::path(post, path = "/im/{group_id}/group_dismiss/", summary = "Ends a group",
    description = "For its owner and administrators.",
    params(("group_id" = GroupId, Path, example = 11)),
    request_body(content = Signed, example = json!({"username": "username", "password": "password"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter", "UnknownGroup", "NotGroupOwner"]))))]
pub async fn group_dismiss(core: Data<Core>, client: Client, group: InPath, signed: Signed) -> HandledC {
    let who = core.caller(&signed.credential, client.address).await?;
    core.dismiss_group(&who, group.0).await?;
    Ok(Reply::done())
}

#[derive(Serialize, ToSchema)]
#[schema(as = GroupInfoResponse)]
pub struct InfoResponse {
    group_id: GroupId,
    group_name: String,
}

/// `GET /im/{group_id}/group_get_info/`, no credentials.
#[utoipa::path(get, path = "/im/{group_id}/group_get_info/", summary = "A group's name; needs no credentials",
    params(("group_id" = GroupId, Path, example = 11)),
    responses((status = 200, body = InfoResponse,
        example = json!({"group_id": 1234, "group_name": "群组名称"}))),
    extensions(("x-fails" = json!(["UnknownGroup"]))))]
pub async fn group_get_info(core: Data<Core>, group: InPath) -> HandledC<InfoResponse> {
    core.system_app.admit()?;
    let found = core.group(group.0).await?;
    Ok(Reply::new(InfoResponse { group_id: group.0, group_name: found.name }))
}
