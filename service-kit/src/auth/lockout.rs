//! The lock-out after failed passwords: counted over the last 15 minutes in the state store, in the process while
//! that is away.

use crate::error::Result;
use crate::settings::Network;
use crate::state::State;
use shared_models::Uid;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Far longer than a call is repeated.
const ATTEMPT: Duration = Duration::from_secs(60);
const ONE_USERNAME_FROM_ONE_ADDRESS: u64 = 10;
const ONE_USERNAME: u64 = 100;
const ONE_ADDRESS: u64 = 300;

/// Cheap to clone.
#[derive(Clone)]
pub struct Lockout(Arc<Inner>);

struct Inner {
    state: State,
    /// Counts here while the state store is away.
    meanwhile: State,
    /// Addresses that many users share; the count per address does not hold for them.
    exempt: Vec<Network>,
}

impl Lockout {
    pub fn new(state: State, exempt: Vec<Network>) -> Self {
        Self(Arc::new(Inner { state, meanwhile: State::memory(), exempt }))
    }

    /// The store that failures are counted in.
    pub(super) fn state(&self) -> &State {
        &self.0.state
    }

    /// Whether this address has failed too often with this username. It holds for everyone; the other counts do
    /// not hold for the addresses from which the username succeeded lately.
    pub async fn is_locked_here(&self, username: &Uid, address: IpAddr) -> bool {
        self.counts(&[pair_key(username, address)]).await.first().is_some_and(|n| *n >= ONE_USERNAME_FROM_ONE_ADDRESS)
    }

    /// Whether a password of this username may not even be looked at.
    pub async fn is_locked(&self, username: &Uid, address: IpAddr, is_known_address: bool) -> bool {
        if is_known_address {
            return self.is_locked_here(username, address).await;
        }
        let keys = [pair_key(username, address), username_key(username), address_key(address)];
        let limits = [ONE_USERNAME_FROM_ONE_ADDRESS, ONE_USERNAME, ONE_ADDRESS];
        let checked = if self.is_exempt(address) { 2 } else { 3 };
        self.counts(&keys[..checked]).await.iter().zip(limits).any(|(n, limit)| *n >= limit)
    }

    /// Counts a wrong password. Refused calls are not counted, and an attempt with a name only once, however often its
    /// call is repeated.
    pub async fn failed(&self, username: &Uid, address: IpAddr, attempt: &str) {
        if !attempt.is_empty() && !self.is_first(attempt).await {
            return;
        }
        let keys = [pair_key(username, address), username_key(username), address_key(address)];
        if let Err(e) = self.0.state.record(&keys, WINDOW).await {
            log::debug!("a failed password is counted in the process: {}", e.chain());
            // The twin in memory cannot fail.
            let _ = self.0.meanwhile.record(&keys, WINDOW).await;
        }
    }

    async fn is_first(&self, attempt: &str) -> bool {
        let key = attempt_key(attempt);
        match self.0.state.set_new(&key, "", ATTEMPT).await {
            Ok(is_first) => is_first,
            Err(_) => self.0.meanwhile.set_new(&key, "", ATTEMPT).await.unwrap_or(true),
        }
    }

    async fn counts(&self, keys: &[String]) -> Vec<u64> {
        let counted: Result<Vec<u64>> = self.0.state.count(keys, WINDOW).await;
        let meanwhile = self.0.meanwhile.count(keys, WINDOW).await.unwrap_or_default();
        match counted {
            Ok(counts) => {
                counts.iter().zip(meanwhile.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a + b).collect()
            }
            Err(_) => meanwhile,
        }
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        self.0.exempt.iter().any(|net| net.contains(address))
    }
}

/// What counts as one address: of IPv6 the /64, all of which one customer has.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

// An address holds no space, so that a username cannot be made to look like another pair.
fn pair_key(username: &Uid, address: IpAddr) -> String {
    format!("fail:pair:{} {}", network_of(address), username.as_str())
}

fn username_key(username: &Uid) -> String {
    format!("fail:user:{}", username.as_str())
}

fn attempt_key(attempt: &str) -> String {
    format!("fail:attempt:{attempt}")
}

fn address_key(address: IpAddr) -> String {
    format!("fail:address:{}", network_of(address))
}
