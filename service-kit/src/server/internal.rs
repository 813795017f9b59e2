//! The internal listener.

use super::Spec;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::wire;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, web};
use std::fmt::Write;

pub(crate) const INTERNAL_TOKEN: HeaderName = HeaderName::from_static("x-kith-internal-token");

struct Shown {
    token: Secret,
    health: crate::health::Health,
    metrics: Vec<Metrics>,
}

pub(super) fn app<I>(
    spec: Spec,
    routes: I,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = Error, InitError = ()>
    + use<I>,
>
where
    I: Fn(&mut web::ServiceConfig),
{
    let shown = Shown { token: spec.internal_token, health: spec.health, metrics: spec.metrics };
    App::new()
        .app_data(web::Data::new(shown))
        .wrap(from_fn(guard))
        .service(web::resource("/healthz").route(web::get().to(healthz)))
        .service(web::resource("/readyz").route(web::get().to(readyz)))
        .service(web::resource("/metrics").route(web::get().to(metrics)))
        .service(web::scope("/internal").configure(routes))
        .default_service(web::to(wire::unknown_path))
}

/// Without the internal token `/internal/…` does not exist.
async fn guard<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if req.path().starts_with("/internal") {
        let given = req.headers().get(INTERNAL_TOKEN).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let token = req.app_data::<web::Data<Shown>>().map(|s| &s.token);
        if !token.is_some_and(|t| !t.is_empty() && t.matches(given)) {
            let answer = wire::unknown_path(req.request().clone()).await;
            return Ok(req.into_response(answer));
        }
    }
    next.call(req).await.map(ServiceResponse::map_into_boxed_body)
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body("ok\n")
}

async fn readyz(shown: web::Data<Shown>) -> HttpResponse {
    let readiness = shown.health.readiness().await;
    let mut answer = if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(readiness)
}

async fn metrics(shown: web::Data<Shown>) -> HttpResponse {
    let mut out = String::new();
    for metrics in &shown.metrics {
        match metrics.render() {
            Ok(text) => drop(write!(out, "{}", text.trim_end_matches("# EOF\n"))),
            Err(e) => log::error!("metrics: {e}"),
        }
    }
    out.push_str("# EOF\n");
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8"))
        .body(out)
}
