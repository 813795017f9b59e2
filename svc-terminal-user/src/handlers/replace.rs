//! `tu_rk_replace_from_tn` (document 001, X).

use super::Handled;
use super::fields::given;
use crate::domain::{Core, Old, Replace};
use actix_web::web::Data;
use serde::Deserialize;
use service_kit::client::Client;
use service_kit::params::Params;
use service_kit::wire::{RcRm, Reply};
use service_kit::{Error, Secret};
use shared_models::schema::{TuserKeyOrEmpty, UidOrEmpty};
use shared_models::{Text, TuserKey, Uid};
use utoipa::IntoParams;

/// The shipped iOS app sends the new key, username and password and nothing else; an older one both keys
/// (`semantics.md` E.1).
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReplaceKeyRequest {
    /// The new key.
    tuser_key_d: TuserKey,
    /// The old key; counts where a username is given too.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<TuserKeyOrEmpty>)]
    tuser_key_s: Option<TuserKey>,
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<UidOrEmpty>)]
    tuser_uid_s: Option<Uid>,
    #[serde(default, deserialize_with = "given")]
    tuser_pwd_s: Option<Text<128>>,
    app_id: Option<String>,
}

/// `GET|POST /tu_rk_replace_from_tn.action`
#[utoipa::path(get, path = "/tu_rk_replace_from_tn.action", params(ReplaceKeyRequest),
    summary = "Moves what belongs to an old key in an app to a new key",
    description = "The old key is named by itself or by username and password of the account that it is bound to; the \
                   key counts where both are given. Registers an unknown new key. Repeating the call changes nothing.",
    responses((status = 200)),
    extensions(("x-fails" = json!(["BadParameter", "UnknownTerminalUser", "SameKey", "WrongCredentials"]))))]
pub async fn replace_key(core: Data<Core>, client: Client, params: Params<RcRm, ReplaceKeyRequest>) -> Handled {
    let req = params.into_inner();
    let app = core.app(req.app_id.as_deref())?;
    if req.tuser_key_s.is_none() && req.tuser_uid_s.is_some() && req.tuser_pwd_s.is_none() {
        return Err(Error::parameter("tuser_pwd_s", "missing").into());
    }
    let password = req.tuser_pwd_s.map(|password| Secret::new(password.into_inner()));
    let old = Old { key: req.tuser_key_s, account: req.tuser_uid_s.zip(password) };
    let request = Replace { app_id: app.id.clone(), old, new: req.tuser_key_d, address: client.address };
    core.replace(request).await?;
    Ok(Reply::done())
}
