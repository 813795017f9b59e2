//! Assembly and start.

use crate::conn::Conn;
use crate::crowd::Crowd;
use crate::documents::Documents;
use crate::door;
use crate::limit::RateLimit;
use crate::metrics::GatewayMetrics;
use crate::relay::{self, Sockets};
use crate::routes::Routes;
use crate::settings::Settings;
use crate::upstream::{Clock, Keeper, Upstream};
use crate::worker::{Shared, Worker};
use actix_codec::Framed;
use actix_http::error::DispatchError;
use actix_http::{Request, h1};
use actix_service::{ServiceFactoryExt, fn_service};
use http::HeaderValue;
use service_kit::health::{Health, HealthBuilder};
use service_kit::metrics::Metrics;
use service_kit::server::{Listeners, Running, Spec, http, listen_internal};
use service_kit::settings::Common;
use service_kit::{Code, Error, Result};
use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Starts the gateway as a process of its own.
pub async fn start(common: Common, settings: Settings) -> Result<Running> {
    start_with(common, settings, Vec::new()).await
}

/// Starts the gateway on the current system; its internal listener shows the metrics of `others` too.
pub async fn start_with(common: Common, settings: Settings, others: Vec<Metrics>) -> Result<Running> {
    let listeners = Listeners::bind(&settings)?;
    let addresses = listeners.addresses().map_err(Error::internal)?;
    let metrics = Metrics::new("gateway");
    let own_metrics = GatewayMetrics::new(&metrics);
    let routes = Routes::new(&settings.routes, &settings.upstreams).map_err(Error::internal)?;
    let upstreams = upstreams(&routes, &settings, &own_metrics);
    let documents = settings.docs.then(|| Documents::new(&upstreams, routes.clone()));
    let health = health(&upstreams);
    let mut spec = Spec::new("gateway", &common, health.clone(), metrics.clone());
    spec.metrics.extend(others);

    let mut token = HeaderValue::from_str(spec.gateway_token.expose()).map_err(Error::internal)?;
    token.set_sensitive(true);
    let shared = Arc::new(Shared {
        routes,
        upstreams,
        rate: RateLimit::new(settings.limits.requests_per_second, settings.limits.burst),
        sockets: Sockets::new(settings.limits.sockets, &own_metrics),
        crowd: Crowd::new(&settings.limits, &settings.trusted_proxies.0),
        token,
        context: spec.context(),
        health,
        metrics,
        own_metrics,
        documents,
        settings,
    });
    let keeper = Keeper::start(&shared.upstreams, shared.settings.timeouts.connect.into()).await;

    let builder = spec.builder();
    let stopping = builder.graceful_shutdown_signal();
    let workers = Arc::clone(&shared);
    let builder = builder.listen("public", listeners.public, move || {
        let worker = Worker::start(&workers);
        let (served, expecting, upgrading) = (Rc::clone(&worker), Rc::clone(&worker), Rc::clone(&worker));
        let server = http(stopping.clone())
            // A client that leaves ends what it asked for; one that only stops sending looks the same.
            .h1_allow_half_closed(false)
            .on_connect_ext(|conn: &Conn, data| {
                data.insert(Rc::clone(conn.watch()));
            })
            .expect(fn_service(move |req: Request| ready(door::expect(&expecting, req))))
            .upgrade(fn_service(move |(req, framed): (Request, Framed<Conn, h1::Codec>)| {
                let relayed = Box::pin(relay::relay(Rc::clone(&upgrading), req, framed));
                async move {
                    relayed.await;
                    Ok::<(), Infallible>(())
                }
            }))
            .h1(fn_service(move |req: Request| {
                let answer = Box::pin(door::serve(Rc::clone(&served), req));
                async move { Ok::<_, Infallible>(answer.await) }
            }));
        fn_service(move |stream: TcpStream| ready(accept(&worker, stream))).and_then(server)
    });
    let builder = builder.map_err(Error::internal)?;
    let builder = listen_internal(&spec, builder, listeners.internal, |_| {}).map_err(Error::internal)?;

    Ok(Running::start(builder.run(), addresses, &spec)
        .before_stop(move |_| async move { shared.sockets.close().await })
        .after_stop(move || async move { drop(keeper) }))
}

type Accepted = (Conn, Option<std::net::SocketAddr>);

fn accept(worker: &Worker, stream: TcpStream) -> Result<Accepted, DispatchError> {
    let peer = stream.peer_addr().ok();
    // Head and body of an answer may be two writes; the second must not wait for the first to be acknowledged.
    stream.set_nodelay(true)?;
    let place = worker.shared.crowd.enter(peer.map(|peer| peer.ip().to_canonical()));
    Ok((worker.watched.watch(stream, place), peer))
}

fn upstreams(routes: &Routes, settings: &Settings, metrics: &GatewayMetrics) -> Vec<Arc<Upstream>> {
    let clock = Clock::start();
    let upstream = |name: &String| {
        let places = settings.upstreams.0.get(name).map(|places| places.0.as_slice()).unwrap_or_default();
        Arc::new(Upstream::new(name, places, clock.clone(), metrics.clone()))
    };
    routes.upstream_names().iter().map(upstream).collect()
}

/// Tells which services are reachable; the gateway is ready whether they are or not (design §5.8).
fn health(upstreams: &[Arc<Upstream>]) -> Health {
    let part = |health: HealthBuilder, upstream: &Arc<Upstream>| {
        // A few names out of the settings, once for each start: parts have static names.
        let name: &'static str = upstream.name.clone().leak();
        let upstream = Arc::clone(upstream);
        health.part(name, move || {
            let upstream = Arc::clone(&upstream);
            async move {
                let reachable = upstream.is_reachable().await;
                if reachable { Ok(()) } else { Err(Error::new(Code::UpstreamDown, "not reachable")) }
            }
        })
    };
    upstreams.iter().fold(Health::builder(), part).build()
}
