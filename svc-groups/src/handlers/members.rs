//! Joining, quitting, and telling the IM provider.

use super::{HandledC, InPath};
use crate::domain::Core;
use actix_web::web::Data;
use service_kit::auth::Signed;
use service_kit::client::Client;
use service_kit::wire::Reply;
use shared_models::GroupId;

/// `POST /im/{group_id}/group_join/`
#[utoipa::path(post, path = "/im/{group_id}/group_join/", summary = "Joins a group",
    description = "A member who joins again is a success.",
    params(("group_id" = GroupId, Path, example = 11)),
    request_body(content = Signed, example = json!({"username": "username", "password": "password"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter", "UnknownGroup", "GroupFull", "TooManyGroups"]))))]
pub async fn group_join(core: Data<Core>, client: Client, group: InPath, signed: Signed) -> HandledC {
    let who = core.caller(&signed.credential, client.address).await?;
    core.join_group(&who, group.0).await?;
    Ok(Reply::done())
}

/// `POST /im/{group_id}/group_quit/`
#[utoipa::path(post, path = "/im/{group_id}/group_quit/", summary = "Leaves a group",
    params(("group_id" = GroupId, Path, example = 11)),
    request_body(content = Signed, example = json!({"username": "username", "password": "password"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter", "UnknownGroup", "NotMember", "OwnerCannotQuit"]))))]
pub async fn group_quit(core: Data<Core>, client: Client, group: InPath, signed: Signed) -> HandledC {
    let who = core.caller(&signed.credential, client.address).await?;
    core.quit_group(&who, group.0).await?;
    Ok(Reply::done())
}

/// `POST /im/group_sync/`
#[utoipa::path(post, path = "/im/group_sync/", summary = "Tells the IM provider all groups of the caller",
    request_body(content = Signed, example = json!({"username": "username", "password": "password"})),
    responses((status = 200)),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter"]))))]
pub async fn group_sync(core: Data<Core>, client: Client, signed: Signed) -> HandledC {
    let who = core.caller(&signed.credential, client.address).await?;
    core.sync_groups(&who).await?;
    Ok(Reply::done())
}
