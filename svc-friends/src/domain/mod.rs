//! What the service decides. Knows neither HTTP nor SQL.

mod ledger;
mod lists;
mod people;
mod relations;
#[cfg(test)]
mod statements;
mod times;
mod who;

pub use ledger::Limits;
pub use lists::{Entry, Place};
pub use people::{Avatar, View};
pub use times::{Times, read_compact, read_local};
pub use who::Caller;

use crate::store::constants;
use crate::store::owners::OwnerRow;
use service_kit::clock::Clock;
use service_kit::db::{Db, Gathered};
use service_kit::directory::Directory;
use service_kit::internal::InternalClient;
use service_kit::media::MediaStore;
use service_kit::settings::{Apps, UtcOffset};
use service_kit::turns::Turns;
use service_kit::{Code, Error, Result};
use std::sync::Arc;
use who::Person;

/// The service's parts, shared by all handlers. Cheap to clone.
#[derive(Clone)]
pub struct Core(Arc<Parts>);

/// What [`Core`] is made of.
pub struct Parts {
    pub db: Db,
    /// By row key: whether a user is known, and wants to be asked.
    pub owners: Gathered<String, OwnerRow>,
    /// Of users whose lists change.
    pub turns: Turns<Person>,
    /// Of imports: one at a time, whatever the database. Two that name the same users would wait for each other inside
    /// it, and a few dozen would take every thread from those who only read, or one writer from all others for
    /// seconds. An import takes no user's turn: of two thousand users it would hold those of half the world, while it
    /// waits for the rest.
    pub imports: Turns<()>,
    pub clock: Clock,
    pub times: Times,
    pub apps: Apps,
    pub limits: Limits,
    pub directory: Directory,
    pub im_auth: InternalClient,
    pub media: MediaStore,
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
}

/// Refuses an offset other than the one that this database was first used with: clients hold cursors written in it.
pub async fn settle_offset(db: &Db, offset: UtcOffset) -> Result<()> {
    let given = offset.to_string();
    let asked = given.clone();
    let settled = db.transaction(move |conn| Ok(constants::settle_constant(conn, "utc_offset", &asked)?)).await?;
    if settled == given {
        return Ok(());
    }
    let text = format!("utc_offset: this database was first used with {settled}, and clients hold timestamps in it");
    Err(Error::new(Code::Internal, text))
}
