//! Sessions of the binding page: a random id in a cookie, and what it stands for in the state store.
//!
//! The id itself is the browser's alone. The forms' token and the codes are computed from it, so that whoever reads
//! the store has neither; ending a session ends all the codes that it showed, because each names its session.

use super::{Core, in_time};
use crate::cache;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use service_kit::auth::Credential;
use service_kit::state::Swapped;
use service_kit::{Error, Result, Secret, random};
use sha2::Sha256;
use shared_models::{Stamp, Uid};
use std::net::IpAddr;
use std::time::Duration;

/// Somebody who is signed in.
pub struct Session {
    pub user_id: Uid,
    /// Proves that a form is this session's own page's.
    pub form_token: Secret,
    id: Secret,
    id_hash: String,
    credential_version: i64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    user_id: Uid,
    credential_version: i64,
    /// Milliseconds since 1970.
    until: i64,
}

/// The code that a session's page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCode {
    pub code: String,
    pub until: Stamp,
}

impl Core {
    /// Signs in with an account of the system app; answers the new session's id.
    pub async fn sign_in(&self, username: Uid, password: Secret, address: IpAddr) -> Result<String> {
        in_time(async move {
            let credential = Credential { username, password: Some(password), token: None };
            let identity = self.credentials.check(&credential, address).await?;
            let id = random::hex(32);
            let stored = Stored {
                user_id: identity.uid,
                credential_version: identity.credential_version,
                until: self.after(self.rules.session_life).0,
            };
            let stored = serde_json::to_string(&stored).map_err(Error::internal)?;
            // A code that is shown at the session's very end lives on for its own time.
            let kept = self.rules.session_life + self.rules.code_life;
            self.state.set(&cache::session(&cache::hash(&id)), &stored, kept).await?;
            Ok(id)
        })
        .await
    }

    /// The session of an id; `None` if it has ended, also by a change of the password.
    pub async fn session(&self, id: &str) -> Result<Option<Session>> {
        let id_hash = cache::hash(id);
        let Some(stored) = self.state.get(&cache::session(&id_hash)).await? else { return Ok(None) };
        let Stored { user_id, credential_version, until } = serde_json::from_str(&stored).map_err(Error::internal)?;
        let profile = self.directory.get(&self.system_key(user_id.clone())).await?;
        if until <= self.clock.now().0 || profile.is_none_or(|p| p.credential_version != credential_version) {
            return Ok(None);
        }
        let id = Secret::new(id);
        let form_token = Secret::new(computed(&id, "form"));
        Ok(Some(Session { user_id, form_token, id, id_hash, credential_version }))
    }

    /// Ends a session, and with it all codes that it showed.
    pub async fn sign_out(&self, session: &Session) -> Result<()> {
        self.state.delete(&cache::session(&session.id_hash)).await?;
        self.state.delete(&cache::shown_code(&session.id_hash)).await
    }

    /// Whether nobody has signed out of a session, however old it is.
    pub(super) async fn is_kept(&self, session_hash: &str) -> Result<bool> {
        Ok(self.state.get(&cache::session(session_hash)).await?.is_some())
    }

    /// The code to show: the same again while it is good for a while, so that two windows show one.
    pub async fn code_to_show(&self, session: &Session) -> Result<ShownCode> {
        let key = cache::shown_code(&session.id_hash);
        let mut found = self.state.get(&key).await?;
        // Another window of this session may be first: then its code is shown.
        for _ in 0..3 {
            if let Some(shown) = found.as_deref().and_then(|text| session.shown(text))
                && shown.until > self.after(self.rules.code_life / 5)
                && !self.is_used(&shown.code).await?
            {
                return Ok(shown);
            }
            let nonce = random::hex(16);
            let code = session.code(&nonce);
            let until = self.keep_code(session, &code).await?;
            let text = format!("{nonce} {}", until.0);
            match self.state.swap(&key, found.as_deref(), &text, self.rules.code_life).await? {
                Swapped::Done => return Ok(ShownCode { code, until }),
                Swapped::Found(other) => found = other,
            }
        }
        Err(service_kit::Code::Busy.into())
    }

    /// How long a stamp is ahead, in whole seconds, rounded up.
    pub fn seconds_until(&self, stamp: Stamp) -> i64 {
        (stamp.0 - self.clock.now().0 + 999).max(0) / 1000
    }

    fn after(&self, time: Duration) -> Stamp {
        Stamp(self.clock.now().0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Session {
    pub(super) fn id_hash(&self) -> &str {
        &self.id_hash
    }

    pub(super) fn credential_version(&self) -> i64 {
        self.credential_version
    }

    /// 128 bits that nobody knows who has not both the session's id and the nonce.
    fn code(&self, nonce: &str) -> String {
        computed(&self.id, &format!("code {nonce}"))
    }

    fn shown(&self, text: &str) -> Option<ShownCode> {
        let (nonce, until) = text.split_once(' ')?;
        Some(ShownCode { code: self.code(nonce), until: Stamp(until.parse().ok()?) })
    }
}

/// 32 hex digits that a session's id makes for a purpose.
fn computed(id: &Secret, purpose: &str) -> String {
    // An id is no longer than a block; HMAC fills up shorter keys with zeros just so.
    let mut key = [0; 64];
    for (to, from) in key.iter_mut().zip(id.expose().bytes()) {
        *to = from;
    }
    let mut mac = Hmac::<Sha256>::new(&key.into());
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().iter().take(16).map(|b| format!("{b:02x}")).collect()
}
