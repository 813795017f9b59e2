//! The internal listener.

use super::Spec;
use super::entry::entry;
use crate::metrics::{Metrics, render_all};
use crate::secret::Secret;
use crate::wire;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, guard, web};

pub(crate) const INTERNAL_TOKEN: HeaderName = HeaderName::from_static("x-kith-internal-token");

/// Where the routes are that other services call.
pub(super) const BELOW: &str = "/internal";

struct Token(Secret);

struct Shown {
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
    let context = spec.internal_context();
    let shown = Shown { health: spec.health, metrics: spec.metrics };
    // Probes and scrapes are not worth a line each; calls are requests like any other.
    let calls = web::scope(BELOW).configure(routes).wrap(from_fn(with_token)).wrap(from_fn(entry));
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    App::new()
        .app_data(web::Data::new(shown))
        .app_data(web::Data::new(Token(spec.internal_token)))
        .app_data(web::Data::new(context))
        .service(web::resource("/healthz").route(read().to(healthz)))
        .service(web::resource("/readyz").route(read().to(readyz)))
        .service(web::resource("/metrics").route(read().to(metrics)))
        .service(calls)
        .default_service(web::to(wire::unknown_path))
}

/// Without the internal token `/internal/…` does not exist.
async fn with_token<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let given = req.headers().get(INTERNAL_TOKEN).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let token = req.app_data::<web::Data<Token>>().map(|t| &t.0);
    if !token.is_some_and(|t| !t.is_empty() && t.matches(given)) {
        let answer = wire::unknown_path(req.request().clone()).await;
        return Ok(req.into_response(answer));
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
    let out = render_all(&shown.metrics);
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8"))
        .body(out)
}
