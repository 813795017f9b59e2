//! `/internal/…`: what the other services ask (`shared_models::internal`).

use super::HandledInternal;
use crate::domain::Core;
use actix_web::web::Data;
use service_kit::params::Params;
use service_kit::wire::{Internal, Reply};
use shared_models::internal::RekeyRequest;

/// `POST /internal/memberships/rekey`
pub async fn rekey(core: Data<Core>, params: Params<Internal, RekeyRequest>) -> HandledInternal {
    core.rekey(params.into_inner()).await?;
    Ok(Reply::done())
}
