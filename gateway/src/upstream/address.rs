//! What is known of one address of a service, by all workers together.
//!
//! An address is *up*, *draining* or *down*. Requests go to those that are up in turn; to a draining one only if none
//! is up, to one that is down only if there is no other.
//!
//! *Draining*: an answer said that the process is about to end. It still accepts, but at some moment its listener
//! closes, and a connection that only the kernel had accepted by then is reset with the request in it: nobody knows
//! whether that was served. So nothing new goes there as long as there is another, and of two that drain the one that
//! said so first, which is the one that may already be back. The mark lasts longer than any drain (`Common::drain` is
//! at most 20 s), or until there is proof of a new process: the address refused connections and then took them again,
//! or an answer to a later request does not say so any more.
//!
//! *Down*: connecting failed, or several requests in a row got no answer. The keeper tries it with growing pauses and
//! takes it back when it answers (that it accepts proves little: the kernel accepts for a process that is frozen). Until
//! a request too gets an answer it is on trial: one failure takes it out again, for longer each time.

use crate::metrics::GatewayMetrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Requests in a row without an answer before an address counts as down.
const FAILURES: u32 = 5;
const FIRST_PAUSE: u64 = 250;
/// Shorter than any drain, so that a new process is known before the next one ends.
const LONGEST_PAUSE: u64 = 1_000;
/// For what answers the keeper but no requests.
const LONGEST_TRIAL_PAUSE: u64 = 8_000;
/// How long the mark of a service that says that it ends is believed.
const DRAINING: u64 = 25_000;
/// The same where only the connection was said to end.
const CLOSING: u64 = 8_000;
/// How often the keeper looks whether a draining address still accepts.
const DRAINING_PAUSE: u64 = 500;

/// Milliseconds since the start; 0 never comes, it stands for "not".
#[derive(Clone)]
pub struct Clock(Arc<Instant>);

impl Clock {
    pub fn start() -> Self {
        Self(Arc::new(Instant::now()))
    }

    pub fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// One address of a service. The fields change independently; a reader may see one change before another, which at
/// worst sends one request to the second best address.
pub struct Address {
    pub socket: SocketAddr,
    clock: Clock,
    metrics: GatewayMetrics,
    upstream: String,
    /// Since when it is down.
    down: AtomicU64,
    /// When it was taken back, and whether no request has been answered since.
    back: AtomicU64,
    trial: AtomicBool,
    /// When it said that it ends, and until when that counts.
    drained: AtomicU64,
    drained_until: AtomicU64,
    failures: AtomicU32,
    pause: AtomicU64,
    next_probe: AtomicU64,
}

impl Address {
    pub fn new(upstream: &str, socket: SocketAddr, clock: Clock, metrics: GatewayMetrics) -> Self {
        Self {
            socket,
            clock,
            metrics,
            upstream: upstream.to_owned(),
            down: AtomicU64::new(0),
            back: AtomicU64::new(0),
            trial: AtomicBool::new(false),
            drained: AtomicU64::new(0),
            drained_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            pause: AtomicU64::new(FIRST_PAUSE),
            next_probe: AtomicU64::new(0),
        }
    }

    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed) != 0
    }

    /// 0 = up; otherwise the lower, the better.
    pub fn rank(&self) -> u64 {
        let down = self.down.load(Ordering::Relaxed);
        if down != 0 {
            return 1 << 62 | down;
        }
        let until = self.drained_until.load(Ordering::Relaxed);
        if until != 0 && self.now() < until { self.drained.load(Ordering::Relaxed) } else { 0 }
    }

    /// An answer came to a request that was sent at `sent`.
    pub fn answered(&self, sent: u64, (draining, close): (bool, bool)) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.is_down() || self.trial.load(Ordering::Relaxed) {
            self.take_back();
        }
        if draining || close {
            let now = self.now();
            // Only the first word counts for the order among those that drain.
            if self.rank() == 0 {
                self.drained.store(now, Ordering::Relaxed);
                log::debug!("{} {}: draining", self.upstream, self.socket);
            }
            let until = now + if draining { DRAINING } else { CLOSING };
            self.drained_until.fetch_max(until, Ordering::Relaxed);
            self.next_probe.store(now + DRAINING_PAUSE, Ordering::Relaxed);
        } else if self.drained_until.load(Ordering::Relaxed) != 0 && sent > self.drained.load(Ordering::Relaxed) {
            self.drained_until.store(0, Ordering::Relaxed);
        }
    }

    /// Connecting failed.
    pub fn refused(&self) {
        self.take_out(LONGEST_PAUSE);
    }

    fn take_out(&self, longest_pause: u64) {
        let now = self.now();
        // A listener that is gone belonged to a process that is gone, and with it its mark.
        self.drained_until.store(0, Ordering::Relaxed);
        // It stays down since when it was found so, however often it is tried.
        if self.down.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            log::warn!("{} {}: down", self.upstream, self.socket);
            self.metrics.ejected(&self.upstream);
        }
        let pause = self.pause.load(Ordering::Relaxed);
        self.next_probe.store(now + pause, Ordering::Relaxed);
        self.pause.store((pause * 2).min(longest_pause), Ordering::Relaxed);
    }

    /// A request was sent at `sent` and no answer came.
    pub fn failed(&self, sent: u64) {
        // What was sent before it was taken out says nothing about what it is now.
        if self.is_down() || sent < self.back.load(Ordering::Relaxed) {
            return;
        }
        if self.trial.swap(false, Ordering::Relaxed) {
            self.take_out(LONGEST_TRIAL_PAUSE);
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.take_out(LONGEST_PAUSE);
        }
    }

    fn take_back(&self) {
        self.trial.store(false, Ordering::Relaxed);
        if self.is_down() {
            self.back.store(self.now(), Ordering::Relaxed);
        }
        if self.down.swap(0, Ordering::Relaxed) != 0 {
            log::info!("{} {}: up", self.upstream, self.socket);
        }
        self.failures.store(0, Ordering::Relaxed);
        self.pause.store(FIRST_PAUSE, Ordering::Relaxed);
    }

    /// Whether the keeper should try it now; only once until it says how that went.
    pub fn claim_probe(&self) -> bool {
        let now = self.now();
        let marked = self.is_down() || self.drained_until.load(Ordering::Relaxed) > now;
        let due = self.next_probe.load(Ordering::Relaxed);
        let claimed = now + 60_000;
        marked
            && due <= now
            && self.next_probe.compare_exchange(due, claimed, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// How the keeper's try went: one that is down should answer, one that drains accept. `None`: it could not try.
    pub fn probed(&self, sound: Option<bool>) {
        match sound {
            Some(false) => self.refused(),
            Some(true) if self.is_down() => {
                let pause = self.pause.load(Ordering::Relaxed);
                self.take_back();
                // Kept until a request succeeds.
                self.pause.store(pause, Ordering::Relaxed);
                self.trial.store(true, Ordering::Relaxed);
            }
            _ => self.next_probe.store(self.now() + DRAINING_PAUSE, Ordering::Relaxed),
        }
    }

    /// The keeper looks at addresses so often.
    pub const TICK: Duration = Duration::from_millis(100);
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::metrics::Metrics;

    fn address() -> Address {
        let metrics = GatewayMetrics::new(&Metrics::new("gateway"));
        Address::new("x", SocketAddr::from(([127, 0, 0, 1], 1)), Clock::start(), metrics)
    }

    const PLAIN: (bool, bool) = (false, false);

    #[test]
    fn an_address_that_drains_comes_last_until_it_is_another_process() {
        let (a, b) = (address(), address());
        a.answered(1, (true, true));
        assert!(a.rank() > b.rank());
        a.answered(0, PLAIN);
        assert_ne!(a.rank(), 0, "the answer to an earlier request proves nothing");
        std::thread::sleep(Duration::from_millis(3));
        b.answered(1, (false, true));
        assert!(a.rank() < b.rank(), "who drains longer may be back sooner");
        a.answered(a.now() + 1, PLAIN);
        assert_eq!(a.rank(), 0);
        b.probed(Some(false));
        assert!(b.rank() > 1 << 62);
        b.probed(Some(true));
        assert_eq!(b.rank(), 0, "refused and then accepted: a new process");
    }

    #[test]
    fn an_address_without_answers_is_down_until_it_answers() {
        let a = address();
        for _ in 1..FAILURES {
            a.failed(1);
            assert_eq!(a.rank(), 0);
        }
        a.answered(1, PLAIN);
        a.failed(1);
        assert_eq!(a.rank(), 0, "only failures in a row count");
        (1..FAILURES).for_each(|_| a.failed(1));
        assert!(a.rank() > 1 << 62);
        assert!(!a.claim_probe(), "after a pause");
        std::thread::sleep(Duration::from_millis(FIRST_PAUSE + 10));
        assert!(a.claim_probe());
        assert!(!a.claim_probe(), "one at a time");
        let since = a.rank();
        a.probed(Some(false));
        assert_eq!(a.rank(), since, "a try that fails is no new outage");
        a.probed(Some(true));
        assert_eq!(a.rank(), 0);
        a.refused();
        a.answered(1, PLAIN);
        assert_eq!(a.rank(), 0, "an answer is proof enough");
    }

    #[test]
    fn an_address_taken_back_is_on_trial_until_a_request_is_answered() {
        let a = address();
        a.refused();
        std::thread::sleep(Duration::from_millis(3));
        a.probed(Some(true));
        a.failed(1);
        assert_eq!(a.rank(), 0, "sent before it was taken out");
        a.failed(a.now());
        assert!(a.is_down(), "once is enough");
        for _ in 0..10 {
            a.probed(Some(true));
            a.failed(a.now());
        }
        assert_eq!(a.pause.load(Ordering::Relaxed), LONGEST_TRIAL_PAUSE, "tried less and less");
        a.probed(Some(true));
        a.answered(a.now(), PLAIN);
        a.failed(a.now());
        assert!(!a.is_down(), "the trial is over");
        assert_eq!(a.pause.load(Ordering::Relaxed), FIRST_PAUSE);
        a.refused();
        a.probed(None);
        assert!(a.is_down(), "nothing was learnt");
    }
}
