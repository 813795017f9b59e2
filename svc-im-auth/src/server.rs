//! From settings to a running service.

use crate::domain::Core;
use crate::settings::ImAuthSettings;
use crate::{routes, store};
use service_kit::server::{Running, Upgrade, serve};
use service_kit::service::{Base, Environment};
use service_kit::settings::Common;
use service_kit::{Error, Result};

/// Starts the service as a process of its own.
pub async fn start(common: Common, settings: ImAuthSettings) -> Result<Running> {
    let environment = Environment::of_process(&common).await?;
    start_in(common, settings, environment).await
}

/// Starts the service in an environment that is given.
pub async fn start_in(common: Common, settings: ImAuthSettings, environment: Environment) -> Result<Running> {
    let base = Base::prepare("svc-im-auth", &common, &settings, store::MIGRATIONS, environment).await?;
    let Base { db, state, clock, apps, listeners, spec, .. } = base;
    let core = Core::new(&settings, db.clone(), state, clock, apps)?;
    let sweep = actix_rt::spawn(core.clone().sweep_tokens());
    let (public, internal) = (core.clone(), core);
    let running = serve(
        &spec,
        listeners,
        move |cfg| routes::public(cfg, public.clone()),
        move |cfg| routes::internal(cfg, internal.clone()),
        None::<fn() -> Upgrade>,
    )
    .map_err(Error::internal)?;
    Ok(running.before_stop(move || async move { sweep.abort() }).after_stop(move || async move { db.close().await }))
}
