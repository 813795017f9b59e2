//! One claimed lane: deliver its first intents, settle them, give it back.

use super::backoff::pause;
use super::claim::{Claimed, drop_if_empty, release};
use super::store::{self, IntentRow};
use super::worker::later;
use super::{Intent, Kind, Outbox, Pending, Undelivered};
use crate::error::Result;
use shared_models::Stamp;
use std::sync::atomic::Ordering;
use tokio::time::{Instant, timeout_at};

/// What became of a batch.
#[derive(Default)]
struct Outcome {
    /// Id and version.
    delivered: Vec<(i64, i64)>,
    refused: Vec<(i64, i64, String)>,
    later: Option<String>,
}

pub(super) async fn process(outbox: Outbox, claimed: Claimed) {
    let Some((name, kind)) = outbox.0.kinds.get_key_value(claimed.kind.as_str()) else { return };
    let done = match outbox.intents(&claimed, kind.batch).await {
        Ok(batch) => {
            let outcome = outbox.deliver(kind, &claimed, &batch).await;
            outbox.settle(name, claimed, batch, outcome).await
        }
        Err(e) => Err(e),
    };
    // The claim ends by itself, and then the lane is somebody's again.
    if let Err(e) = done {
        log::warn!("outbox: {}", e.chain());
    }
}

impl Outbox {
    async fn intents(&self, claimed: &Claimed, limit: usize) -> Result<Vec<IntentRow>> {
        let (kind, lane) = (claimed.kind.clone(), claimed.lane.clone());
        self.0.db.read(move |conn| Ok(store::list_intents(conn, &kind, &lane, limit)?)).await
    }

    /// Delivers the batch; where it is refused, each intent by itself, so that one bad one does not bury the rest.
    async fn deliver(&self, kind: &Kind, claimed: &Claimed, batch: &[IntentRow]) -> Outcome {
        let deadline = Instant::now() + self.0.options.delivery;
        let mut outcome = Outcome::default();
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let pending: Vec<Pending> =
                part.iter().map(|row| Pending { key: row.key.clone(), detail: row.detail.clone() }).collect();
            let delivery = timeout_at(deadline, kind.deliver.deliver(&claimed.lane, &pending)).await;
            let ids = part.iter().map(|row| (row.id, row.version));
            match delivery.unwrap_or_else(|_| Err(Undelivered::Later("not delivered in time".into()))) {
                Ok(()) => outcome.delivered.extend(ids),
                Err(Undelivered::Refused(why)) if part.len() == 1 => {
                    log::error!("outbox: dead letter: {} {}: {why}", claimed.kind, claimed.lane);
                    outcome.refused.extend(ids.map(|(id, version)| (id, version, why.clone())));
                }
                // In their order, as the last one is taken first.
                Err(Undelivered::Refused(_)) => parts.extend(part.chunks(1).rev()),
                Err(Undelivered::Later(why)) => {
                    log::warn!("outbox: {} {}: {why}", claimed.kind, claimed.lane);
                    outcome.later = Some(why);
                    break;
                }
            }
        }
        outcome
    }

    async fn settle(
        &self,
        kind: &'static str,
        claimed: Claimed,
        batch: Vec<IntentRow>,
        outcome: Outcome,
    ) -> Result<()> {
        let counters = &self.0.counters;
        counters.delivered.fetch_add(outcome.delivered.len() as u64, Ordering::Relaxed);
        counters
            .failed
            .fetch_add((outcome.refused.len() + usize::from(outcome.later.is_some())) as u64, Ordering::Relaxed);
        let now = self.0.clock.now();
        let failures = if outcome.later.is_some() { claimed.failures.saturating_add(1) } else { 0 };
        let due = match u32::try_from(failures) {
            Ok(n) if n > 0 => later(now, pause(&self.0.options, n)),
            _ => now,
        };
        let patience = i64::try_from(self.0.options.patience.as_millis()).unwrap_or(i64::MAX);
        let too_old = Stamp(now.0.saturating_sub(patience));
        let (lane, shared) = (claimed.lane.clone(), claimed);
        let held = self
            .0
            .db
            .transaction(move |conn| {
                let reason = outcome.later.as_deref().unwrap_or_default();
                if !release(conn, &shared, due, failures, reason)? {
                    return Ok(false);
                }
                store::delete_delivered(conn, &outcome.delivered)?;
                for (id, version, why) in &outcome.refused {
                    store::bury(conn, &[(*id, *version)], why)?;
                }
                if outcome.later.is_some() {
                    store::bury_older(conn, &shared.kind, &shared.lane, too_old, reason)?;
                }
                drop_if_empty(conn, &shared)?;
                Ok(true)
            })
            .await?;
        if held {
            return Ok(());
        }
        // The claim ran out while we sent: another worker may have sent newer state before ours arrived. Whatever
        // stands there now, sending the current state once more puts it right.
        log::warn!("outbox: a claim ran out during its delivery: {kind} {lane}");
        self.renew(kind, lane, batch, now).await
    }

    async fn renew(&self, kind: &'static str, lane: String, batch: Vec<IntentRow>, now: Stamp) -> Result<()> {
        let intents: Vec<Intent> = batch
            .into_iter()
            .map(|row| Intent { kind, lane: lane.clone(), key: row.key, detail: row.detail })
            .collect();
        self.0
            .db
            .transaction(move |conn| {
                for intent in &intents {
                    store::enqueue(conn, intent, now)?;
                }
                Ok(())
            })
            .await
    }
}
