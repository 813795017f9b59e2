//! From settings to a running service.

use crate::domain::{Core, Parts, REKEY, RekeyDelivery, Rules};
use crate::settings::TerminalUserSettings;
use crate::{api, routes, store};
use service_kit::auth::{Credentials, Lockout};
use service_kit::db::Db;
use service_kit::directory::Directory;
use service_kit::internal::InternalClient;
use service_kit::media::{LinkBase, MediaStore};
use service_kit::outbox::{Options, Outbox};
use service_kit::server::{Running, Upgrade, serve};
use service_kit::service::{Base, Environment, open_database};
use service_kit::settings::Common;
use service_kit::{Error, Result};

/// Replacements of one app's keys in one delivery: what was done is settled before the next begins, however slow.
const REKEY_BATCH: usize = 1;

/// Starts the service as a process of its own.
pub async fn start(common: Common, settings: TerminalUserSettings) -> Result<Running> {
    let environment = Environment::of_process(&common).await?;
    start_in(common, settings, environment).await
}

/// Starts the service in an environment that is given.
pub async fn start_in(common: Common, settings: TerminalUserSettings, environment: Environment) -> Result<Running> {
    let base = Base::prepare("svc-terminal-user", &common, &settings, store::MIGRATIONS, environment).await?;
    let Base { db, state, clock, apps, listeners, metrics, spec } = base;
    let (media, links) = (MediaStore::open(&common)?, LinkBase::new(&common));
    let im_auth = InternalClient::new(&common.internal.im_auth, common.internal.token());
    let groups = InternalClient::new(&common.internal.groups, common.internal.token());
    let directory = Directory::new(state.clone(), im_auth.clone());
    let lockout = Lockout::new(state.clone(), Vec::new());
    let credentials = Credentials::new(apps.system().id.clone(), lockout, directory.clone(), im_auth.clone())
        .with_clock(clock.clone());
    let outbox = Outbox::builder(db.clone(), clock.clone(), Options::default())
        .kind(REKEY, REKEY_BATCH, RekeyDelivery { groups })
        .start(&metrics);
    let core = Core::new(Parts {
        keys: store::users::keys(&db),
        db: db.clone(),
        state,
        clock,
        apps,
        directory,
        im_auth,
        credentials,
        media,
        outbox: outbox.clone(),
        rules: Rules {
            secrets_by_user_id: settings.secrets_by_user_id(),
            max_records: i64::from(settings.max_records),
            code_life: settings.code_life.into(),
            session_life: settings.session_life.into(),
            utc_offset: common.utc_offset.fixed(),
            public_base_url: common.public_base_url.clone(),
        },
    });
    let sweep = actix_rt::spawn(core.clone().sweep_used_codes());
    let running = serve(
        &spec.with_document(api::document),
        listeners,
        move |cfg| routes::public(cfg, core.clone(), links.clone()),
        routes::internal,
        None::<fn() -> Upgrade>,
    )
    .map_err(Error::internal)?;
    Ok(running.before_stop(move |_| async move { sweep.abort() }).after_stop(move || async move {
        outbox.stop().await;
        db.close().await;
    }))
}

/// The service's database by itself, its schema up to date, for the commands of `kith`.
pub async fn database(common: &Common, settings: &TerminalUserSettings) -> Result<Db> {
    open_database("kith", common, settings, store::MIGRATIONS).await
}
