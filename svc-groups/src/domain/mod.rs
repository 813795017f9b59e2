//! What the service decides. Knows neither HTTP nor SQL.

mod bookmarks;
mod groups;
mod lists;
mod members;
mod provider;
mod rekey;

pub use bookmarks::Bookmarks;
pub use lists::{JoinedGroup, MemberView, Page};
pub use provider::{GROUP, GroupDelivery, SYNC, SyncDelivery};

use crate::store::groups::GroupRow;
use service_kit::Result;
use service_kit::auth::{Credential, Credentials};
use service_kit::clock::Clock;
use service_kit::db::{Db, Gathered};
use service_kit::directory::Directory;
use service_kit::outbox::Outbox;
use service_kit::settings::App;
use service_kit::turns::Turns;
use shared_models::internal::Identity;
use shared_models::{GroupId, Uid};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;

/// What a change concerns, in the order in which it is taken: users come before groups, as in the database. An
/// operation on all groups of a user takes no turn: of some thousand groups it would hold up the first while it waits
/// for the last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Changed {
    /// Those of one user join one after another.
    Joins(Uid),
    Group(GroupId),
}

/// The service's parts, shared by all handlers. Cheap to clone.
#[derive(Clone)]
pub struct Core(Arc<Parts>);

/// What [`Core`] is made of.
pub struct Parts {
    pub db: Db,
    /// By id.
    pub groups: Gathered<GroupId, GroupRow>,
    pub bookmarks: Bookmarks,
    pub turns: Turns<Changed>,
    pub clock: Clock,
    pub directory: Directory,
    pub credentials: Credentials,
    pub outbox: Outbox,
    /// Whether groups are RongCloud's business too.
    pub has_provider: bool,
    /// Groups are always of this app (contract §3).
    pub system_app: Arc<App>,
    pub max_members: i64,
    pub max_groups_per_user: i64,
    /// Groups were dismissed: their memberships are to be deleted.
    pub dismissed: Notify,
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

    /// Who calls. Groups are the system app's, and so is the request.
    pub async fn caller(&self, credential: &Credential, address: IpAddr) -> Result<Identity> {
        self.system_app.admit()?;
        self.credentials.check(credential, address).await
    }
}
