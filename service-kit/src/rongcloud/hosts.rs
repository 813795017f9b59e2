//! The hosts of an app, in turn (RongCloud's own SDKs do the same): the one that answered last is asked first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After a change of the preferred host the next change is so far away, so that two hosts that both falter are not
/// changed with every call. A call whose first host fails asks the others all the same.
const GUARD: Duration = Duration::from_secs(30);

pub(super) struct Hosts {
    all: Vec<Arc<Host>>,
    preferred: Mutex<Preferred>,
}

pub(super) struct Host {
    index: usize,
    pub base: String,
}

#[derive(Clone, Copy)]
struct Preferred {
    index: usize,
    changed: Option<Instant>,
}

impl Hosts {
    pub fn new(bases: &[String]) -> Self {
        let host =
            |(index, base): (usize, &String)| Arc::new(Host { index, base: base.trim_end_matches('/').to_owned() });
        Self {
            all: bases.iter().enumerate().map(host).collect(),
            preferred: Mutex::new(Preferred { index: 0, changed: None }),
        }
    }

    /// All hosts, the preferred one first.
    pub fn in_turn(&self) -> Vec<Arc<Host>> {
        let first = self.preferred.lock().unwrap_or_else(PoisonError::into_inner).index;
        let (before, from) = self.all.split_at(first.min(self.all.len()));
        from.iter().chain(before).cloned().collect()
    }

    /// This host answered; those asked before it did not.
    pub fn answered(&self, host: &Host) {
        let mut preferred = self.preferred.lock().unwrap_or_else(PoisonError::into_inner);
        if preferred.index != host.index && preferred.changed.is_none_or(|at| at.elapsed() >= GUARD) {
            log::warn!("RongCloud is asked at {} from now on", host.base);
            *preferred = Preferred { index: host.index, changed: Some(Instant::now()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_answered_is_asked_first_and_not_changed_again_at_once() {
        let hosts = Hosts::new(&["a/".into(), "b".into(), "c".into()]);
        let order = || hosts.in_turn().iter().map(|h| h.base.clone()).collect::<Vec<_>>();
        assert_eq!(order(), ["a", "b", "c"]);
        hosts.answered(&hosts.in_turn()[1]);
        assert_eq!(order(), ["b", "c", "a"]);
        hosts.answered(&hosts.in_turn()[1]);
        assert_eq!(order(), ["b", "c", "a"]);
    }
}
