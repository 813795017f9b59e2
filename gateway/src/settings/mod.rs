//! The section `gateway`.

mod tables;
mod values;

pub use service_kit::settings::Network as Proxy;
pub use tables::{RouteSettings, RouteTable, UpstreamTable};
pub use values::{HostPort, Origin};

use crate::routes::Routes;
use serde::{Deserialize, Serialize};
use service_kit::Secret;
use service_kit::server::KEEP_ALIVE;
use service_kit::settings::{List, Seconds, Section};
use std::net::SocketAddr;
use std::time::Duration;
use utoipa::ToSchema;

/// Settings of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where clients reach everything.
    #[schema(value_type = String, format = "address:port")]
    pub listen: SocketAddr,
    /// Where probes and scrapers reach it.
    #[schema(value_type = String, format = "address:port")]
    pub internal_listen: SocketAddr,
    // Read by the loader for every process; here only so that the key is known.
    /// Proves to the services that the gateway calls, and what it says of clients. Unset: a development token, on
    /// loopback only.
    pub token: Option<Secret>,
    /// Where the services are.
    pub upstreams: UpstreamTable,
    /// Which paths go where.
    pub routes: RouteTable,
    pub limits: Limits,
    pub timeouts: Timeouts,
    /// Addresses and networks whose `X-Forwarded-*` count.
    #[schema(value_type = Vec<String>)]
    pub trusted_proxies: List<Proxy>,
    /// Web origins whose scripts may call, `https://app.example`; `*` = all. Empty: none.
    #[schema(value_type = Vec<String>)]
    pub cors: List<Origin>,
    /// Whether `/openapi.json` and `/docs` show the services' API documents, which are fetched when somebody asks.
    pub docs: bool,
    /// Families A and D too get the real HTTP status of the gateway's own failures (contract §0).
    pub real_status: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            internal_listen: SocketAddr::from(([127, 0, 0, 1], 9080)),
            token: None,
            upstreams: UpstreamTable::default(),
            routes: RouteTable::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            trusted_proxies: List::default(),
            cors: List::default(),
            docs: true,
            real_status: false,
        }
    }
}

/// How much is let through.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: u64,
    /// Bytes of a request's header fields, at most 120 KiB.
    pub header: usize,
    /// Client connections that are served, in all; more are told so.
    pub connections: usize,
    /// Of these and of the sockets, how many from one address (IPv6: one /64) that is not a trusted proxy's; 0 = any
    /// number.
    pub connections_per_address: usize,
    /// Open WebSockets, in all.
    pub sockets: usize,
    /// Connections to one address of a service, per worker thread.
    pub upstream_connections: usize,
    /// Requests a second from one client address (IPv6: one /64); 0 = any number.
    pub requests_per_second: u32,
    /// Requests that a client may send at once before that rate counts; 0 = as many as the rate.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            header: 64 << 10,
            connections: 20_000,
            connections_per_address: 0,
            sockets: 20_000,
            upstream_connections: 1_000,
            requests_per_second: 0,
            burst: 0,
        }
    }
}

/// How long things may take, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Connecting to a service, and before that as long at most waiting for a free connection; these are 1–3600.
    pub connect: Seconds,
    /// From a request's head to the end of its answer.
    pub request: Seconds,
    /// From the end of a request to the head of its answer.
    pub answer: Seconds,
    /// Without a byte of a body, in either direction.
    pub stall: Seconds,
    /// Idle connections to services are kept so long, 1–15: shorter than services keep them.
    pub idle: Seconds,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Seconds(1), request: Seconds(60), answer: Seconds(15), stall: Seconds(15), idle: Seconds(4) }
    }
}

impl Section for Settings {
    const NAME: &'static str = "gateway";

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn internal_listen(&self) -> SocketAddr {
        self.internal_listen
    }

    /// Each client's connection may have one to a service, and each socket has one.
    fn connections(&self) -> usize {
        self.limits.connections.saturating_add(self.limits.sockets).saturating_mul(2)
    }

    /// `gateway.token` is among those of the top level, which every process checks.
    fn development_defaults(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn validate(&self) -> Result<(), String> {
        self.upstreams.validate()?;
        Routes::new(&self.routes, &self.upstreams)?;
        let limits = &self.limits;
        for (name, value) in [
            ("limits.body", usize::try_from(limits.body).unwrap_or(usize::MAX)),
            ("limits.header", limits.header),
            ("limits.connections", limits.connections),
            ("limits.upstream_connections", limits.upstream_connections),
        ] {
            if value == 0 {
                return Err(format!("gateway.{name}: must not be 0"));
            }
        }
        if limits.header > 120 << 10 {
            return Err("gateway.limits.header: more than 122880".into());
        }
        let timeouts = &self.timeouts;
        for (name, value) in [
            ("connect", timeouts.connect),
            ("request", timeouts.request),
            ("answer", timeouts.answer),
            ("stall", timeouts.stall),
            ("idle", timeouts.idle),
        ] {
            if !(1..=3600).contains(&value.0) {
                return Err(format!("gateway.timeouts.{name}: must be 1 to 3600 seconds"));
            }
        }
        if Duration::from(timeouts.idle) > KEEP_ALIVE / 2 {
            return Err(format!("gateway.timeouts.idle: more than {} seconds", KEEP_ALIVE.as_secs() / 2));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::settings::Loaded;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let loaded = Loaded::from_pairs(pairs.iter().copied()).map_err(|e| e.to_string())?;
        let common = loaded.common().map_err(|e| e.to_string())?;
        loaded.section(&common).map_err(|e| e.to_string())
    }

    #[test]
    fn tables_from_the_environment_lie_over_the_defaults() {
        let s = read(&[
            ("KITH__GATEWAY__UPSTREAMS__IM_AUTH", "a:1, b:2"),
            ("KITH__GATEWAY__UPSTREAMS__EXTRA", "c:3"),
            ("KITH__GATEWAY__ROUTES__EXTRA__PREFIX", "/extra"),
            ("KITH__GATEWAY__ROUTES__EXTRA__UPSTREAM", "extra"),
            ("KITH__GATEWAY__ROUTES__MEDIA__UPSTREAM", ""),
            ("KITH__GATEWAY__LIMITS__BODY", "100"),
            ("KITH__GATEWAY__TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1"),
            ("KITH__GATEWAY__CORS", "https://app.example"),
            ("KITH__GATEWAY__REAL_STATUS", "true"),
        ])
        .unwrap();
        assert_eq!(s.upstreams.0["im_auth"].0.len(), 2);
        assert_eq!(s.upstreams.0["groups"].0[0].to_string(), "127.0.0.1:8083");
        assert_eq!((s.limits.body, s.limits.header, s.real_status), (100, 64 << 10, true));
        // A file for each end of each connection and socket.
        assert_eq!(s.connections(), 2 * (s.limits.connections + s.limits.sockets));
        let routes = Routes::new(&s.routes, &s.upstreams).unwrap();
        let name = |path| routes.find(path).map(|i| routes.upstream_names()[i].clone());
        assert_eq!(name("/extra/x").as_deref(), Some("extra"));
        assert_eq!(name("/media/x.png"), None);
        assert_eq!(name("/im/x").as_deref(), Some("groups"));
    }

    #[test]
    fn wrong_settings_are_named() {
        for (pair, says) in [
            (("KITH__GATEWAY__ROUTES__X__PREFIX", "/x"), "gateway.routes.x.upstream"),
            (("KITH__GATEWAY__ROUTES__IM__UPSTREAM", "nobody"), "gateway.routes.im.upstream"),
            (("KITH__GATEWAY__ROUTES__IM__PREFIX", "im"), "gateway.routes.im.prefix"),
            (("KITH__GATEWAY__UPSTREAMS__IM_AUTH", "nowhere"), "gateway.upstreams.im_auth"),
            (("KITH__GATEWAY__UPSTREAMS__IM_AUTH", ""), "gateway.upstreams.im_auth"),
            (("KITH__GATEWAY__TIMEOUTS__IDLE", "30"), "gateway.timeouts.idle"),
            (("KITH__GATEWAY__LIMITS__BODY", "0"), "gateway.limits.body"),
            (("KITH__GATEWAY__LIMITS__NOTHING", "0"), "gateway.limits"),
            (("KITH__GATEWAY__TRUSTED_PROXIES", "everyone"), "gateway.trusted_proxies"),
            (("KITH__GATEWAY__CORS", "app.example"), "gateway.cors"),
            (("KITH__GATEWAY__LISTEN", "0.0.0.0:8080"), "gateway.token"),
        ] {
            let e = read(&[pair]).unwrap_err();
            assert!(e.contains(says), "{pair:?}: {e}");
        }
    }
}
