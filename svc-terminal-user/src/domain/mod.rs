//! What the service decides. Knows neither HTTP nor SQL.

mod binding;
mod courses;
mod lookup;
mod replace;
mod sessions;
mod users;
mod values;

pub use binding::Bound;
pub use courses::{Activity, Course, Kind};
pub use lookup::{Found, Shown, Wanted};
pub use replace::{Old, REKEY, RekeyDelivery, Replace};
pub use sessions::{Session, ShownCode};
pub use users::Basics;
pub use values::{Amount, LnMd5, Moment};

use chrono::FixedOffset;
use service_kit::auth::Credentials;
use service_kit::clock::Clock;
use service_kit::db::{Db, Gathered};
use service_kit::directory::Directory;
use service_kit::internal::InternalClient;
use service_kit::media::MediaStore;
use service_kit::outbox::Outbox;
use service_kit::settings::{App, Apps};
use service_kit::state::State;
use service_kit::{Code, Error, Result};
use shared_models::Uid;
use shared_models::internal::AccountKey;
use std::sync::Arc;
use std::time::Duration;

/// The service's parts, shared by all handlers. Cheap to clone.
#[derive(Clone)]
pub struct Core(Arc<Parts>);

/// What [`Core`] is made of.
pub struct Parts {
    pub db: Db,
    /// Of terminal users, by their IM user ids.
    pub keys: Gathered<String, String>,
    pub state: State,
    pub clock: Clock,
    pub apps: Apps,
    pub directory: Directory,
    pub im_auth: InternalClient,
    pub credentials: Credentials,
    pub media: MediaStore,
    pub outbox: Outbox,
    pub rules: Rules,
}

/// What the settings say.
pub struct Rules {
    pub secrets_by_user_id: bool,
    pub max_records: i64,
    pub code_life: Duration,
    pub session_life: Duration,
    /// How a moment that no client named is written.
    pub utc_offset: FixedOffset,
    /// May be empty.
    pub public_base_url: String,
}

impl std::ops::Deref for Core {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Core {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The app whose request it is: the system app where none is named.
    pub fn app(&self, app_id: Option<&str>) -> Result<Arc<App>> {
        let unknown = || Error::new(Code::UnknownApp, "app_id: no such app");
        let app = match app_id.filter(|id| !id.is_empty()) {
            None => self.apps.system(),
            Some(id) => self.apps.by_id(id).ok_or_else(unknown)?,
        };
        app.admit()?;
        Ok(app.clone())
    }

    fn system_key(&self, uid: Uid) -> AccountKey {
        AccountKey { app_id: self.apps.system().id.clone(), uid }
    }
}

/// A call may need several parts in turn; whichever is slow, its client is told within two seconds.
const PATIENCE: Duration = Duration::from_millis(1_900);

pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Error::from(Code::Busy).because("the parts of this call took too long together");
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
}
