//! Finds lanes of one kind that are due and has each delivered, some at a time.

use super::claim::{Claimed, claim};
use super::{Outbox, lane};
use crate::error::Result;
use crate::random;
use shared_models::Stamp;
use std::borrow::Cow;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

impl Outbox {
    /// Until the process ends.
    pub(super) async fn work(self, name: Cow<'static, str>, mut ending: watch::Receiver<bool>) {
        let Some(kind) = self.0.kinds.get(&name) else { return };
        let mut running = JoinSet::new();
        while !*ending.borrow_and_update() {
            let free = self.0.options.lanes.saturating_sub(running.len());
            let mut idle = true;
            if free > 0 && kind.deliver.is_able() {
                match self.claim(&name, free).await {
                    Ok(claimed) => {
                        idle = claimed.len() < free;
                        for lane in claimed {
                            running.spawn(lane::process(self.clone(), lane));
                        }
                    }
                    Err(e) => log::warn!("outbox: {}", e.chain()),
                }
            }
            if !idle {
                continue;
            }
            tokio::select! {
                Some(_) = running.join_next() => {}
                // With no hands free only an end helps.
                () = kind.wake.notified(), if free > 0 => {}
                () = tokio::time::sleep(self.0.options.poll), if free > 0 => {}
                _ = ending.changed() => {}
            }
        }
        // What is under way ends by itself: each delivery has its limit.
        while running.join_next().await.is_some() {}
    }

    async fn claim(&self, kind: &str, limit: usize) -> Result<Vec<Claimed>> {
        let now = self.0.clock.now();
        let until = later(now, self.0.options.claim);
        let (kind, token) = (kind.to_owned(), random::hex(8));
        self.0.db.transaction(move |conn| Ok(claim(conn, &kind, limit, now, until, &token)?)).await
    }
}

pub(super) fn later(Stamp(now): Stamp, by: Duration) -> Stamp {
    Stamp(now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}
