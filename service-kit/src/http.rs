//! HTTP clients of ours.

use reqwest::Client;
use reqwest::redirect::Policy;
use std::cell::OnceCell;
use std::thread::LocalKey;
use std::time::Duration;

/// A thread's own client: no connection is driven by another thread (a shared one costs ten times the p99).
pub type OfThread = LocalKey<OnceCell<Client>>;

/// How a client keeps its connections.
pub struct Connections {
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub idle_per_host: usize,
}

/// The current thread's client, made when first asked for. Goes straight to where it is told, and nowhere else.
pub fn client(of_thread: &'static OfThread, connections: &Connections) -> reqwest::Result<Client> {
    of_thread.with(|cell| {
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .connect_timeout(connections.connect_timeout)
            .pool_idle_timeout(connections.idle_timeout)
            .pool_max_idle_per_host(connections.idle_per_host)
            .no_proxy()
            .redirect(Policy::none())
            .build()?;
        Ok(cell.get_or_init(|| client).clone())
    })
}
