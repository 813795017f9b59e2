//! Looks after all addresses, off the workers: resolves names anew and tries addresses that are down or draining.

use super::{Address, Upstream, is_local};
use crate::settings::HostPort;
use futures_util::future::join_all;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Names are resolved so often.
const RESOLVE: Duration = Duration::from_secs(2);
/// Who has not resolved by then keeps the last good answer; the next try waits for this one.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The start waits so long for the names; later ones are found as they come.
const FIRST_RESOLVE: Duration = Duration::from_secs(2);
/// A service has this long to answer the keeper.
const ANSWER: Duration = Duration::from_secs(1);
/// More addresses than this are left out.
const MAX_ADDRESSES: usize = 64;

/// The running task; it ends with this.
pub struct Keeper(Vec<JoinHandle<()>>);

impl Keeper {
    /// Resolves all names once, then goes on in the background.
    pub async fn start(upstreams: &[Arc<Upstream>], connect: Duration) -> Self {
        let first = join_all(upstreams.iter().map(|upstream| resolve(upstream)));
        if timeout(FIRST_RESOLVE, first).await.is_err() {
            log::warn!("some names of services take long to resolve");
        }
        let resolving = upstreams.iter().map(|upstream| tokio::spawn(keep_resolving(Arc::clone(upstream))));
        let mut tasks: Vec<_> = resolving.collect();
        tasks.push(tokio::spawn(keep_probing(upstreams.to_vec(), connect)));
        Self(tasks)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn keep_resolving(upstream: Arc<Upstream>) {
    if upstream.places.iter().all(|place| place.host.parse::<IpAddr>().is_ok()) {
        return;
    }
    loop {
        let began = Instant::now();
        let _ = timeout(RESOLVE_TIMEOUT, resolve(&upstream)).await;
        sleep(RESOLVE.saturating_sub(began.elapsed())).await;
    }
}

/// Takes the addresses that the names stand for; on failure of any name the old ones stay, since what is missing may
/// be what works.
async fn resolve(upstream: &Upstream) {
    match join_all(upstream.places.iter().map(look_up)).await.into_iter().collect::<io::Result<Vec<_>>>() {
        Ok(found) => {
            let mut found = found.concat();
            found.sort_unstable();
            found.dedup();
            let more = found.len().saturating_sub(MAX_ADDRESSES);
            found.truncate(MAX_ADDRESSES);
            if upstream.set_addresses(&found) && more > 0 {
                log::warn!("{}: {more} addresses are left out: {MAX_ADDRESSES} are used", upstream.name);
            }
        }
        Err(e) => {
            log::debug!("{}: {e}", upstream.name);
            if upstream.addresses().is_empty() {
                log::warn!("{}: no address yet: {e}", upstream.name);
            }
        }
    }
}

async fn look_up(place: &HostPort) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = place.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, place.port)]);
    }
    let found: Vec<SocketAddr> = lookup_host((place.host.as_str(), place.port)).await?.collect();
    if found.is_empty() { Err(io::Error::other(format!("{place}: no address"))) } else { Ok(found) }
}

async fn keep_probing(upstreams: Vec<Arc<Upstream>>, connect: Duration) {
    loop {
        sleep(Address::TICK).await;
        for address in upstreams.iter().flat_map(|u| u.addresses().to_vec()) {
            if address.claim_probe() {
                tokio::spawn(async move {
                    let tried = probe(&address, connect).await;
                    address.probed(match tried {
                        Err(e) if is_local(&e) => None,
                        tried => Some(tried.is_ok()),
                    });
                });
            }
        }
    }
}

async fn probe(address: &Address, connect: Duration) -> io::Result<()> {
    let mut stream = timeout(connect, TcpStream::connect(address.socket)).await??;
    // Of one that drains it matters only whether it still accepts.
    if address.is_down() { timeout(ANSWER, ask(&mut stream)).await? } else { Ok(()) }
}

/// Whether anything but the kernel is there. No service has the path, and any answer will do.
async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    if answer == *b"HTTP/1." { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::metrics::GatewayMetrics;
    use crate::upstream::Clock;
    use service_kit::metrics::Metrics;

    #[tokio::test]
    async fn a_name_stands_for_its_addresses_and_failures_keep_the_last_ones() {
        let metrics = GatewayMetrics::new(&Metrics::new("gateway"));
        let places = ["localhost:81".parse().unwrap(), "127.0.0.1:82".parse().unwrap()];
        let mut upstream = Upstream::new("x", &places, Clock::start(), metrics);
        resolve(&upstream).await;
        let before = upstream.addresses();
        assert!(before.iter().any(|a| a.socket.to_string() == "127.0.0.1:81"), "localhost");
        assert!(before.iter().any(|a| a.socket.to_string() == "127.0.0.1:82"));

        let version = upstream.version();
        resolve(&upstream).await;
        assert_eq!(upstream.version(), version, "nothing changed");

        upstream.places = vec!["127.0.0.1:82".parse().unwrap(), "nowhere.invalid:83".parse().unwrap()];
        resolve(&upstream).await;
        assert_eq!(upstream.version(), version);

        upstream.places.pop();
        resolve(&upstream).await;
        let after = upstream.addresses();
        assert_eq!((upstream.version(), after.len()), (version + 1, 1));
        let kept = before.iter().find(|a| a.socket == after[0].socket).unwrap();
        assert!(Arc::ptr_eq(kept, &after[0]), "what is known of an address stays");

        upstream.places = (1..=70).map(|i| format!("127.0.0.{i}:82").parse().unwrap()).collect();
        resolve(&upstream).await;
        assert_eq!(upstream.addresses().len(), MAX_ADDRESSES);
    }
}
