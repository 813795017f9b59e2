//! The services: their addresses and what is known of them (`address`, shared by all workers), looked after by one
//! task off the workers (`keeper`), and each worker's own connections to them (`pool`, `connection`).

mod address;
mod connection;
mod keeper;
mod pool;

pub use address::{Address, Clock};
pub use connection::Connection;
pub use keeper::Keeper;
pub use pool::{Lease, LeaseError, Pool, PoolSettings, Pools, Tried};

use crate::metrics::GatewayMetrics;
use crate::settings::HostPort;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Whoever asks for the health of the gateway does not wait longer than this for a service.
const LOOK: Duration = Duration::from_millis(700);

/// Whether connecting failed for a reason of this process or machine, which says nothing about the address.
fn is_local(e: &io::Error) -> bool {
    // Files and memory for sockets are used up (EMFILE, ENFILE, ENOBUFS); std has no names for these.
    const USED_UP: [i32; 3] = [24, 23, 105];
    let used_up = e.raw_os_error().is_some_and(|number| USED_UP.contains(&number));
    used_up || matches!(e.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::OutOfMemory)
}

/// A service by name.
pub struct Upstream {
    pub name: String,
    places: Vec<HostPort>,
    addresses: RwLock<Arc<[Arc<Address>]>>,
    /// Counts the changes of `addresses`, so that workers see one without a lock.
    version: AtomicU64,
    clock: Clock,
    metrics: GatewayMetrics,
}

impl Upstream {
    pub fn new(name: &str, places: &[HostPort], clock: Clock, metrics: GatewayMetrics) -> Self {
        Self {
            name: name.to_owned(),
            places: places.to_vec(),
            addresses: RwLock::new(Arc::new([])),
            version: AtomicU64::new(0),
            clock,
            metrics,
        }
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn addresses(&self) -> Arc<[Arc<Address>]> {
        Arc::clone(&self.addresses.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether any of its addresses takes connections now and is not known to answer none.
    pub async fn is_reachable(&self) -> bool {
        let addresses = self.addresses();
        let accepts = |address: &Arc<Address>| {
            let (socket, down) = (address.socket, address.is_down());
            async move { !down && matches!(timeout(LOOK, TcpStream::connect(socket)).await, Ok(Ok(_))) }
        };
        let mut looking: FuturesUnordered<_> = addresses.iter().map(accepts).collect();
        while let Some(accepts) = looking.next().await {
            if accepts {
                return true;
            }
        }
        false
    }

    /// Takes what the names stand for now; what is known of an address that stays is kept. Whether that is a change.
    fn set_addresses(&self, found: &[SocketAddr]) -> bool {
        let old: BTreeMap<SocketAddr, Arc<Address>> =
            self.addresses().iter().map(|a| (a.socket, Arc::clone(a))).collect();
        if old.len() == found.len() && found.iter().all(|a| old.contains_key(a)) {
            return false;
        }
        log::info!("{}: {} addresses: {found:?}", self.name, found.len());
        let address = |socket: &SocketAddr| match old.get(socket) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Address::new(&self.name, *socket, self.clock.clone(), self.metrics.clone())),
        };
        let new: Arc<[Arc<Address>]> = found.iter().map(address).collect();
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.version.fetch_add(1, Ordering::Release);
        true
    }
}
