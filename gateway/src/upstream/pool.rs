//! A worker's connections to the addresses of a service, and the choice among them.
//!
//! A lease is the right to one connection at a time; their number per address is bounded, so idle and leased
//! connections together are too.

use super::{Address, Connection, Upstream, is_local};
use crate::metrics::GatewayMetrics;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// More requests than this do not wait for a connection; they are told at once.
const MAX_WAITING: usize = 1_000;

/// A worker's pools of one service.
pub struct Pools {
    pub upstream: Arc<Upstream>,
    /// Bodies on their way to this service that their clients have not sent to the end: half of what one address
    /// takes, so that slow clients leave room for others.
    pub uploads: Arc<Semaphore>,
    settings: PoolSettings,
    version: Cell<u64>,
    pools: RefCell<Rc<[Rc<Pool>]>>,
    turn: Cell<usize>,
}

#[derive(Clone)]
pub struct PoolSettings {
    /// Connections per address.
    pub size: usize,
    pub connect: Duration,
    pub idle: Duration,
    pub metrics: GatewayMetrics,
}

/// Connections to one address.
pub struct Pool {
    pub address: Arc<Address>,
    settings: PoolSettings,
    /// The longest idle first.
    idle: RefCell<Vec<(Connection, Instant)>>,
    free: Arc<Semaphore>,
    waiting: Cell<usize>,
}

/// Addresses that a request has been to, by their place in the list that it chose from.
#[derive(Default)]
pub struct Tried {
    pools: Option<Rc<[Rc<Pool>]>>,
    places: u64,
}

/// An address chosen for a request.
pub struct Picked(pub Rc<Pool>);

/// Why there is no connection.
#[derive(Debug)]
pub enum LeaseError {
    /// The address takes no connections.
    Refused(std::io::Error),
    /// This process or machine has no means to connect.
    Local(std::io::Error),
    /// All are in use.
    Full,
}

impl Pools {
    pub fn new(upstream: Arc<Upstream>, settings: PoolSettings) -> Self {
        let uploads = Arc::new(Semaphore::new(settings.size.div_ceil(2)));
        let pools = RefCell::new(Rc::from([]));
        Self { upstream, uploads, settings, version: Cell::new(u64::MAX), pools, turn: Cell::new(0) }
    }

    /// Chooses an address that this request has not been to: those that are up in turn, then the best of the others.
    pub fn pick(&self, tried: &mut Tried) -> Option<Picked> {
        let pools = Rc::clone(tried.pools.get_or_insert_with(|| self.current()));
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let mut best = None;
        for i in (0..pools.len()).map(|i| (turn.wrapping_add(i)) % pools.len()) {
            if tried.places & 1 << (i % 64) == 0 {
                let rank = pools[i].address.rank();
                if best.is_none_or(|(_, r)| rank < r) {
                    best = Some((i, rank));
                }
                if rank == 0 {
                    break;
                }
            }
        }
        let (i, _) = best?;
        tried.places |= 1 << (i % 64);
        Some(Picked(Rc::clone(&pools[i])))
    }

    fn current(&self) -> Rc<[Rc<Pool>]> {
        let version = self.upstream.version();
        if version != self.version.get() {
            self.version.set(version);
            let old = Rc::clone(&self.pools.borrow());
            let addresses = self.upstream.addresses();
            let pool = |address: &Arc<Address>| {
                let known = old.iter().find(|pool| Arc::ptr_eq(&pool.address, address));
                known.cloned().unwrap_or_else(|| Rc::new(Pool::new(Arc::clone(address), self.settings.clone())))
            };
            *self.pools.borrow_mut() = addresses.iter().map(pool).collect();
        }
        Rc::clone(&self.pools.borrow())
    }

    /// Ends connections that have been idle for too long.
    pub fn sweep(&self) {
        let now = Instant::now();
        for pool in self.pools.borrow().iter() {
            pool.idle.borrow_mut().retain(|(connection, since)| pool.is_fresh(connection, *since, now));
        }
    }
}

impl Pool {
    fn new(address: Arc<Address>, settings: PoolSettings) -> Self {
        let free = Arc::new(Semaphore::new(settings.size));
        Self { address, settings, idle: RefCell::default(), free, waiting: Cell::new(0) }
    }

    fn is_fresh(&self, connection: &Connection, since: Instant, now: Instant) -> bool {
        !connection.is_closed() && now.saturating_duration_since(since) < self.settings.idle
    }

    /// A connection, an idle one unless `fresh`.
    pub async fn lease(self: Rc<Self>, fresh: bool) -> Result<Lease, LeaseError> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        if !fresh && let Some(connection) = self.take_idle() {
            self.settings.metrics.reused();
            return Ok(Lease { connection, reused: true, pool: self, _permit: permit });
        }
        // In time of its own: that all connections were in use says nothing about the address.
        match timeout(self.settings.connect, Connection::open(self.address.socket)).await {
            Ok(Ok(connection)) => {
                self.settings.metrics.dialed();
                Ok(Lease { connection, reused: false, pool: self, _permit: permit })
            }
            Ok(Err(e)) => Err(self.refused(e)),
            Err(e) => Err(self.refused(e.into())),
        }
    }

    /// A bare stream, for a socket.
    pub async fn stream(&self) -> Result<TcpStream, LeaseError> {
        match timeout(self.settings.connect, TcpStream::connect(self.address.socket)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(e)) => Err(self.refused(e)),
            Err(e) => Err(self.refused(e.into())),
        }
    }

    pub fn socket(&self) -> SocketAddr {
        self.address.socket
    }

    fn refused(&self, e: std::io::Error) -> LeaseError {
        if is_local(&e) {
            return LeaseError::Local(e);
        }
        self.address.refused();
        LeaseError::Refused(e)
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, LeaseError> {
        struct Waiting<'a>(&'a Cell<usize>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        if self.waiting.get() >= MAX_WAITING {
            return Err(LeaseError::Full);
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        match timeout(self.settings.connect, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(LeaseError::Full),
        }
    }

    /// The connection used last, so that the others may grow old.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let now = Instant::now();
        let mut i = idle.len();
        while i > 0 {
            i -= 1;
            let (connection, since) = &idle[i];
            if !self.is_fresh(connection, *since, now) {
                idle.remove(i);
            } else if connection.is_ready() {
                return Some(idle.remove(i).0);
            }
            // Otherwise it has yet to notice the end of its last answer.
        }
        None
    }
}

/// A connection in use. Dropped, it is ended, as it may be in the middle of something; [`Lease::give_back`] keeps it.
pub struct Lease {
    pub connection: Connection,
    pub reused: bool,
    pub pool: Rc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// The answer was read to its end and the request sent to its end.
    pub fn give_back(self) {
        if !self.connection.is_closed() {
            self.pool.idle.borrow_mut().push((self.connection, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::upstream::Clock;
    use service_kit::metrics::Metrics;
    use std::io::Error;

    /// With room for one connection.
    fn pool(socket: SocketAddr, connect: Duration) -> (Rc<Pool>, Arc<Address>) {
        let metrics = GatewayMetrics::new(&Metrics::new("gateway"));
        let address = Arc::new(Address::new("x", socket, Clock::start(), metrics.clone()));
        let settings = PoolSettings { size: 1, connect, idle: Duration::from_secs(1), metrics };
        (Rc::new(Pool::new(Arc::clone(&address), settings)), address)
    }

    #[test]
    fn an_address_is_not_down_because_its_connections_were_long_in_use() {
        const CONNECT: Duration = Duration::from_secs(1);
        actix_rt::System::new().block_on(async {
            // Lets one connection wait to be accepted and hears of no other.
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let listener = socket.listen(0).unwrap();
            let (pool, address) = pool(listener.local_addr().unwrap(), CONNECT);
            let first = Rc::clone(&pool).lease(true).await.unwrap();
            let waiting = actix_rt::spawn(Rc::clone(&pool).lease(true));
            tokio::time::sleep(CONNECT / 2).await;
            assert!(!address.is_down());
            let began = Instant::now();
            drop(first);
            assert!(matches!(waiting.await.unwrap(), Err(LeaseError::Refused(_))));
            assert!(began.elapsed() >= CONNECT, "only {:?} for connecting", began.elapsed());
        });
    }

    #[test]
    fn an_address_is_not_down_because_we_have_no_files_left() {
        let (pool, address) = pool(SocketAddr::from(([127, 0, 0, 1], 1)), Duration::from_secs(1));
        // EMFILE, ENFILE, EADDRNOTAVAIL, ENOBUFS
        for number in [24, 23, 99, 105] {
            assert!(matches!(pool.refused(Error::from_raw_os_error(number)), LeaseError::Local(_)), "{number}");
            assert!(!address.is_down(), "{number}");
        }
        // ECONNREFUSED, EHOSTUNREACH
        for number in [111, 113] {
            assert!(matches!(pool.refused(Error::from_raw_os_error(number)), LeaseError::Refused(_)), "{number}");
            assert!(address.is_down(), "{number}");
            address.probed(Some(true));
        }
    }
}
