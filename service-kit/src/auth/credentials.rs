//! The credential check of family C, which sends username and password with every call (design §5.4).
//!
//! A password that was verified once is remembered in the process under a keyed hash, together with the account's
//! credential version and the address it came from, and counts as long as the directory shows that version. A token
//! that was verified once costs one look into the state store (`tokens`).

use super::lockout::{Lockout, network_of};
use super::tokens::Tokens;
use crate::clock::Clock;
use crate::copies::Copies;
use crate::directory::Directory;
use crate::error::{Code, Error, Result};
use crate::internal::InternalClient;
use crate::random;
use crate::secret::Secret;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use rand::Rng;
use sha2::Sha256;
use shared_models::internal::{AccountKey, Identity, VerifiedToken, VerifyPasswordRequest, VerifyTokenRequest};
use shared_models::{AppId, Uid};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A verified password is remembered at most so long.
const REMEMBERED: Duration = Duration::from_secs(3600);
const CAPACITY: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// A check waits so long in all, in its queue and for its answer: callers are told within two seconds.
const PATIENCE: Duration = Duration::from_millis(1_900);
/// First checks of one username are made one after another, so that parallel guesses are counted guesses; usernames
/// share this many queues.
const QUEUES: usize = 256;

/// What a caller proves itself with.
#[derive(Clone)]
pub struct Credential {
    pub username: Uid,
    pub password: Option<Secret>,
    /// Counts instead of the password where both are given.
    pub token: Option<Secret>,
}

/// Checks credentials where they are kept: svc-im-auth.
pub trait Verifier: Send + Sync + 'static {
    fn password(&self, request: VerifyPasswordRequest) -> BoxFuture<'_, Result<Identity>>;
    fn token(&self, request: VerifyTokenRequest) -> BoxFuture<'_, Result<VerifiedToken>>;
}

impl Verifier for InternalClient {
    fn password(&self, request: VerifyPasswordRequest) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async move { self.call("/internal/credentials/verify", &request).await })
    }

    fn token(&self, request: VerifyTokenRequest) -> BoxFuture<'_, Result<VerifiedToken>> {
        Box::pin(async move { self.call("/internal/tokens/verify", &request).await })
    }
}

/// The check. Cheap to clone.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    system_app: AppId,
    lockout: Lockout,
    tokens: Tokens,
    directory: Directory,
    verifier: Box<dyn Verifier>,
    /// Of this process, from its start: nobody can compute what is remembered.
    key: [u8; 64],
    remembered: Mutex<LruCache<[u8; 32], Remembered>>,
    queues: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Remembered {
    credential_version: i64,
    since: Instant,
}

impl Credentials {
    pub fn new(system_app: AppId, lockout: Lockout, directory: Directory, verifier: impl Verifier) -> Self {
        let mut key = [0; 64];
        rand::rng().fill_bytes(&mut key);
        let tokens = Tokens::new(Copies::new(lockout.state().clone()));
        Self(Arc::new(Inner {
            system_app,
            lockout,
            tokens,
            directory,
            verifier: Box::new(verifier),
            key,
            remembered: Mutex::new(LruCache::new(CAPACITY)),
            queues: (0..QUEUES).map(|_| tokio::sync::Mutex::new(())).collect(),
            hasher: RandomState::new(),
        }))
    }

    /// Before the first clone: the copies of token states that this process also writes.
    #[must_use]
    pub fn with_copies(mut self, copies: Copies) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.tokens.copies = copies;
        }
        self
    }

    /// Before the first clone: a clock other than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.tokens.clock = clock;
        }
        self
    }

    /// The account that the credential belongs to, in the system app. Whatever is wrong, the wording is one.
    pub async fn check(&self, credential: &Credential, address: IpAddr) -> Result<Identity> {
        let checked = async {
            match (&credential.token, &credential.password) {
                (Some(token), _) if !token.is_empty() => self.check_token(&credential.username, token).await,
                (_, Some(password)) => self.check_password(&credential.username, password, address).await,
                (_, None) => Err(Error::parameter("password", "missing")),
            }
        };
        let late = || Error::from(Code::Busy).because("the credential check took too long");
        tokio::time::timeout(PATIENCE, checked).await.unwrap_or_else(|_late| Err(late()))
    }

    async fn check_token(&self, username: &Uid, token: &Secret) -> Result<Identity> {
        let identity = match self.recall_token(token).await? {
            Some(identity) => identity,
            None => {
                let request = VerifyTokenRequest { token: token.expose().to_owned() };
                let verified = self.0.verifier.token(request).await.map_err(one_wording)?;
                self.0.tokens.remember(token.expose(), &verified);
                verified.identity
            }
        };
        if identity.uid != *username || identity.app_id != self.0.system_app {
            return Err(Code::WrongCredentials.into());
        }
        Ok(identity)
    }

    async fn recall_token(&self, token: &Secret) -> Result<Option<Identity>> {
        let Some(key) = self.0.tokens.recall(token.expose()).await else { return Ok(None) };
        let profile = self.0.directory.get(&key).await?;
        Ok(profile.map(|p| Identity {
            app_id: key.app_id,
            uid: key.uid,
            is_admin: p.is_admin,
            credential_version: p.credential_version,
        }))
    }

    async fn check_password(&self, username: &Uid, password: &Secret, address: IpAddr) -> Result<Identity> {
        let digest = self.digest(username, password, address);
        // The address is part of what is remembered, so it is one that succeeded: only its own count holds.
        if self.0.lockout.is_locked_here(username, address).await {
            return Err(Code::WrongCredentials.into());
        }
        if let Some(identity) = self.recall(&digest, username).await? {
            return Ok(identity);
        }
        let at = usize::try_from(self.0.hasher.hash_one(username) % QUEUES as u64).unwrap_or_default();
        let _turn = match self.0.queues.get(at) {
            Some(queue) => Some(queue.lock().await),
            None => None,
        };
        // Somebody before in the queue may have verified the same.
        if let Some(identity) = self.recall(&digest, username).await? {
            return Ok(identity);
        }
        let identity = self
            .0
            .verifier
            .password(VerifyPasswordRequest {
                username: username.clone(),
                password: password.expose().to_owned(),
                address: address.to_string(),
                attempt: random::hex(16),
            })
            .await
            .map_err(one_wording)?;
        let remembered = Remembered { credential_version: identity.credential_version, since: Instant::now() };
        self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner).put(digest, remembered);
        Ok(identity)
    }

    async fn recall(&self, digest: &[u8; 32], username: &Uid) -> Result<Option<Identity>> {
        let remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied();
        let Some(remembered) = remembered.filter(|r| r.since.elapsed() < REMEMBERED) else { return Ok(None) };
        let key = AccountKey { app_id: self.0.system_app.clone(), uid: username.clone() };
        let profile = self.0.directory.get(&key).await?;
        Ok(profile.filter(|p| p.credential_version == remembered.credential_version).map(|p| Identity {
            app_id: key.app_id,
            uid: key.uid,
            is_admin: p.is_admin,
            credential_version: p.credential_version,
        }))
    }

    fn digest(&self, username: &Uid, password: &Secret, address: IpAddr) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new(&self.0.key.into());
        // No part holds a NUL.
        for part in [username.as_str(), "\0", &network_of(address).to_string(), "\0", password.expose()] {
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// Refusals must not tell what was wrong; faults stay what they are.
fn one_wording(e: Error) -> Error {
    if e.kind().is_fault() { e } else { Error::from(Code::WrongCredentials) }
}
