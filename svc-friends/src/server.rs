//! From settings to a running service.

use crate::domain::{Core, Limits, Parts, Times, settle_offset};
use crate::settings::FriendsSettings;
use crate::{api, routes, store};
use service_kit::db::Db;
use service_kit::directory::Directory;
use service_kit::internal::InternalClient;
use service_kit::media::{LinkBase, MediaStore};
use service_kit::server::{Running, Upgrade, serve};
use service_kit::service::{Base, Environment, open_database};
use service_kit::settings::Common;
use service_kit::turns::Turns;
use service_kit::{Error, Result};

/// Starts the service as a process of its own.
pub async fn start(common: Common, settings: FriendsSettings) -> Result<Running> {
    let environment = Environment::of_process(&common).await?;
    start_in(common, settings, environment).await
}

/// Starts the service in an environment that is given.
pub async fn start_in(common: Common, settings: FriendsSettings, environment: Environment) -> Result<Running> {
    let base = Base::prepare("svc-friends", &common, &settings, store::MIGRATIONS, environment).await?;
    let Base { db, state, clock, apps, listeners, spec, .. } = base;
    settle_offset(&db, common.utc_offset).await?;
    let im_auth = InternalClient::new(&common.internal.im_auth, common.internal.token());
    let core = Core::new(Parts {
        turns: Turns::new(!db.has_one_writer()),
        imports: Turns::new(true),
        owners: store::owners::owners(&db),
        db: db.clone(),
        clock,
        times: Times(common.utc_offset.fixed()),
        apps,
        limits: Limits { max_friends: settings.max_friends, max_pending: settings.max_pending },
        directory: Directory::new(state, im_auth.clone()),
        im_auth,
        media: MediaStore::open(&common)?,
    });
    let links = LinkBase::new(&common);
    let running = serve(
        &spec.with_document(api::document),
        listeners,
        move |cfg| routes::public(cfg, core.clone(), links.clone()),
        routes::internal,
        None::<fn() -> Upgrade>,
    )
    .map_err(Error::internal)?;
    Ok(running.after_stop(move || async move { db.close().await }))
}

/// The service's database by itself, its schema up to date, for the commands of `kith`.
pub async fn database(common: &Common, settings: &FriendsSettings) -> Result<Db> {
    let db = open_database("kith", common, settings, store::MIGRATIONS).await?;
    settle_offset(&db, common.utc_offset).await?;
    Ok(db)
}
