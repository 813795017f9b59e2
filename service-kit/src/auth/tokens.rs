//! Tokens that were verified once: remembered under a keyed hash, and good for as long as the state store holds the
//! copy of their state that svc-im-auth keeps there for 5 s. So a token costs one look into the store, and every
//! few seconds one call.

use crate::clock::Clock;
use crate::copies::Copies;
use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use rand::Rng;
use sha2::Sha256;
use shared_models::internal::{AccountKey, VerifiedToken};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

const CAPACITY: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

/// What a copy of a live token's state says.
pub const LIVE: &str = "0";

/// The state store's key for the state of a token, by the token's id. svc-im-auth writes there.
pub fn token_state_key(id: &str) -> String {
    format!("token:{id}")
}

pub(super) struct Tokens {
    pub clock: Clock,
    pub copies: Copies,
    /// Of this process, from its start.
    key: [u8; 64],
    known: Mutex<LruCache<[u8; 32], Known>>,
}

#[derive(Clone)]
struct Known {
    owner: AccountKey,
    id: String,
    expires_at: i64,
}

impl Tokens {
    pub fn new(copies: Copies) -> Self {
        let mut key = [0; 64];
        rand::rng().fill_bytes(&mut key);
        Self { clock: Clock::system(), copies, key, known: Mutex::new(LruCache::new(CAPACITY)) }
    }

    /// Whose token this is, if it is known and its state's copy says that it lives; `None`: ask where it is kept.
    pub async fn recall(&self, token: &str) -> Option<AccountKey> {
        let digest = self.digest(token);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()?;
        if known.expires_at <= self.clock.unix_seconds() {
            // A provider may have issued the same text again since: whoever keeps it knows until when.
            self.known.lock().unwrap_or_else(PoisonError::into_inner).pop(&digest);
            return None;
        }
        let copy = self.copies.get(&token_state_key(&known.id)).await;
        (copy.as_deref() == Some(LIVE)).then_some(known.owner)
    }

    pub fn remember(&self, token: &str, verified: &VerifiedToken) {
        let owner = AccountKey { app_id: verified.identity.app_id.clone(), uid: verified.identity.uid.clone() };
        let known = Known { owner, id: verified.id.clone(), expires_at: verified.expires_at };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).put(self.digest(token), known);
    }

    fn digest(&self, token: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(token.as_bytes());
        mac.finalize().into_bytes().into()
    }
}
