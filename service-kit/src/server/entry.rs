//! What every request passes first and every answer last.

use crate::client::{Client, DRAINING, REQUEST_ID};
use crate::error::Code;
use crate::health::Health;
use crate::log as kit_log;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::wire::{Dialect, Outcome, Routed};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONNECTION, HeaderName, HeaderValue};
use actix_web::http::uri::{PathAndQuery, Uri};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What the entry needs of its process.
#[derive(Clone)]
pub struct Context {
    pub(super) name: &'static str,
    /// What the paths of its routes stand below.
    pub(super) below: &'static str,
    pub(super) gateway_token: Secret,
    /// The header and its value with which a request id and forwarded addresses are believed.
    pub(super) proof: (HeaderName, Secret),
    pub(super) health: Health,
    pub(super) metrics: Option<Metrics>,
}

impl Context {
    pub fn gateway_token(&self) -> &Secret {
        &self.gateway_token
    }

    pub fn is_draining(&self) -> bool {
        self.health.is_draining()
    }

    /// One finished request: metrics, and a line in the access log. The path only: queries carry secrets.
    pub fn finished(&self, line: &AccessLine<'_>) {
        if let Some(metrics) = &self.metrics {
            metrics.request(line.route.clone(), line.outcome.clone(), line.took);
        }
        self.log(line);
    }

    /// One failure, by its envelope's code.
    pub fn failed(&self, dialect: Dialect, code: Code) {
        if let Some(metrics) = &self.metrics {
            metrics.failure(dialect, code);
        }
    }

    /// The line alone, for a server that counts its requests itself.
    pub fn log(&self, line: &AccessLine<'_>) {
        log::info!(
            target: "access",
            service = self.name,
            method = line.method,
            path = line.path,
            status = line.status,
            outcome = &*line.outcome,
            client:% = line.client,
            took_us = u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX);
            "request"
        );
    }
}

/// What the access log tells of a request.
pub struct AccessLine<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// The route's pattern; bounded in number.
    pub route: Cow<'static, str>,
    pub status: u16,
    /// `ok`, or the reason's name.
    pub outcome: Cow<'static, str>,
    pub client: IpAddr,
    pub took: Duration,
}

/// A slash at the end is optional (contract §0); routes have none. What is logged keeps it.
fn take_off_slash(req: &mut ServiceRequest) {
    let short = req.path().strip_suffix('/').filter(|path| !path.is_empty());
    let Some(Ok(short)) = short.map(PathAndQuery::try_from) else { return };
    req.match_info_mut().get_mut().update(&Uri::from(short));
}

pub(super) async fn entry<B: MessageBody>(mut req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let began = Instant::now();
    take_off_slash(&mut req);
    let Some(context) = req.app_data::<web::Data<Context>>().cloned() else {
        return Err(actix_web::error::ErrorInternalServerError("the server has no context"));
    };
    let (header, token) = &context.proof;
    let client = Client::proven_by(header, token, req.headers(), req.peer_addr());
    let id = client.request_id.to_string();
    let address = client.address;
    req.extensions_mut().insert(client);

    kit_log::REQUEST_ID
        .scope(id.clone(), async move {
            let _running = context.metrics.as_ref().map(Metrics::begin);
            let mut res = next.call(req).await?;
            let failed = res.response().extensions().get::<Outcome>().copied();
            if let Some(Outcome { dialect, code }) = failed {
                context.failed(dialect, code);
            }
            let outcome = match failed {
                Some(Outcome { code, .. }) => Cow::Borrowed(code.name()),
                None if res.status().as_u16() < 400 => Cow::Borrowed("ok"),
                None => Cow::Owned(res.status().as_u16().to_string()),
            };
            if let Ok(id) = HeaderValue::from_str(&id) {
                res.headers_mut().insert(REQUEST_ID, id);
            }
            if context.is_draining() {
                res.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                res.headers_mut().insert(DRAINING, HeaderValue::from_static("1"));
            }
            let req = res.request();
            context.finished(&AccessLine {
                method: req.method().as_str(),
                path: req.path(),
                route: match req.app_data() {
                    Some(Routed(path)) => Cow::Owned([context.below, path].concat()),
                    None => Cow::Borrowed("-"),
                },
                status: res.status().as_u16(),
                outcome,
                client: address,
                took: began.elapsed(),
            });
            Ok(res)
        })
        .await
}
