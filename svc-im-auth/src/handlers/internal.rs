//! `/internal/…`: what the other services ask (`shared_models::internal`).

use super::HandledInternal;
use crate::domain::Core;
use actix_web::web::Data;
use service_kit::auth::Verifier;
use service_kit::params::Params;
use service_kit::wire::{Internal, Reply};
use service_kit::{Code, Error};
use shared_models::internal::{
    AccountsRequest, AccountsResponse, CurrentTokenRequest, CurrentTokenResponse, EnsureAccountRequest,
    EnsureAccountResponse, Identity, IssueTokenRequest, IssueTokenResponse, MAX_PROFILES, ProfilesRequest,
    ProfilesResponse, VerifiedToken, VerifyPasswordRequest, VerifyTokenRequest,
};

/// `POST /internal/profiles`
pub async fn profiles(
    core: Data<Core>,
    params: Params<Internal, ProfilesRequest>,
) -> HandledInternal<ProfilesResponse> {
    let req = params.into_inner();
    if req.keys.len() > MAX_PROFILES {
        return Err(Error::new(Code::BadParameter, "keys: too many").into());
    }
    let profiles = core.profiles(req.keys).await?;
    Ok(Reply::new(ProfilesResponse { profiles }))
}

/// `POST /internal/accounts/read`
pub async fn read_accounts(
    core: Data<Core>,
    params: Params<Internal, AccountsRequest>,
) -> HandledInternal<AccountsResponse> {
    let req = params.into_inner();
    if req.keys.len() > MAX_PROFILES {
        return Err(Error::new(Code::BadParameter, "keys: too many").into());
    }
    let accounts = core.read_accounts(req.keys).await?;
    Ok(Reply::new(AccountsResponse { accounts }))
}

/// `POST /internal/credentials/verify`
pub async fn verify_password(
    core: Data<Core>,
    params: Params<Internal, VerifyPasswordRequest>,
) -> HandledInternal<Identity> {
    Ok(Reply::new(core.verifier.password(params.into_inner()).await?))
}

/// `POST /internal/tokens/verify`
pub async fn verify_token(
    core: Data<Core>,
    params: Params<Internal, VerifyTokenRequest>,
) -> HandledInternal<VerifiedToken> {
    Ok(Reply::new(core.verifier.token(params.into_inner()).await?))
}

/// `POST /internal/tokens/issue`
pub async fn issue_token(
    core: Data<Core>,
    params: Params<Internal, IssueTokenRequest>,
) -> HandledInternal<IssueTokenResponse> {
    let req = params.into_inner();
    let issued = core.issue(req.key, req.platform, req.reuse, req.ensure).await?;
    Ok(Reply::new(IssueTokenResponse { token: issued.token, expires_at: issued.expires_at }))
}

/// `POST /internal/tokens/current`
pub async fn current_token(
    core: Data<Core>,
    params: Params<Internal, CurrentTokenRequest>,
) -> HandledInternal<CurrentTokenResponse> {
    let token = core.current_token(params.into_inner().key).await?;
    Ok(Reply::new(CurrentTokenResponse { token }))
}

/// `POST /internal/accounts/ensure`
pub async fn ensure_account(
    core: Data<Core>,
    params: Params<Internal, EnsureAccountRequest>,
) -> HandledInternal<EnsureAccountResponse> {
    let profile = core.ensure_account(params.into_inner()).await?;
    Ok(Reply::new(EnsureAccountResponse { profile }))
}
