//! From settings to a running service.

use crate::domain::{AccountDelivery, Admin, Core, Providers, outbox};
use crate::settings::ImAuthSettings;
use crate::{api, metrics, routes, sockets, store};
use service_kit::db::Db;
use service_kit::media::{LinkBase, MediaStore};
use service_kit::presence::Presence;
use service_kit::server::{Running, serve};
use service_kit::service::{Base, Environment, open_database};
use service_kit::settings::{Apps, Common};
use service_kit::state::State;
use service_kit::{Code, Error, Result};
use std::time::Duration;

/// Sockets that are told to close have so long, where there is time.
const SOCKETS_END: Duration = Duration::from_secs(8);

/// Of the time that is `left`, so much for sockets that their peers have yet to leave: presence comes after them, and
/// all of these users would be online for another lease without it.
fn for_sockets(left: Duration) -> Duration {
    SOCKETS_END.min(left.saturating_sub(Presence::DRAIN))
}

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
    let outside = AccountDelivery::default();
    let outbox = outbox(&db, &clock, &providers, outside.clone(), &registry);
    let core = Core::new(&settings, db.clone(), state, clock, apps, providers, outbox.clone())?;
    outside.begin(&core);
    metrics::register(&spec, &core);
    let sweep = actix_rt::spawn(core.clone().sweep_expired());
    let look = actix_rt::spawn(core.clone().look_after_sockets());
    let (public, internal, ending) = (core.clone(), core.clone(), core.clone());
    let running = serve(
        &spec.with_document(api::document),
        listeners,
        move |cfg| routes::public(cfg, public.clone(), media.clone(), links.clone()),
        move |cfg| routes::internal(cfg, internal.clone()),
        Some(sockets::upgrade(core, spec.context())),
    )
    .map_err(Error::internal)?;
    Ok(running
        .before_stop(move |left| async move {
            ending.sockets.close_all(for_sockets(left)).await;
            ending.presence.drain().await;
            sweep.abort();
            look.abort();
        })
        .after_stop(move || async move {
            outbox.stop().await;
            db.close().await;
        }))
}

/// The service's database by itself, its schema up to date, for the commands of `kith`.
pub async fn database(common: &Common, settings: &ImAuthSettings) -> Result<Db> {
    open_database("kith", common, settings, store::MIGRATIONS).await
}

/// What operators do to accounts, on that database.
pub async fn admin(common: &Common, settings: &ImAuthSettings) -> Result<Admin> {
    let wrong = |e: String| Error::new(Code::Internal, e);
    let apps = Apps::from_settings(common).map_err(wrong)?;
    // What is in memory is another process's.
    let state = match common.state.url.expose() {
        "memory:" => None,
        _ => Some(State::open(&common.state).await.map_err(wrong)?),
    };
    Ok(Admin::new(database(common, settings).await?, apps, settings, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_sockets_leaves_presence_its_time() {
        for (left, sockets) in [(21, 8), (14, 8), (9, 3), (6, 0), (0, 0)] {
            assert_eq!(for_sockets(Duration::from_secs(left)), Duration::from_secs(sockets), "{left} s left");
        }
    }
}
