//! What is too much: bodies, header fields, requests a second.

use actix_http::RequestHead;
use actix_http::header::CONTENT_LENGTH;
use service_kit::rate::{Rate, WaitFor, nanos_since};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The length that a request says its body has.
pub fn declared_length(head: &RequestHead) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Requests a second per client address: one moment per address says how far its requests have run ahead.
///
/// Memory is bounded: an address whose moment has passed is forgotten, and where everyone is running ahead some are
/// forgotten anyway, which lets them send a burst anew.
pub struct RateLimit {
    began: Instant,
    rate: Rate,
    shards: Vec<Mutex<HashMap<u128, u64>>>,
}

const SHARDS: usize = 16;
/// Addresses remembered per shard: about 4 MiB in all.
const PER_SHARD: usize = 4096;

impl RateLimit {
    /// `None` for no limit.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let rate = Rate::new(per_second, burst)?;
        Some(Self { began: Instant::now(), rate, shards: (0..SHARDS).map(|_| Mutex::default()).collect() })
    }

    /// Counts a request; an error says how long to wait.
    pub fn admit(&self, address: IpAddr) -> Result<(), WaitFor> {
        self.admit_at(customer(address), nanos_since(self.began))
    }

    fn admit_at(&self, key: u128, now: u64) -> Result<(), WaitFor> {
        let shard = usize::try_from((key ^ key >> 17 ^ key >> 35) % 16).unwrap_or(0);
        let mut seen = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.rate.admit(seen.get(&key).copied().unwrap_or(0), now)?;
        if seen.len() >= PER_SHARD && !seen.contains_key(&key) {
            seen.retain(|_, due| *due > now);
            if seen.len() >= PER_SHARD {
                let some: Vec<u128> = seen.keys().take(PER_SHARD / 4).copied().collect();
                for key in some {
                    seen.remove(&key);
                }
            }
        }
        seen.insert(key, next);
        Ok(())
    }
}

/// What is counted by address: the address, of IPv6 the network that one customer has.
pub fn customer(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits() >> 64 | 1 << 64,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let limit = RateLimit::new(10, 5).unwrap();
        for _ in 0..5 {
            limit.admit_at(1, 0).unwrap();
        }
        assert_eq!(limit.admit_at(1, 0), Err(WaitFor(Duration::from_millis(100))));
        limit.admit_at(2, 0).unwrap();
        limit.admit_at(1, SECOND / 10).unwrap();
        limit.admit_at(1, SECOND / 10).unwrap_err();
        let passed = (0..1000).filter(|i| limit.admit_at(1, SECOND + i * SECOND / 100).is_ok()).count();
        assert!((100..=106).contains(&passed), "{passed}");
        assert!(RateLimit::new(0, 5).is_none());
    }

    #[test]
    fn any_number_of_addresses_takes_bounded_memory() {
        let limit = RateLimit::new(1, 1).unwrap();
        for i in 0..500_000u128 {
            let _ = limit.admit_at(i * 7919, 0);
        }
        assert!(limit.shards.iter().all(|s| s.lock().unwrap().len() <= PER_SHARD));
        let total: usize = limit.shards.iter().map(|s| s.lock().unwrap().len()).sum();
        assert!(total > SHARDS * PER_SHARD / 2, "addresses spread over the shards: {total}");
    }

    #[test]
    fn one_customer_is_one_ipv6_network() {
        let key = |a: &str| customer(a.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("0.0.0.1"), key("::1"));
    }
}
