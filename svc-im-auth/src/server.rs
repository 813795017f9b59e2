//! From settings to a running service.

use crate::domain::{Core, Providers, outbox};
use crate::settings::ImAuthSettings;
use crate::{metrics, routes, sockets, store};
use service_kit::db::Db;
use service_kit::media::{LinkBase, MediaStore};
use service_kit::server::{Running, serve};
use service_kit::service::{Base, Environment, open_database};
use service_kit::settings::Common;
use service_kit::{Error, Result};
use std::time::Duration;

/// Sockets that are told to close have so long.
const SOCKETS_END: Duration = Duration::from_secs(8);

/// Starts the service as a process of its own.
pub async fn start(common: Common, settings: ImAuthSettings) -> Result<Running> {
    let environment = Environment::of_process(&common).await?;
    start_in(common, settings, environment).await
}

/// Starts the service in an environment that is given.
pub async fn start_in(common: Common, settings: ImAuthSettings, environment: Environment) -> Result<Running> {
    let base = Base::prepare("svc-im-auth", &common, &settings, store::MIGRATIONS, environment).await?;
    let Base { db, state, clock, apps, listeners, metrics: registry, spec } = base;
    let (media, links) = (MediaStore::open(&common)?, LinkBase::new(&common));
    let providers = Providers::new(&apps, &common.public_base_url, &clock);
    let outbox = outbox(&db, &clock, &providers, &registry);
    let core = Core::new(&settings, db.clone(), state, clock, apps, providers, outbox.clone())?;
    metrics::register(&spec, &core);
    let sweep = actix_rt::spawn(core.clone().sweep_expired());
    let look = actix_rt::spawn(core.clone().look_after_sockets());
    let (public, internal, ending) = (core.clone(), core.clone(), core.clone());
    let running = serve(
        &spec,
        listeners,
        move |cfg| routes::public(cfg, public.clone(), media.clone(), links.clone()),
        move |cfg| routes::internal(cfg, internal.clone()),
        Some(sockets::upgrade(core, spec.context())),
    )
    .map_err(Error::internal)?;
    Ok(running
        .before_stop(move || async move {
            ending.sockets.close_all(SOCKETS_END).await;
            ending.presence.drain().await;
            sweep.abort();
            look.abort();
        })
        .after_stop(move || async move {
            outbox.stop().await;
            db.close().await;
        }))
}

/// The service's database by itself, for `kith outbox`.
pub async fn database(common: &Common, settings: &ImAuthSettings) -> Result<Db> {
    open_database("kith outbox", common, settings, store::MIGRATIONS).await
}
