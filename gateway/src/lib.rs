//! Kith's only public door: routes by path prefix, proxies HTTP and WebSocket.
//!
//! A request passes one file after another: `door` (path → own pages → limits → route), `forward` (to a service and
//! back), and on the way out `fail` where the gateway itself has to say no. It owns no data and parses no service's
//! body.

mod conn;
mod cors;
mod crowd;
mod docs;
mod documents;
mod door;
mod fail;
mod forward;
mod headers;
mod ids;
mod landing;
mod limit;
mod metrics;
mod own;
mod path;
mod relay;
mod routes;
mod server;
mod settings;
mod upstream;
mod worker;

pub use server::{start, start_with};
pub use settings::{HostPort, Limits, Origin, Proxy, RouteSettings, RouteTable, Settings, Timeouts, UpstreamTable};
