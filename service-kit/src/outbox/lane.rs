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
    halt: Option<Halt>,
}

/// Why the rest of a batch has to wait.
enum Halt {
    Trouble(String),
    OutOfTime,
}

impl Halt {
    fn reason(&self) -> &str {
        match self {
            Self::Trouble(why) => why,
            Self::OutOfTime => "not delivered in time",
        }
    }
}

pub(super) async fn process(outbox: Outbox, claimed: Claimed) {
    let Some(kind) = outbox.0.kinds.get(claimed.kind.as_str()) else { return };
    let done = match outbox.intents(&claimed, kind.batch).await {
        Ok(batch) => {
            let outcome = outbox.deliver(kind, &claimed, &batch).await;
            outbox.settle(claimed, batch, outcome).await
        }
        Err(e) => Err(e),
    };
    // The claim ends by itself, and then the lane is somebody's again.
    if let Err(e) = done {
        log::warn!("outbox: {}", e.chain());
    }
}

impl Outbox {
    /// The lane's first intents; fewer after each failure, as what is too much at once may do in parts.
    async fn intents(&self, claimed: &Claimed, batch: usize) -> Result<Vec<IntentRow>> {
        let halvings = u32::try_from(claimed.failures).unwrap_or_default();
        let limit = batch.checked_shr(halvings).unwrap_or_default().max(1);
        let (kind, lane) = (claimed.kind.clone(), claimed.lane.clone());
        self.0.db.read(move |conn| Ok(store::list_intents(conn, &kind, &lane, limit)?)).await
    }

    /// Delivers the batch; where it is refused, its halves, so that one bad intent does not bury the rest.
    async fn deliver(&self, kind: &Kind, claimed: &Claimed, batch: &[IntentRow]) -> Outcome {
        let deadline = Instant::now() + self.0.options.delivery;
        let mut outcome = Outcome::default();
        let mut parts: Vec<Vec<&IntentRow>> = vec![batch.iter().collect()];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let pending: Vec<Pending> =
                part.iter().map(|row| Pending::new(row.key.clone(), row.detail.clone())).collect();
            let delivery = timeout_at(deadline, kind.deliver.deliver(&claimed.lane, &pending)).await;
            let mut left = Vec::new();
            for (row, pending) in part.into_iter().zip(&pending) {
                if matches!(delivery, Ok(Ok(()))) || pending.done.load(Ordering::Relaxed) {
                    outcome.delivered.push((row.id, row.version));
                } else {
                    left.push(row);
                }
            }
            match delivery {
                Ok(Ok(())) => {}
                Ok(Err(Undelivered::Refused(why))) => match left.as_slice() {
                    [row] => {
                        log::error!("outbox: dead letter: {} {}: {why}", claimed.kind, claimed.lane);
                        outcome.refused.push((row.id, row.version, why));
                    }
                    // In their order, as the last one is taken first.
                    _ => {
                        let second = left.split_off(left.len() / 2);
                        parts.extend([second, left]);
                    }
                },
                Ok(Err(Undelivered::Later(why))) => outcome.halt = Some(Halt::Trouble(why)),
                Err(_) => outcome.halt = Some(Halt::OutOfTime),
            }
            if let Some(halt) = &outcome.halt {
                log::warn!("outbox: {} {}: {}", claimed.kind, claimed.lane, halt.reason());
                break;
            }
        }
        outcome
    }

    async fn settle(&self, claimed: Claimed, batch: Vec<IntentRow>, outcome: Outcome) -> Result<()> {
        let counters = &self.0.counters;
        counters.delivered.fetch_add(outcome.delivered.len() as u64, Ordering::Relaxed);
        let has_moved = !(outcome.delivered.is_empty() && outcome.refused.is_empty());
        let failures = match &outcome.halt {
            None => 0,
            // Too much for the time, but on its way.
            Some(Halt::OutOfTime) if has_moved => 0,
            // The first in a row: something was done before it.
            Some(_) if has_moved => 1,
            Some(_) => claimed.failures.saturating_add(1),
        };
        counters.failed.fetch_add((outcome.refused.len() + usize::from(failures > 0)) as u64, Ordering::Relaxed);
        let now = self.0.clock.now();
        let due = match u32::try_from(failures) {
            Ok(n) if n > 0 => later(now, pause(&self.0.options, n)),
            _ => now,
        };
        let patience = i64::try_from(self.0.options.patience.as_millis()).unwrap_or(i64::MAX);
        let too_old = Stamp(now.0.saturating_sub(patience));
        let (kind, lane, shared) = (claimed.kind.clone(), claimed.lane.clone(), claimed);
        let held = self
            .0
            .db
            .transaction(move |conn| {
                let reason = outcome.halt.as_ref().map(Halt::reason).unwrap_or_default();
                if !release(conn, &shared, due, failures, reason)? {
                    return Ok(false);
                }
                store::delete_delivered(conn, &outcome.delivered)?;
                for (id, version, why) in &outcome.refused {
                    store::bury(conn, &[(*id, *version)], why)?;
                }
                if outcome.halt.is_some() && !has_moved {
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
        let intent =
            |row: IntentRow| Intent { kind: kind.clone().into(), lane: lane.clone(), key: row.key, detail: row.detail };
        let intents: Vec<Intent> = batch.into_iter().map(intent).collect();
        self.0.db.transaction(move |conn| Ok(store::enqueue_all(conn, &intents, now)?)).await
    }
}
