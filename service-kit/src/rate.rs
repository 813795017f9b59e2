//! How fast requests may come, as a generic cell rate algorithm: one moment says how far those of one sort have run
//! ahead of the rate.

use crate::error::{Code, Error, Result};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A rate. Moments are nanoseconds since whenever the caller began.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Between requests at the full rate.
    interval: u64,
    /// How far ahead they may run.
    ahead: u64,
}

/// How long whoever asks too often has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitFor(pub Duration);

impl Rate {
    /// `None` for no limit; a burst of 0 is as many as the rate.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        if per_second == 0 {
            return None;
        }
        let interval = 1_000_000_000 / u64::from(per_second);
        let burst = if burst == 0 { per_second } else { burst };
        Some(Self { interval, ahead: interval * u64::from(burst - 1) })
    }

    /// Counts a request that comes `now`; `due` is when it would have come at the full rate. When the next one would.
    pub fn admit(&self, due: u64, now: u64) -> Result<u64, WaitFor> {
        let due = due.max(now);
        match (due - now).checked_sub(self.ahead) {
            None | Some(0) => Ok(due + self.interval),
            Some(wait) => Err(WaitFor(Duration::from_nanos(wait))),
        }
    }
}

/// Nanoseconds since a moment.
pub fn nanos_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for WaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for {} ms", self.0.as_millis())
    }
}

impl std::error::Error for WaitFor {}

impl From<WaitFor> for Error {
    fn from(wait: WaitFor) -> Self {
        Self::from(Code::RateLimited).because(wait)
    }
}

/// The whole seconds after which whoever was told no may come again; what `Retry-After` says.
pub fn retry_after(error: &Error) -> Option<u64> {
    let wait = || error.source_as::<WaitFor>().map_or(1, |wait| wait.0.as_secs() + 1);
    (error.code() == Code::RateLimited).then(wait)
}

/// Counts the requests of one sort, on whichever thread they come.
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    began: Instant,
    due: AtomicU64,
}

impl Meter {
    pub fn new(rate: Rate) -> Self {
        Self { rate, began: Instant::now(), due: AtomicU64::new(0) }
    }

    /// Counts a request.
    pub fn admit(&self) -> Result<()> {
        let now = nanos_since(self.began);
        let mut due = self.due.load(Ordering::Relaxed);
        loop {
            let next = self.rate.admit(due, now)?;
            match self.due.compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => due = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn threads_together_get_the_burst_and_no_more() {
        let meter = Meter::new(Rate::new(1, 100).unwrap());
        let passed = || (0..200).filter(|_| meter.admit().is_ok()).count();
        let all: usize = std::thread::scope(|threads| {
            let running: Vec<_> = (0..4).map(|_| threads.spawn(passed)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!((100..=103).contains(&all), "{all}");
        let why = meter.admit().unwrap_err();
        assert_eq!((why.code(), retry_after(&why)), (Code::RateLimited, Some(1)));
        assert_eq!(retry_after(&Code::Busy.into()), None);
    }
}
