//! Requests of family C, which bring username and password, or a token, with every call.

use super::Credential;
use crate::params::{self, typed};
use crate::secret::Secret;
use crate::wire::{Dialect, Failure, RetReason};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared_models::{Text, Uid};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AllOfBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A request with credentials, and what else its call takes.
pub struct Signed<T = NoMore> {
    pub credential: Credential,
    pub more: T,
}

/// Of a call that takes nothing else.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignedRequest)]
pub struct NoMore {}

#[derive(Deserialize, ToSchema)]
struct CredentialFields {
    username: Uid,
    password: Option<Text<128>>,
    /// A token issued here, instead of the password; counts where both are given.
    token: Option<Text<4096>>,
}

impl From<CredentialFields> for Credential {
    fn from(CredentialFields { username, password, token }: CredentialFields) -> Self {
        Self { username, password: password.as_deref().map(Secret::new), token: token.as_deref().map(Secret::new) }
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Signed<T> {
    type Error = Failure<RetReason>;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    /// Both parts are read by themselves: serde's `flatten` forgets which field was wrong.
    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let map = params::read(Dialect::RetReason, &req, payload).await?;
            let fields: CredentialFields = typed(map.clone())?;
            Ok(Self { credential: fields.into(), more: typed(map)? })
        })
    }
}

impl<T: PartialSchema> PartialSchema for Signed<T> {
    fn schema() -> RefOr<Schema> {
        AllOfBuilder::new().item(CredentialFields::schema()).item(T::schema()).into()
    }
}

/// Named as its own part, which by itself is no request.
impl<T: ToSchema> ToSchema for Signed<T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CredentialFields::schemas(schemas);
        T::schemas(schemas);
    }
}
