//! Joining, quitting, and telling the IM provider.

use super::{HandledC, InPath, SignedRequest};
use crate::domain::Core;
use actix_web::web::Data;
use service_kit::client::Client;
use service_kit::params::Params;
use service_kit::wire::{Reply, RetReason};

/// `POST /im/{group_id}/group_join/`
#[utoipa::path(post, path = "/im/{group_id}/group_join/", request_body = SignedRequest,
    params(("group_id" = i64, Path)), responses((status = 200)))]
pub async fn group_join(
    core: Data<Core>,
    client: Client,
    group: InPath,
    params: Params<RetReason, SignedRequest>,
) -> HandledC {
    let who = core.credentials.check(&params.into_inner().credential(), client.address).await?;
    core.join_group(&who, group.0).await?;
    Ok(Reply::done())
}

/// `POST /im/{group_id}/group_quit/`
#[utoipa::path(post, path = "/im/{group_id}/group_quit/", request_body = SignedRequest,
    params(("group_id" = i64, Path)), responses((status = 200)))]
pub async fn group_quit(
    core: Data<Core>,
    client: Client,
    group: InPath,
    params: Params<RetReason, SignedRequest>,
) -> HandledC {
    let who = core.credentials.check(&params.into_inner().credential(), client.address).await?;
    core.quit_group(&who, group.0).await?;
    Ok(Reply::done())
}

/// `POST /im/group_sync/`
#[utoipa::path(post, path = "/im/group_sync/", request_body = SignedRequest, responses((status = 200)))]
pub async fn group_sync(core: Data<Core>, client: Client, params: Params<RetReason, SignedRequest>) -> HandledC {
    let who = core.credentials.check(&params.into_inner().credential(), client.address).await?;
    core.sync_groups(&who).await?;
    Ok(Reply::done())
}
