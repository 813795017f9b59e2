//! What the service decides. Knows neither HTTP nor SQL.

mod accounts;
mod admin;
mod credentials;
mod outside;
mod presence;
mod provider;
mod sockets;
mod tokens;

pub use accounts::Registration;
pub use admin::{Admin, ListedAccount};
pub use credentials::LocalVerifier;
pub use outside::AccountDelivery;
pub use provider::{Providers, outbox};
pub use sockets::SocketRequest;
pub use tokens::{Issued, TokenKeys};

use crate::settings::ImAuthSettings;
use crate::sockets::Sockets;
use crate::store::accounts as store;
use crate::store::accounts::AccountRow;
use service_kit::auth::{Credential, Credentials, Lockout, Passwords};
use service_kit::clock::Clock;
use service_kit::copies::Copies;
use service_kit::db::{Db, Gathered};
use service_kit::directory::Directory;
use service_kit::outbox::Outbox;
use service_kit::presence::Presence;
use service_kit::settings::{App, Apps};
use service_kit::state::State;
use service_kit::{Code, Error, Result};
use shared_models::internal::{AccountKey, Identity};
use shared_models::{Profile, Uid};
use std::net::IpAddr;
use std::sync::Arc;

/// The service's parts, shared by all handlers. Cheap to clone.
#[derive(Clone)]
pub struct Core(Arc<Parts>);

/// What [`Core`] is made of.
pub struct Parts {
    pub db: Db,
    /// By key, past every cache.
    pub accounts: Gathered<AccountKey, AccountRow>,
    pub copies: Copies,
    pub clock: Clock,
    pub apps: Apps,
    pub passwords: Passwords,
    pub keys: TokenKeys,
    pub open_registration: bool,
    pub directory: Directory,
    pub profiles: accounts::LocalProfiles,
    pub verifier: LocalVerifier,
    pub credentials: Credentials,
    pub providers: Providers,
    pub outbox: Outbox,
    pub presence: Presence,
    pub sockets: Sockets,
    pub max_sockets: usize,
}

impl std::ops::Deref for Core {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Core {
    /// Puts the parts together; the directory and the credential check look into this very service.
    pub fn new(
        settings: &ImAuthSettings,
        db: Db,
        state: State,
        clock: Clock,
        apps: Apps,
        providers: Providers,
        outbox: Outbox,
    ) -> Result<Self> {
        let passwords = Passwords::start(settings.password_threads)?;
        let lockout = Lockout::new(state.clone(), settings.lockout_exempt.0.clone());
        let keys = TokenKeys::new(&settings.token)?;
        let copies = Copies::new(state.clone());
        let admins = settings.admins().into_iter().collect();
        let view = accounts::ProfileView { system_app: apps.system().id.clone(), admins };
        let profiles = accounts::LocalProfiles { db: db.clone(), view: view.clone() };
        let directory = Directory::new(state.clone(), profiles.clone());
        let accounts = store::accounts(&db);
        let verifier = LocalVerifier {
            db: db.clone(),
            accounts: accounts.clone(),
            copies: copies.clone(),
            clock: clock.clone(),
            passwords: passwords.clone(),
            lockout: lockout.clone(),
            keys: keys.clone(),
            view,
        };
        let credentials = Credentials::new(apps.system().id.clone(), lockout, directory.clone(), verifier.clone())
            .with_copies(copies.clone());
        let sockets = Sockets::default();
        let told = sockets.clone();
        let presence = Presence::start(&state, move |event| told.on_event(event)).map_err(Error::internal)?;
        Ok(Self(Arc::new(Parts {
            db,
            accounts,
            copies,
            clock,
            apps,
            passwords,
            keys,
            open_registration: settings.open_registration(),
            directory,
            profiles,
            verifier,
            credentials,
            providers,
            outbox,
            presence,
            sockets,
            max_sockets: settings.max_sockets,
        })))
    }

    /// The app whose AppServer secret this is (family B), and whose request it is.
    pub fn app_of_secret(&self, secret: &str) -> Result<&Arc<App>> {
        let app = self.apps.by_secret(secret).ok_or(Code::NotAuthorized)?;
        app.admit()?;
        Ok(app)
    }

    /// Who calls; of family C, and so of the system app, whose request it is.
    pub async fn caller(&self, credential: &Credential, address: IpAddr) -> Result<Identity> {
        self.apps.system().admit()?;
        self.credentials.check(credential, address).await
    }

    pub fn system_key(&self, uid: Uid) -> AccountKey {
        AccountKey { app_id: self.apps.system().id.clone(), uid }
    }

    /// What others see of an account.
    pub fn profile(&self, row: &AccountRow) -> Result<Profile> {
        self.profiles.view.profile(row)
    }
}
