//! How many client connections there are, in all and from each address.

use crate::limit::customer;
use crate::settings::{Limits, Proxy};
use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections.
pub struct Crowd {
    limit: usize,
    /// 0 = any number.
    per_address: usize,
    /// Their connections carry the requests of many.
    exempt: Vec<Proxy>,
    all: AtomicUsize,
    /// Only addresses that have connections, so there are never more of them than connections.
    by_address: Mutex<HashMap<u128, usize>>,
}

/// A connection's place among the others.
pub struct Place {
    /// There were more than allowed when it came.
    pub over_limit: bool,
    _counted: Option<Counted>,
    seat: Cell<Option<Seat>>,
}

struct Counted(Arc<Crowd>);

/// One of the connections that an address may have. A socket keeps it when it is no longer counted among the
/// connections.
pub struct Seat {
    crowd: Arc<Crowd>,
    key: u128,
}

impl Crowd {
    pub fn new(limits: &Limits, exempt: &[Proxy]) -> Arc<Self> {
        Arc::new(Self {
            limit: limits.connections,
            per_address: limits.connections_per_address,
            exempt: exempt.to_vec(),
            all: AtomicUsize::new(0),
            by_address: Mutex::default(),
        })
    }

    /// A new connection.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Place {
        let limited = address.filter(|a| self.per_address != 0 && !self.exempt.iter().any(|proxy| proxy.contains(*a)));
        let seat = limited.map(|address| self.seat(customer(address)));
        if let Some(None) = seat {
            // Not counted: an address that has its share takes nothing from the others.
            return Place { over_limit: true, _counted: None, seat: Cell::default() };
        }
        let others = self.all.fetch_add(1, Ordering::Relaxed);
        let counted = Some(Counted(Arc::clone(self)));
        Place { over_limit: others >= self.limit, _counted: counted, seat: Cell::new(seat.flatten()) }
    }

    fn seat(self: &Arc<Self>, key: u128) -> Option<Seat> {
        let mut by_address = self.by_address();
        let taken = by_address.entry(key).or_default();
        if *taken >= self.per_address {
            return None;
        }
        *taken += 1;
        Some(Seat { crowd: Arc::clone(self), key })
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<u128, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What outlives the place.
    pub fn take_seat(&self) -> Option<Seat> {
        self.seat.take()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.all.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut by_address = self.crowd.by_address();
        if let Entry::Occupied(mut taken) = by_address.entry(self.key) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
        if by_address.capacity() > 1024 && by_address.len() < by_address.capacity() / 8 {
            by_address.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let limits = Limits { connections: 4, connections_per_address: 2, ..Limits::default() };
        let crowd = Crowd::new(&limits, &["10.0.0.0/8".parse().unwrap()]);
        let enter = |address: &str| crowd.enter(Some(address.parse().unwrap()));
        let mut greedy: Vec<_> = (0..10).map(|_| enter("192.0.2.1")).collect();
        assert_eq!(greedy.iter().filter(|place| !place.over_limit).count(), 2);
        let (one, two) = (enter("10.0.0.1"), enter("2001:db8::1"));
        assert!(!one.over_limit && !two.over_limit, "others have their places");
        assert!(enter("10.0.0.1").over_limit, "but no more than there are");
        assert!(crowd.enter(None).over_limit);

        // A socket is no longer a connection, but still that address's.
        let socket = greedy.remove(0).take_seat();
        assert!(socket.is_some());
        assert!(enter("192.0.2.1").over_limit);
        drop(socket);
        assert!(!enter("192.0.2.1").over_limit);
        drop((greedy, one, two));
        assert_eq!(crowd.all.load(Ordering::Relaxed), 0);
        assert!(crowd.by_address().is_empty());
    }
}
