//! Passwords and tokens checked where they are kept.

use super::accounts::ProfileView;
use super::tokens::{self, TokenKeys};
use crate::store::accounts as store;
use crate::store::accounts::AccountRow;
use futures_util::future::BoxFuture;
use service_kit::auth::{Lockout, Passwords, Verifier, network_of};
use service_kit::clock::Clock;
use service_kit::copies::Copies;
use service_kit::db::{Db, Gathered};
use service_kit::{Code, Error, Result};
use shared_models::internal::{AccountKey, Identity, VerifiedToken, VerifyPasswordRequest, VerifyTokenRequest};
use std::net::IpAddr;

/// So many addresses from which a username succeeded are remembered.
const KNOWN_ADDRESSES: usize = 8;

/// The verifier of this process's own credential check, and of the internal API's.
#[derive(Clone)]
pub struct LocalVerifier {
    pub db: Db,
    /// By key, past every cache.
    pub accounts: Gathered<AccountKey, AccountRow>,
    pub copies: Copies,
    pub clock: Clock,
    pub passwords: Passwords,
    pub lockout: Lockout,
    pub keys: TokenKeys,
    pub view: ProfileView,
}

impl Verifier for LocalVerifier {
    fn password(&self, request: VerifyPasswordRequest) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(self.verify_password(request))
    }

    fn token(&self, request: VerifyTokenRequest) -> BoxFuture<'_, Result<VerifiedToken>> {
        Box::pin(self.verify_token(request))
    }
}

impl LocalVerifier {
    /// Username and password of the system app. Unknown user, no password and wrong password cost the same work
    /// and give the same answer; only wrong passwords that were looked at are counted.
    async fn verify_password(&self, request: VerifyPasswordRequest) -> Result<Identity> {
        let VerifyPasswordRequest { username, password, address, attempt } = request;
        let address: IpAddr = address.parse().map_err(|e| Error::parameter("address", e))?;
        let network = network_of(address);
        let key = AccountKey { app_id: self.view.system_app.clone(), uid: username };
        let account = self.accounts.get(key.clone()).await?;
        let known = account.as_ref().map(|a| a.known_addresses.clone()).unwrap_or_default();
        let is_known = known.split(',').any(|a| a.parse() == Ok(network));
        if self.lockout.is_locked(&key.uid, address, is_known).await {
            return Err(Code::WrongCredentials.into());
        }
        let hash = account.as_ref().and_then(|a| a.password_hash.as_deref());
        let matches = self.passwords.verify(&password, hash).await?;
        let (true, Some(account)) = (matches, account) else {
            self.lockout.failed(&key.uid, address, &attempt).await;
            return Err(Code::WrongCredentials.into());
        };
        self.remember_address(&key, &known, network).await;
        // Of the row that was checked: a change made meanwhile must not bless the old password.
        self.identity(&account)
    }

    /// Keeps the address first in the list of those that succeeded. Losing one only means that it is counted
    /// like any other until it succeeds again.
    async fn remember_address(&self, key: &AccountKey, known: &str, address: IpAddr) {
        let newest = address.to_string();
        if known.split(',').next() == Some(&newest) {
            return;
        }
        let older = known.split(',').filter(|a| !a.is_empty() && *a != newest);
        let list: Vec<&str> = std::iter::once(newest.as_str()).chain(older).take(KNOWN_ADDRESSES).collect();
        let (key, list) = (key.clone(), list.join(","));
        let kept = self.db.write(move |conn| Ok(store::update_known_addresses(conn, &key, &list)?)).await;
        if let Err(e) = kept {
            log::warn!("an address that succeeded could not be kept: {}", e.chain());
        }
    }

    async fn verify_token(&self, request: VerifyTokenRequest) -> Result<VerifiedToken> {
        let owner = tokens::verify_any(&request.token, &self.keys, &self.clock, &self.copies, &self.db).await?;
        let account = self.accounts.get(owner.key).await?.ok_or(Code::TokenInvalid)?;
        Ok(VerifiedToken { identity: self.identity(&account)?, id: owner.id, expires_at: owner.expires_at })
    }

    fn identity(&self, account: &AccountRow) -> Result<Identity> {
        let profile = self.view.profile(account)?;
        Ok(Identity {
            app_id: profile.app_id,
            uid: profile.uid,
            is_admin: profile.is_admin,
            credential_version: profile.credential_version,
        })
    }
}
