//! From settings to a running service.

use crate::domain::{Bookmarks, Core, GROUP, GroupDelivery, Parts, SYNC, SyncDelivery};
use crate::settings::GroupsSettings;
use crate::{api, routes, store};
use service_kit::auth::{Credentials, Lockout};
use service_kit::db::Db;
use service_kit::directory::Directory;
use service_kit::internal::InternalClient;
use service_kit::links::LinkBase;
use service_kit::outbox::{Options, Outbox};
use service_kit::rongcloud::{MAX_USERS, RongCloud};
use service_kit::server::{Running, Upgrade, serve};
use service_kit::service::{Base, Environment, open_database};
use service_kit::settings::Common;
use service_kit::turns::Turns;
use service_kit::{Error, Result};
use tokio::sync::Notify;

/// Starts the service as a process of its own.
pub async fn start(common: Common, settings: GroupsSettings) -> Result<Running> {
    let environment = Environment::of_process(&common).await?;
    start_in(common, settings, environment).await
}

/// Starts the service in an environment that is given.
pub async fn start_in(common: Common, settings: GroupsSettings, environment: Environment) -> Result<Running> {
    let base = Base::prepare("svc-groups", &common, &settings, store::MIGRATIONS, environment).await?;
    let im_auth = InternalClient::new(&common.internal.im_auth, common.internal.token());
    let directory = Directory::new(base.state.clone(), im_auth.clone());
    let lockout = Lockout::new(base.state.clone(), Vec::new());
    let app = base.apps.system().clone();
    let credentials =
        Credentials::new(app.id.clone(), lockout, directory.clone(), im_auth).with_clock(base.clock.clone());

    let (db, clock) = (base.db.clone(), base.clock.clone());
    let mut outbox = Outbox::builder(db.clone(), clock.clone(), Options::default());
    if let Some(settings) = &app.rongcloud {
        let rongcloud = RongCloud::new(settings, clock.clone());
        outbox = outbox.kind(GROUP, MAX_USERS, GroupDelivery { db: db.clone(), rongcloud: rongcloud.clone() }).kind(
            SYNC,
            1,
            SyncDelivery { db: db.clone(), clock: clock.clone(), rongcloud },
        );
    }
    let outbox = outbox.start(&base.metrics);
    let core = Core::new(Parts {
        turns: Turns::new(!db.has_one_writer()),
        groups: store::groups::groups(&db),
        bookmarks: Bookmarks::default(),
        db: db.clone(),
        clock,
        directory,
        credentials,
        outbox: outbox.clone(),
        has_provider: app.rongcloud.is_some(),
        system_app: app,
        max_members: i64::from(settings.max_members),
        max_groups_per_user: i64::from(settings.max_groups_per_user),
        dismissed: Notify::new(),
    });
    let sweep = actix_rt::spawn(core.clone().sweep_dismissed());
    let (public, internal, links) = (core.clone(), core, LinkBase::new(&common));
    let running = serve(
        &base.spec.with_document(api::document),
        base.listeners,
        move |cfg| routes::public(cfg, public.clone(), links.clone()),
        move |cfg| routes::internal(cfg, internal.clone()),
        None::<fn() -> Upgrade>,
    )
    .map_err(Error::internal)?;
    Ok(running.before_stop(move |_| async move { sweep.abort() }).after_stop(move || async move {
        outbox.stop().await;
        db.close().await;
    }))
}

/// The service's database by itself, its schema up to date, for the commands of `kith`.
pub async fn database(common: &Common, settings: &GroupsSettings) -> Result<Db> {
    open_database("kith", common, settings, store::MIGRATIONS).await
}
