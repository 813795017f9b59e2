//! `/im/…`, as far as it is about who one is (document 003).

use super::HandledC;
use crate::domain::Core;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use service_kit::Code;
use service_kit::auth::Signed;
use service_kit::client::Client;
use service_kit::wire::Reply;
use shared_models::internal::AccountKey;
use shared_models::schema::PlatformOrEmpty;
use shared_models::{Platform, empty_is_absent};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = TokenRequest)]
pub struct TokenFields {
    /// Of the token that is asked for; Web if absent.
    #[serde(default, deserialize_with = "empty_is_absent")]
    #[schema(value_type = Option<PlatformOrEmpty>)]
    platform: Option<Platform>,
}

type TokenRequest = Signed<TokenFields>;

impl TokenFields {
    fn platform(&self) -> Platform {
        self.platform.unwrap_or(Platform::Web)
    }
}

#[derive(Serialize, ToSchema)]
pub struct UserTokenResponse {
    token: String,
}

/// `POST /im/user_get_token/`
#[utoipa::path(post, path = "/im/user_get_token/", summary = "A token of the caller",
    request_body(content = TokenRequest, example = json!({"username": "username", "password": "password"})),
    responses((status = 200, body = UserTokenResponse, example = json!({"token":
        "fYFO429vmoFQ0DButRaXStAsHUJMj7YH5n0doxN8TQmLggkgGKPwMt7Vn9XEzapD/0YrepuLnmECETGdwNAT+7Oxjg/xj0sI"}))),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter", "ProviderAway", "ProviderRefused"]))))]
pub async fn user_get_token(core: Data<Core>, client: Client, signed: TokenRequest) -> HandledC<UserTokenResponse> {
    let who = core.caller(&signed.credential, client.address).await?;
    let key = AccountKey { app_id: who.app_id, uid: who.uid };
    let issued = core.issue_token(key, signed.more.platform(), false).await?;
    Ok(Reply::new(UserTokenResponse { token: issued.token }))
}

#[derive(Serialize, ToSchema)]
pub struct CustomerServiceResponse {
    id: String,
    name: String,
    /// The caller's, not the customer service's.
    token: String,
}

/// `POST /im/customer_service_get_info/`
#[utoipa::path(post, path = "/im/customer_service_get_info/",
    summary = "The customer service account to chat with, and the caller's token",
    request_body(content = TokenRequest, example = json!({"username": "username", "password": "password"})),
    responses((status = 200, body = CustomerServiceResponse,
        example = json!({"id": "haorenao_cs_001", "name": "客服", "token": "token"}))),
    extensions(("x-fails" = json!(["WrongCredentials", "BadParameter", "NoCustomerService", "ProviderAway",
        "ProviderRefused"]))))]
pub async fn customer_service_get_info(
    core: Data<Core>,
    client: Client,
    signed: TokenRequest,
) -> HandledC<CustomerServiceResponse> {
    let who = core.caller(&signed.credential, client.address).await?;
    let desk = core.apps.system().customer_service.clone().ok_or(Code::NoCustomerService)?;
    let key = AccountKey { app_id: who.app_id, uid: who.uid };
    let issued = core.issue_token(key, signed.more.platform(), true).await?;
    Ok(Reply::new(CustomerServiceResponse { id: desk.id, name: desk.name, token: issued.token }))
}
