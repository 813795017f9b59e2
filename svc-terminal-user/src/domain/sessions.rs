//! Sessions of the binding page: a random id in a cookie, and what it stands for in the state store.

use super::{Core, in_time};
use crate::cache;
use serde::{Deserialize, Serialize};
use service_kit::auth::Credential;
use service_kit::state::Swapped;
use service_kit::{Error, Result, Secret, random};
use shared_models::{Stamp, Uid};
use std::net::IpAddr;
use std::time::Duration;

/// Somebody who is signed in.
pub struct Session {
    pub user_id: Uid,
    /// Proves that a form is this session's own page's.
    pub form_token: Secret,
    id_hash: String,
    credential_version: i64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    user_id: Uid,
    credential_version: i64,
    form_token: String,
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
                form_token: random::hex(16),
                until: self.after(self.rules.session_life).0,
            };
            let stored = serde_json::to_string(&stored).map_err(Error::internal)?;
            self.state.set(&cache::session(&cache::hash(&id)), &stored, self.rules.session_life).await?;
            Ok(id)
        })
        .await
    }

    /// The session of an id; `None` if it has ended, also by a change of the password.
    pub async fn session(&self, id: &str) -> Result<Option<Session>> {
        let id_hash = cache::hash(id);
        let Some(stored) = self.state.get(&cache::session(&id_hash)).await? else { return Ok(None) };
        let Stored { user_id, credential_version, form_token, until } =
            serde_json::from_str(&stored).map_err(Error::internal)?;
        let profile = self.directory.get(&self.system_key(user_id.clone())).await?;
        if until <= self.clock.now().0 || profile.is_none_or(|p| p.credential_version != credential_version) {
            return Ok(None);
        }
        let form_token = Secret::new(form_token);
        Ok(Some(Session { user_id, form_token, id_hash, credential_version }))
    }

    /// Ends a session, and the code that it showed.
    pub async fn sign_out(&self, session: &Session) -> Result<()> {
        let shown = cache::shown_code(&session.id_hash);
        if let Some(shown) = self.state.get(&shown).await?.as_deref().and_then(ShownCode::parse) {
            self.state.delete(&cache::code(&cache::hash(&shown.code))).await?;
        }
        self.state.delete(&shown).await?;
        self.state.delete(&cache::session(&session.id_hash)).await
    }

    /// The code to show: the same again while it is good for a while, so that two windows show one.
    pub async fn code_to_show(&self, session: &Session) -> Result<ShownCode> {
        let key = cache::shown_code(&session.id_hash);
        let mut found = self.state.get(&key).await?;
        // Another window of this session may be first: then its code is shown.
        for _ in 0..3 {
            if let Some(shown) = found.as_deref().and_then(ShownCode::parse)
                && shown.until > self.after(self.rules.code_life / 5)
                && !self.is_used(&shown.code).await?
            {
                return Ok(shown);
            }
            let (code, until) = self.new_code(&session.user_id, session.credential_version).await?;
            let new = ShownCode { code, until };
            match self.state.swap(&key, found.as_deref(), &new.text(), self.rules.code_life).await? {
                Swapped::Done => return Ok(new),
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

impl ShownCode {
    fn text(&self) -> String {
        format!("{} {}", self.code, self.until.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let (code, until) = text.split_once(' ')?;
        Some(Self { code: code.to_owned(), until: Stamp(until.parse().ok()?) })
    }
}
