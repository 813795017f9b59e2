//! From settings to a running service.

use crate::domain::Core;
use crate::settings::ImAuthSettings;
use crate::{routes, store};
use service_kit::db::Db;
use service_kit::health::Health;
use service_kit::server::{Environment, Listeners, Running, Spec, Upgrade, serve};
use service_kit::settings::{Apps, Common};
use service_kit::{Error, Result};

/// Starts the service as a process of its own.
pub async fn start(common: Common, settings: ImAuthSettings) -> Result<Running> {
    let environment = Environment::of_process(&common).await?;
    start_in(common, settings, environment).await
}

/// Starts the service; `kith` and tests give it their state store.
pub async fn start_in(common: Common, settings: ImAuthSettings, environment: Environment) -> Result<Running> {
    let listeners = Listeners::bind(&settings)?;
    let Environment { state, clock, metrics } = environment.named("svc-im-auth");
    let apps = Apps::from_settings(&common).map_err(Error::internal)?;
    let db = Db::open(&common.database("im_auth", &settings.database_url), &store::MIGRATIONS).await?;
    let core = Core::new(&settings, db.clone(), state.clone(), clock, apps)?;

    let health = Health::of_service(&db, &state);
    service_kit::metrics::register_service(&metrics, &db, &state);
    let sweep = actix_rt::spawn(core.clone().sweep_tokens());
    let (public, internal) = (core.clone(), core);
    let running = serve(
        &Spec::new("svc-im-auth", &common, health, metrics),
        listeners,
        move |cfg| routes::public(cfg, public.clone()),
        move |cfg| routes::internal(cfg, internal.clone()),
        None::<fn() -> Upgrade>,
    )
    .map_err(Error::internal)?;
    Ok(running.before_stop(move || async move { sweep.abort() }).after_stop(move || async move { db.close().await }))
}
