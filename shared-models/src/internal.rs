//! Messages of the internal API: served on `internal_listen` under `/internal/…`, with the internal token.
//! Answers are bare JSON; failures are [`Failure`] with the HTTP status of their kind.

use crate::{AppId, Gender, Platform, Profile, Stamp, Text, Uid};
use serde::{Deserialize, Serialize};

/// Why an internal call failed: the reason's name in the error table and its public text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub code: String,
    pub detail: Option<String>,
}

/// An account's full name: `(app, uid)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountKey {
    pub app_id: AppId,
    pub uid: Uid,
}

/// `POST /internal/profiles`: at most [`MAX_PROFILES`] keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProfilesRequest {
    pub keys: Vec<AccountKey>,
}

pub const MAX_PROFILES: usize = 1000;

/// The known ones, in no particular order; keys without an account are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProfilesResponse {
    pub profiles: Vec<Profile>,
}

/// `POST /internal/accounts/read`: at most [`MAX_PROFILES`] keys. Read from the database, past every cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountsRequest {
    pub keys: Vec<AccountKey>,
}

/// The known ones, in no particular order; keys without an account are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountsResponse {
    pub accounts: Vec<AccountInfo>,
}

/// What an account tells about its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountInfo {
    pub key: AccountKey,
    pub name: String,
    /// As stored, like [`Profile::icon`].
    pub icon: String,
    pub icon_changed_at: Stamp,
    pub gender: Gender,
    pub mobile: String,
    pub birth: String,
    pub email: String,
    pub ex: String,
    pub region: String,
    pub sign: String,
}

/// `POST /internal/credentials/verify`: username and password of the system app.
#[derive(Clone, Serialize, Deserialize)]
pub struct VerifyPasswordRequest {
    pub username: Uid,
    pub password: String,
    /// The client's address, for the lock-out.
    pub address: String,
    /// A name of its own: made twice, after an answer was lost, the attempt is counted once. Empty: always counted.
    #[serde(default)]
    pub attempt: String,
}

/// `POST /internal/tokens/verify`.
#[derive(Clone, Serialize, Deserialize)]
pub struct VerifyTokenRequest {
    pub token: String,
}

/// Who a credential belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub app_id: AppId,
    pub uid: Uid,
    pub is_admin: bool,
    pub credential_version: i64,
}

/// The answer of `POST /internal/tokens/verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifiedToken {
    pub identity: Identity,
    /// Names the copy of the token's state in the state store.
    pub id: String,
    /// Unix seconds.
    pub expires_at: i64,
}

/// `POST /internal/accounts/ensure`: makes an implicit account if there is none and sets what is given, once per
/// `operation_id`, however often it is delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnsureAccountRequest {
    pub key: AccountKey,
    /// Absent from callers that do not repeat the call, and from those of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<Text<64, 1>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// The account after the call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnsureAccountResponse {
    pub profile: Profile,
}

/// `POST /internal/tokens/issue`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssueTokenRequest {
    pub key: AccountKey,
    pub platform: Platform,
    /// Return a token again that still has half its life before it.
    pub reuse: bool,
    /// Make an implicit account first if there is none.
    #[serde(default)]
    pub ensure: bool,
}

/// `POST /internal/tokens/current`: the newest live token of an account that its app's IM provider issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CurrentTokenRequest {
    pub key: AccountKey,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct CurrentTokenResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct IssueTokenResponse {
    pub token: String,
    /// Unix seconds.
    pub expires_at: i64,
}

/// `POST /internal/memberships/rekey`, of svc-groups: memberships of the system app follow a terminal user whose key
/// was replaced. Done once per `operation_id`, however often it is delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RekeyRequest {
    pub operation_id: Text<64, 1>,
    pub old_uid: Uid,
    pub new_uid: Uid,
    /// When the key was replaced: younger memberships of `new_uid` stay.
    pub before: Stamp,
}
