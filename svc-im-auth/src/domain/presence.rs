//! Who is online.

use super::Core;
use service_kit::Result;
use service_kit::presence::Platforms;
use shared_models::{AppId, Uid};

impl Core {
    /// Platforms with an open socket, by user, in the order asked.
    pub async fn online(&self, app_id: &AppId, uids: &[Uid]) -> Result<Vec<Platforms>> {
        self.presence.online(app_id, uids).await
    }
}
