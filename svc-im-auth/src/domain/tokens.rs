//! Tokens: JWTs whose state is a row.
//!
//! The row decides. The state store holds copies of states for 5 s; a change overwrites them before its answer, so
//! losing the store, or getting an older state of it back, neither ends a token nor revives one for longer.

use super::{Core, accounts, outside, provider};
use crate::cache;
use crate::settings::TokenSettings;
use crate::store::operations::delete_operations;
use crate::store::tokens as store;
use crate::store::tokens::{Ended, TokenRow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use service_kit::clock::Clock;
use service_kit::copies::Copies;
use service_kit::db::{Db, DbConn};
use service_kit::outbox::enqueue;
use service_kit::presence::Reason;
use service_kit::{Code, Error, Result, random};
use shared_models::internal::AccountKey;
use shared_models::{AppId, Platform, Stamp, Uid};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SECONDS_A_DAY: i64 = 86_400;
/// Rows of expired tokens are kept for so long, so that an expired token is told from one that never was.
const KEEP_EXPIRED_SECONDS: i64 = SECONDS_A_DAY;
const SWEEP_EVERY: Duration = Duration::from_secs(600);
const SWEEP_AT_ONCE: i64 = 500;

/// State of a token, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    Live,
    /// A later socket of the same user and platform ended it.
    Kicked,
    /// force_logout ended it.
    Revoked,
}

impl TokenState {
    pub fn number(self) -> i32 {
        match self {
            Self::Live => 0,
            Self::Kicked => 1,
            Self::Revoked => 2,
        }
    }

    pub fn from_number(n: i32) -> Self {
        match n {
            0 => Self::Live,
            1 => Self::Kicked,
            _ => Self::Revoked,
        }
    }

    pub fn require_live(self) -> Result<()> {
        match self {
            Self::Live => Ok(()),
            Self::Kicked => Err(Code::TokenKicked.into()),
            Self::Revoked => Err(Code::TokenInvalid.into()),
        }
    }
}

/// What a token says. Names and types are the wire's: app servers read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub uid: Uid,
    /// Name of the platform.
    pub platform: String,
    pub app: AppId,
    pub jti: String,
    pub iat: i64,
    pub exp: i64,
}

/// A token for a client.
pub struct Issued {
    pub token: String,
    /// Unix seconds.
    pub expires_at: i64,
}

/// The keys that sign and verify. Cheap to clone.
#[derive(Clone)]
pub struct TokenKeys(Arc<Keys>);

struct Keys {
    signing_kid: String,
    signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    life_seconds: i64,
}

impl TokenKeys {
    pub fn new(settings: &TokenSettings) -> Result<Self> {
        let keys = settings.keys();
        let (kid, signing) = keys.first().ok_or_else(|| Error::internal("no key to sign tokens with"))?;
        Ok(Self(Arc::new(Keys {
            signing_kid: kid.clone(),
            signing: EncodingKey::from_secret(signing.expose().as_bytes()),
            verifying: keys
                .iter()
                .map(|(kid, secret)| (kid.clone(), DecodingKey::from_secret(secret.expose().as_bytes())))
                .collect(),
            life_seconds: i64::from(settings.days) * SECONDS_A_DAY,
        })))
    }

    /// The row of a new token.
    pub fn token_row(&self, key: &AccountKey, platform: Platform, clock: &Clock) -> TokenRow {
        let now = clock.unix_seconds();
        TokenRow {
            id: random::hex(16),
            app_id: key.app_id.as_str().to_owned(),
            uid: key.uid.as_str().to_owned(),
            platform: platform.number().into(),
            issued_at: now,
            expires_at: now + self.0.life_seconds,
            state: TokenState::Live.number(),
            text: None,
        }
    }

    pub(super) fn life_seconds(&self) -> i64 {
        self.0.life_seconds
    }

    /// The token of a row: always the same text while the same key signs.
    pub fn sign(&self, row: &TokenRow) -> Result<Issued> {
        let AccountKey { app_id: app, uid } = accounts::stored_key(&row.app_id, &row.uid)?;
        let platform = Platform::from_number(row.platform.into());
        let platform = platform.ok_or_else(|| Error::internal("a stored token is of no platform"))?;
        let claims = Claims {
            uid,
            platform: platform.name().to_owned(),
            app,
            jti: row.id.clone(),
            iat: row.issued_at,
            exp: row.expires_at,
        };
        let header = Header { kid: Some(self.0.signing_kid.clone()), ..Header::new(Algorithm::HS256) };
        let token = encode(&header, &claims, &self.0.signing).map_err(Error::internal)?;
        Ok(Issued { token, expires_at: row.expires_at })
    }

    /// The claims of a token that one of our keys has signed. 703 what is no token, 702 what is none of ours.
    fn open(&self, token: &str) -> Result<Claims> {
        #[derive(Deserialize)]
        struct Head {
            alg: String,
            kid: Option<String>,
        }
        let mut parts = token.split('.');
        let (Some(head), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Code::TokenMalformed.into());
        };
        let head = URL_SAFE_NO_PAD.decode(head).ok().and_then(|h| serde_json::from_slice::<Head>(&h).ok());
        let head = head.ok_or(Code::TokenMalformed)?;
        let key = head.kid.as_ref().and_then(|kid| self.0.verifying.get(kid));
        // "none" and every other algorithm are refused before any key is touched.
        let (true, Some(key)) = (head.alg == "HS256", key) else { return Err(Code::TokenInvalid.into()) };
        let mut validation = Validation::new(Algorithm::HS256);
        // The time is compared by the caller, with our clock and without leeway.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        match decode::<Claims>(token, key, &validation) {
            Ok(data) => Ok(data.claims),
            Err(e) => Err(Error::from(Code::TokenInvalid).because(e)),
        }
    }
}

/// The claims of a token that lives. 701 expired, 706 kicked, 702 revoked or not ours, 703 no token at all.
async fn verify(token: &str, keys: &TokenKeys, clock: &Clock, copies: &Copies, db: &Db) -> Result<Claims> {
    require_life(keys.open(token)?, clock, copies, db).await
}

async fn require_life(claims: Claims, clock: &Clock, copies: &Copies, db: &Db) -> Result<Claims> {
    if claims.exp <= clock.unix_seconds() {
        return Err(Code::TokenExpired.into());
    }
    token_state(&claims.jti, copies, db).await?.ok_or(Code::TokenInvalid)?.require_live()?;
    Ok(claims)
}

/// A live token of whatever sort, and whose it is.
pub(super) struct Owner {
    pub key: AccountKey,
    pub id: String,
    pub expires_at: i64,
}

/// [`verify`] for builtin tokens and those of a provider, which are known by their text's hash.
pub(super) async fn verify_any(
    token: &str,
    keys: &TokenKeys,
    clock: &Clock,
    copies: &Copies,
    db: &Db,
) -> Result<Owner> {
    let refused = match verify(token, keys, clock, copies, db).await {
        Ok(claims) => {
            let key = AccountKey { app_id: claims.app, uid: claims.uid };
            return Ok(Owner { key, id: claims.jti, expires_at: claims.exp });
        }
        Err(e) if matches!(e.code(), Code::TokenMalformed | Code::TokenInvalid) => e,
        Err(e) => return Err(e),
    };
    let id = provider::token_id(token);
    let began = Instant::now();
    let row = db.read(move |conn| Ok(store::find_token(conn, &id)?)).await?;
    let Some(row) = row.filter(|row| row.text.is_some()) else { return Err(refused) };
    if row.expires_at <= clock.unix_seconds() {
        return Err(Code::TokenExpired.into());
    }
    copies.fill(&[(cache::token_state(&row.id), row.state.to_string())], began).await;
    if row.state != TokenState::Live.number() {
        return Err(Code::TokenInvalid.into());
    }
    let key = accounts::stored_key(&row.app_id, &row.uid)?;
    Ok(Owner { key, id: row.id, expires_at: row.expires_at })
}

async fn token_state(id: &str, copies: &Copies, db: &Db) -> Result<Option<TokenState>> {
    let key = cache::token_state(id);
    if let Some(number) = copies.get(&key).await.and_then(|copy| copy.parse().ok()) {
        return Ok(Some(TokenState::from_number(number)));
    }
    let id = id.to_owned();
    let began = Instant::now();
    let Some(row) = db.read(move |conn| Ok(store::find_token(conn, &id)?)).await? else { return Ok(None) };
    copies.fill(&[(key, row.state.to_string())], began).await;
    Ok(Some(TokenState::from_number(row.state)))
}

/// Ends a user's tokens, on one platform or on all, some at a time, each time together with what `also` does; answers
/// how many. Tokens issued meanwhile may be among them.
pub(super) async fn end_all<F>(
    db: &Db,
    copies: Option<&Copies>,
    key: &AccountKey,
    platform: Option<Platform>,
    now: i64,
    also: F,
) -> Result<usize>
where
    F: Fn(&mut DbConn) -> Result<()> + Clone + Send + 'static,
{
    let revoked = TokenState::Revoked.number();
    let mut count = 0;
    loop {
        let (key, also) = (key.clone(), also.clone());
        let end = move |conn: &mut DbConn| {
            let Ended { ids, more } = store::end_tokens(conn, &key, platform, revoked)?;
            // An earlier call may have ended some, and not come to overwrite their copies.
            let before = if more { Vec::new() } else { store::list_ended(conn, &key, now, store::AT_ONCE)? };
            also(conn)?;
            Ok((ids, more, before))
        };
        let (ids, more, mut states) = db.transaction(end).await?;
        count += ids.len();
        if let Some(copies) = copies {
            states.extend(ids.into_iter().map(|id| (id, revoked)));
            outside::overwrite(copies, &states).await;
        }
        if !more {
            return Ok(count);
        }
    }
}

impl Core {
    /// A new token of a registered account; older ones stay valid.
    pub async fn user_token(&self, key: AccountKey, platform: Platform) -> Result<Issued> {
        let row = self.keys.token_row(&key, platform, &self.clock);
        let issued = self.keys.sign(&row)?;
        if !self.db.write(move |conn| Ok(store::insert_token_of_registered(conn, &row)?)).await? {
            return Err(Code::NotRegistered.into());
        }
        Ok(issued)
    }

    /// A token of the app's IM provider, of any account; with `reuse` one that still has half its life before it, if there is one.
    pub async fn issue_token(&self, key: AccountKey, platform: Platform, reuse: bool) -> Result<Issued> {
        self.issue(key, platform, reuse, false).await
    }

    /// [`issue_token`](Self::issue_token); with `ensure` an account is made if there is none, and none is left where
    /// no token could be had.
    pub async fn issue(&self, key: AccountKey, platform: Platform, reuse: bool, ensure: bool) -> Result<Issued> {
        if let Some(rongcloud) = self.providers.of(&key.app_id) {
            return self.provider_token(rongcloud, key, platform, reuse, ensure).await;
        }
        // An account that is not there has no token to give again.
        let is_missing = ensure && self.directory.get(&key).await?.is_none();
        if reuse && !is_missing {
            let until = self.clock.unix_seconds() + self.keys.0.life_seconds / 2;
            let asked = key.clone();
            let found = self.db.read(move |conn| Ok(store::find_live_token(conn, &asked, platform, until)?)).await?;
            if let Some(row) = found {
                return self.keys.sign(&row);
            }
        }
        let row = self.keys.token_row(&key, platform, &self.clock);
        let issued = self.keys.sign(&row)?;
        if !is_missing {
            self.db.write(move |conn| Ok(store::insert_token(conn, &row)?)).await?;
            return Ok(issued);
        }
        let now = self.clock.now();
        let made = move |conn: &mut DbConn| {
            let account = accounts::ensure_any(conn, &key, now)?;
            store::insert_token(conn, &row)?;
            Ok(account)
        };
        let account = self.db.transaction(made).await?;
        self.directory.changed(self.profile(&account)?).await;
        Ok(issued)
    }

    /// The newest live token that the app's IM provider issued to an account, on any platform.
    pub async fn current_token(&self, key: AccountKey) -> Result<Option<String>> {
        let is_builtin = self.providers.of(&key.app_id).is_none();
        let now = self.clock.unix_seconds();
        let found = self.db.read(move |conn| Ok(store::find_current_token(conn, &key, is_builtin, now)?)).await?;
        match found {
            None => Ok(None),
            Some(TokenRow { text: Some(text), .. }) => Ok(Some(text)),
            Some(row) => Ok(Some(self.keys.sign(&row)?.token)),
        }
    }

    /// The claims of a live token of this app; another app's is invalid here.
    pub async fn verify_token_of(&self, app_id: &AppId, token: &str) -> Result<Claims> {
        let claims = self.keys.open(token)?;
        if claims.app != *app_id {
            return Err(Code::TokenInvalid.into());
        }
        require_life(claims, &self.clock, &self.copies, &self.db).await
    }

    /// Ends all tokens of a user, on one platform or on all, before it returns; their sockets are closed.
    pub async fn force_logout(&self, key: AccountKey, platform: Option<Platform>) -> Result<()> {
        let now = self.clock.unix_seconds();
        end_all(&self.db, Some(&self.copies), &key, platform, now, |_| Ok(())).await?;
        let Err(e) = self.presence.kick_all(&key.app_id, &key.uid, platform, Reason::LoggedOut).await else {
            return Ok(());
        };
        // Other nodes need not know of it: their own connection to the store may be good, and then they look at no
        // token by themselves. So they are told by whichever process first reaches the store.
        log::warn!("sockets on other nodes could not be told to close, and will be: {}", e.chain());
        let now = self.clock.now();
        self.db.transaction(move |conn| Ok(enqueue(conn, &outside::intent(&key), now)?)).await?;
        self.outbox.wake(outside::ACCOUNT);
        Ok(())
    }

    /// The claims of a live token of an app that there is.
    pub async fn verify_token(&self, token: &str) -> Result<Claims> {
        let claims = self.keys.open(token)?;
        if self.apps.by_id(claims.app.as_str()).is_none() {
            return Err(Code::TokenInvalid.into());
        }
        require_life(claims, &self.clock, &self.copies, &self.db).await
    }

    /// Deletes rows of long expired tokens and of operations that nobody repeats any more, now and then, for ever.
    pub async fn sweep_expired(self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            let before = self.clock.unix_seconds() - KEEP_EXPIRED_SECONDS;
            loop {
                let swept = self.db.transaction(move |conn| {
                    let operations = delete_operations(conn, Stamp(before * 1000), SWEEP_AT_ONCE)?;
                    Ok(operations.max(store::delete_expired(conn, before, SWEEP_AT_ONCE)?))
                });
                match swept.await {
                    Ok(n) if i64::try_from(n).unwrap_or_default() == SWEEP_AT_ONCE => {}
                    Ok(_) => break,
                    Err(e) => {
                        log::warn!("expired rows could not be deleted: {}", e.chain());
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod fuzz;
