//! Who is online, as far as Redis can know: the leases, looked at not more than twice a second, and the users'
//! values. Whatever is not certain is "unknown", never "offline".

use super::Platforms;
use super::scripts::{Nodes, Scripts, entries};
use super::table::UserKey;
use crate::error::{Code, Error, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long every node had to report before what is missing counts as offline, in ms.
const REPORTING: i64 = 2500;
/// Without any renewal for so long, nobody's lease says anything, in ms.
const SILENCE: i64 = 2000;
/// How long the leases may be used without looking again.
const FRESH: Duration = Duration::from_millis(500);
/// The same where they did not suffice.
const VERY_FRESH: Duration = Duration::from_millis(50);

pub struct View {
    scripts: Scripts,
    seen: Mutex<Option<Arc<Seen>>>,
    /// One look at a time; who waited takes what the other saw.
    looking: tokio::sync::Mutex<()>,
    unknown: AtomicU64,
}

struct Seen {
    at: Instant,
    now: i64,
    generation: u64,
    epoch: String,
    /// Why nothing can be said.
    uncertain: Option<&'static str>,
    ends: HashMap<String, i64>,
}

impl View {
    pub fn new(scripts: Scripts) -> Self {
        Self { scripts, seen: Mutex::default(), looking: tokio::sync::Mutex::default(), unknown: AtomicU64::new(0) }
    }

    /// Answers that had to be "unknown".
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Relaxed)
    }

    pub fn refuse<T>(&self, why: &'static str) -> Result<T> {
        self.unknown.fetch_add(1, Relaxed);
        Err(Error::from(Code::Unreachable).because(why))
    }

    pub async fn online(&self, users: &[UserKey]) -> Result<Vec<Platforms>> {
        let mut seen = self.look(FRESH).await?;
        let mut again = true;
        loop {
            let (generation, epoch, values) = self.scripts.values(users).await?;
            let same = generation == seen.generation && epoch.as_deref() == Some(seen.epoch.as_str());
            let mut stranger = false;
            let mut platforms = |value: &Option<String>| {
                entries(value.as_deref().unwrap_or_default()).fold(Platforms::NONE, |all, (lease, platform)| {
                    let alive = seen.alive(lease);
                    stranger |= alive.is_none();
                    if alive == Some(true) { all | platform } else { all }
                })
            };
            let answer = values.iter().map(&mut platforms).collect();
            // A lease that was not there may be new, or one long gone.
            let doubtful = !same || stranger || seen.uncertain.is_some();
            if doubtful && seen.at.elapsed() > VERY_FRESH && std::mem::take(&mut again) {
                seen = self.look(VERY_FRESH).await?;
                continue;
            }
            return match seen.uncertain {
                Some(why) => self.refuse(why),
                None if !same => self.refuse("Redis has just lost its data"),
                None => Ok(answer),
            };
        }
    }

    async fn look(&self, fresh: Duration) -> Result<Arc<Seen>> {
        let usable = || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            seen.filter(|s| s.at.elapsed() < fresh)
        };
        if let Some(seen) = usable() {
            return Ok(seen);
        }
        let _looking = self.looking.lock().await;
        if let Some(seen) = usable() {
            return Ok(seen);
        }
        let (generation, nodes) = self.scripts.view().await?;
        let seen = Arc::new(Seen::new(generation, nodes));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen.clone());
        Ok(seen)
    }
}

impl Seen {
    fn new(generation: u64, nodes: Nodes) -> Self {
        let uncertain = uncertain(&nodes);
        let Nodes { now, epoch, ends, .. } = nodes;
        Self { at: Instant::now(), now, generation, epoch, uncertain, ends }
    }

    /// `None`: never heard of it.
    fn alive(&self, lease: &str) -> Option<bool> {
        let end = *self.ends.get(lease)?;
        let now = self.now.saturating_add(i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX));
        Some(plausible(end, self.now) && end > now)
    }
}

/// Not from before the server's clock was set back.
fn plausible(end: i64, now: i64) -> bool {
    end <= now + super::scripts::LEASE.as_millis() as i64 + 100
}

fn uncertain(nodes: &Nodes) -> Option<&'static str> {
    let now = nodes.now;
    let birth = nodes.epoch.split_once(':').filter(|(run, _)| *run == nodes.run_id);
    let Some(birth) = birth.and_then(|(_, birth)| birth.parse::<i64>().ok()) else {
        return Some("Redis has been restarted or has lost its data");
    };
    // Nobody knows who wrote these: no number may be too far off.
    if now.saturating_sub(birth) < REPORTING {
        return Some("not every node had time to report");
    }
    if !(-1000..=SILENCE).contains(&now.saturating_sub(nodes.pulse)) {
        return Some("no node has renewed its lease");
    }
    let rewriting = |(lease, &end): (&String, &i64)| lease.starts_with('~') && end > now && plausible(end, now);
    nodes.ends.iter().any(rewriting).then_some("a node is writing its users again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(epoch: &str, pulse: i64, ends: &[(&str, i64)]) -> Nodes {
        let ends = ends.iter().map(|(lease, end)| ((*lease).to_owned(), *end)).collect();
        Nodes { run_id: "run".into(), now: 100_000, epoch: epoch.into(), pulse, ends }
    }

    #[test]
    fn only_a_settled_redis_is_believed() {
        let sure = |n: Nodes| uncertain(&n).is_none();
        assert!(sure(nodes("run:97500", 99_000, &[("a", 101_000)])));
        assert!(!sure(nodes("run:97501", 99_000, &[])), "just begun");
        assert!(!sure(nodes("run:100001", 99_000, &[])), "begun in the future");
        assert!(!sure(nodes("other:90000", 99_000, &[])), "another server's data");
        assert!(!sure(nodes("", 99_000, &[])), "flushed");
        for far in [i64::MIN, i64::MAX] {
            assert!(!sure(nodes("run:90000", far, &[])), "{far}");
            assert_eq!(sure(nodes(&format!("run:{far}"), 99_000, &[])), far < 0, "{far}");
        }
        assert!(!sure(nodes("run:90000", 97_999, &[("a", 101_000)])), "frozen");
        assert!(!sure(nodes("run:90000", 101_001, &[])), "clock set back");
        assert!(!sure(nodes("run:90000", 99_000, &[("~a", 100_001)])), "rewriting");
        assert!(sure(nodes("run:90000", 99_000, &[("~a", 100_000), ("~b", 200_000)])), "died while rewriting");
    }

    #[test]
    fn leases_end_by_the_servers_clock() {
        let seen = Seen::new(1, nodes("run:0", 100_000, &[("a", 100_050), ("b", 103_500), ("c", 103_601)]));
        assert_eq!(
            [seen.alive("a"), seen.alive("b"), seen.alive("c"), seen.alive("d")],
            [Some(true), Some(true), Some(false), None]
        );
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(seen.alive("a"), Some(false));
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    use super::*;
    use crate::presence::scripts::Reported;
    use crate::testkit::fuzz::{target, texts};
    use shared_models::Platform;

    /// Values that somebody else wrote to Redis: nothing is certain then, but nothing breaks.
    #[test]
    fn presence() {
        target(env!("CARGO_MANIFEST_DIR"), "presence", |input| {
            let Some([epoch, pulse, lease, end, value]) = texts(input) else { return };
            for (lease, platforms) in entries(value) {
                assert!(!lease.contains(['=', ';']) && platforms.iter().count() == 1);
                let digit = platforms.iter().next().map_or(0, Platform::number);
                assert!(value.contains(&format!("{lease}={digit}")));
            }
            let reported = Reported::parse(value);
            let holders = [&reported.earlier, &reported.still, &reported.later];
            let all = reported.orders.len() + holders.map(Vec::len).iter().sum::<usize>();
            assert!(all <= value.split(';').count());
            assert!(holders.into_iter().flatten().all(|h| h.node.len() <= 10));

            let (Ok(pulse), Ok(end)) = (pulse.parse(), end.parse::<f64>()) else { return };
            let (now, run_id) = (1_700_000_000_000, "run".to_owned());
            let ends = [(lease.to_owned(), end as i64)].into();
            let nodes = Nodes { run_id, now, epoch: epoch.to_owned(), pulse, ends };
            let certain = uncertain(&nodes).is_none();
            if certain {
                assert!(epoch.starts_with("run:") && (now - pulse).abs() <= SILENCE);
            }
            let alive = Seen::new(1, nodes).alive(lease);
            assert!(alive.is_some());
            assert!(alive == Some(false) || ((now + 1)..=(now + 3600)).contains(&(end as i64)), "{end}");
        });
    }
}
