//! What a browser brings along.

use super::words::{self, Words};
use crate::domain::Core;
use actix_web::cookie::Cookie;
use actix_web::dev::Payload;
use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use service_kit::client::Client;
use service_kit::params::{query_value, read, typed};
use service_kit::wire::Dialect;
use service_kit::{Error, Result, Secret, random};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;

/// The signed-in session's id.
pub const SESSION: &str = "kith_bind";
/// Proves, twice sent, that the sign-in form is one that we gave this browser.
pub const FORM: &str = "kith_bind_form";

pub struct Visitor {
    pub address: IpAddr,
    pub words: &'static Words,
    pub session_id: Option<Secret>,
    pub form_token: Secret,
    /// Where clients reach us, without a slash at the end.
    pub base_url: String,
    /// The path of that, before `/bind`.
    pub root: String,
    /// Its session was said to have ended.
    pub ended: bool,
    /// Wants a code though it is bound.
    pub again: bool,
}

impl Visitor {
    pub fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    fn of(req: &HttpRequest, client: &Client) -> Result<Self> {
        let core = req.app_data::<Data<Core>>().ok_or_else(|| Error::internal("the service has no core"))?;
        let configured = core.rules.public_base_url.as_str();
        let base_url = if configured.is_empty() { client.base_url.to_string() } else { configured.to_owned() };
        let after_scheme = base_url.split_once("://").map_or("", |(_, rest)| rest);
        let root = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or_default().to_owned();
        let id = |cookie: Cookie<'_>| is_id(cookie.value()).then(|| Secret::new(cookie.value()));
        let language = req.headers().get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Ok(Self {
            address: client.address,
            words: words::of(language),
            session_id: req.cookie(SESSION).and_then(id),
            form_token: req.cookie(FORM).and_then(id).unwrap_or_else(|| Secret::new(random::hex(16))),
            root,
            base_url,
            ended: query_value(req, "ended").is_ok_and(|v| v.is_some()),
            again: query_value(req, "again").is_ok_and(|v| v.is_some()),
        })
    }
}

/// What we give out as ids: hex digits.
fn is_id(value: &str) -> bool {
    (32..=64).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_hexdigit())
}

impl FromRequest for Visitor {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let client = Client::from_request(req, payload).into_inner();
        ready(client.and_then(|client| Self::of(req, &client).map_err(actix_web::error::ErrorBadRequest)))
    }
}

/// A form that was sent, or why it cannot be read; that is said on the page too.
pub struct Posted<T>(pub Result<T>);

impl<T: DeserializeOwned + 'static> FromRequest for Posted<T> {
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        // Forms are read as family A's are.
        Box::pin(async move { Ok(Self(read(Dialect::RcRm, &req, payload).await.and_then(typed))) })
    }
}
