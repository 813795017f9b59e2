//! One server as every process assembles it: a public and an internal listener on one set of worker threads, an
//! entry that every request passes, health and metrics, and an end that loses nothing (design §5.9).

mod decline;
mod document;
mod entry;
mod internal;
mod run;

pub use decline::{decline, finish};
pub use entry::{AccessLine, Context};
pub(crate) use internal::INTERNAL_TOKEN;
pub use run::{Deadline, Running, stop_all, until_signal};

use self::document::LazyDocument;
use crate::client::GATEWAY_TOKEN;
use crate::error::{Code, Error};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::openapi::Document;
use crate::secret::Secret;
use crate::settings::{Common, Section};
use crate::wire;
use actix_codec::Framed;
use actix_http::body::BoxBody;
use actix_http::h1::{self, ExpectHandler, UpgradeHandler};
use actix_http::{HttpServiceBuilder, KeepAlive, Request, Response};
use actix_rt::net::TcpStream;
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{Service, ServiceFactory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use futures_util::future::LocalBoxFuture;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

/// Idle connections are kept so long; longer than the gateway keeps them (`gateway::upstream`), so that it is the
/// gateway that ends them and never sends into a closing one.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A request's head must be there within this time.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What still runs this long after accepting ended is cut off; earlier where the process's own end is nearer (`run`).
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 18;
/// More connections than this wait unaccepted, per worker.
const MAX_CONNECTIONS: usize = 25_000;
/// Connections that wait to be accepted, at most; the kernel may allow fewer.
const BACKLOG: i32 = 4096;

/// The two sockets of a process, bound before anything else so that a port that is taken is told at once.
pub struct Listeners {
    pub public: TcpListener,
    pub internal: TcpListener,
}

impl Listeners {
    /// Bound and listening: for a server that starts serving at once.
    pub fn bind(section: &impl Section) -> Result<Self, Error> {
        let listeners = Self::reserve(section)?;
        listeners.listen().map_err(|e| Error::new(Code::Internal, format!("cannot listen: {e}")))?;
        Ok(listeners)
    }

    /// Bound only: until [`serve`] whoever connects is refused at once, instead of waiting for a service that may
    /// still be waiting for its database.
    pub fn reserve(section: &impl Section) -> Result<Self, Error> {
        Ok(Self { public: bind(section.listen())?, internal: bind(section.internal_listen())? })
    }

    /// Does nothing to sockets that listen already.
    fn listen(&self) -> io::Result<()> {
        for socket in [&self.public, &self.internal].map(socket2::SockRef::from) {
            socket.set_reuse_address(true)?;
            socket.listen(BACKLOG)?;
        }
        Ok(())
    }

    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.internal.local_addr()?))
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let open = || {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        // A restarted process takes its port over from connections that are still closing.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        // Linux lets two sockets that do not listen yet have one port if both say this.
        socket.set_reuse_address(false)?;
        socket.set_nonblocking(true)?;
        io::Result::Ok(TcpListener::from(socket))
    };
    open().map_err(|e| Error::new(Code::Internal, format!("cannot listen on {address}: {e}")))
}

/// HTTP with the limits that every listener of ours has, on streams of type `T`.
pub fn http<T, S>(stopping: GracefulShutdownSignal) -> HttpServiceBuilder<T, S, ExpectHandler, UpgradeHandler>
where
    S: ServiceFactory<Request, Config = ()>,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: fmt::Debug,
    <S::Service as Service<Request>>::Future: 'static,
{
    HttpServiceBuilder::default()
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
}

/// Takes the raw stream of a request that asks for an upgrade.
pub type Upgrade = Rc<dyn Fn(Request, Framed<TcpStream, h1::Codec>) -> LocalBoxFuture<'static, ()>>;

/// What a process tells about itself.
#[derive(Clone)]
pub struct Spec {
    pub name: &'static str,
    pub gateway_token: Secret,
    pub internal_token: Secret,
    pub health: Health,
    /// The first is this server's own; `kith` shows those of all its servers.
    pub metrics: Vec<Metrics>,
    pub workers: usize,
    pub drain: Duration,
    /// Of a service: its API document.
    document: Option<LazyDocument>,
}

impl Spec {
    pub fn new(name: &'static str, common: &Common, health: Health, metrics: Metrics) -> Self {
        Self {
            name,
            gateway_token: common.gateway_token.clone(),
            internal_token: common.internal.token(),
            health,
            metrics: vec![metrics],
            workers: common.workers,
            drain: common.drain.into(),
            document: None,
        }
    }

    /// The same, with the API document of its public calls.
    #[must_use]
    pub fn with_document(&self, document: fn() -> Document) -> Self {
        Self { document: Some(LazyDocument::new(document)), ..self.clone() }
    }

    pub fn context(&self) -> Context {
        Context {
            name: self.name,
            below: "",
            gateway_token: self.gateway_token.clone(),
            proof: (GATEWAY_TOKEN, self.gateway_token.clone()),
            health: self.health.clone(),
            metrics: self.metrics.first().cloned(),
        }
    }

    /// Of the internal listener, whose callers prove themselves with the internal token.
    fn internal_context(&self) -> Context {
        Context { below: internal::BELOW, proof: (INTERNAL_TOKEN, self.internal_token.clone()), ..self.context() }
    }

    /// A server with this process's number of workers, without listeners yet.
    pub fn builder(&self) -> ServerBuilder {
        let builder = Server::build()
            .disable_signals()
            .max_concurrent_connections(MAX_CONNECTIONS)
            .shutdown_timeout(SHUTDOWN_TIMEOUT_SECONDS)
            // Nothing of ours blocks on the workers' own pools (`clippy.toml`, `media::MediaStore`); they serve name
            // look-ups only.
            .worker_max_blocking_threads(2);
        match self.workers {
            0 => builder,
            n => builder.workers(n.min(64)),
        }
    }
}

/// Starts a service: its public routes with the entry before them, its internal routes behind the internal token.
///
/// `upgrade` takes requests that ask for an upgrade, where the service has sockets; elsewhere they are requests
/// like any other.
pub fn serve<P, I, U>(
    spec: &Spec,
    listeners: Listeners,
    public: P,
    internal: I,
    upgrade: Option<U>,
) -> io::Result<Running>
where
    P: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    I: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    U: Fn() -> Upgrade + Clone + Send + 'static,
{
    let addresses = listeners.addresses()?;
    listeners.listen()?;
    let builder = spec.builder();
    let stopping = builder.graceful_shutdown_signal();
    let context = spec.context();
    let document = spec.document.clone();
    let app = move |routes: P, context: Context| {
        App::new()
            .app_data(web::Data::new(context))
            .wrap(from_fn(entry::entry))
            .configure(routes)
            .configure(|cfg| document::route(cfg, document.clone()))
            .default_service(web::to(wire::unknown_path))
    };
    let builder = match upgrade {
        None => builder.listen("public", listeners.public, move || {
            let (stopping, app) = (stopping.clone(), app(public.clone(), context.clone()));
            http(stopping).h1(map_config(app, |()| AppConfig::default())).tcp()
        })?,
        Some(upgrade) => builder.listen("public", listeners.public, move || {
            let (stopping, app, upgrade) = (stopping.clone(), app(public.clone(), context.clone()), upgrade());
            http(stopping)
                .upgrade(fn_service(move |(req, framed)| {
                    let taken = upgrade(req, framed);
                    async move {
                        taken.await;
                        Ok::<(), actix_web::Error>(())
                    }
                }))
                .h1(map_config(app, |()| AppConfig::default()))
                .tcp()
        })?,
    };
    let builder = listen_internal(spec, builder, listeners.internal, internal)?;
    Ok(Running::start(builder.run(), addresses, spec))
}

/// Adds the internal listener: health and metrics for anyone who can connect, `/internal/…` with the token.
pub fn listen_internal<I>(
    spec: &Spec,
    builder: ServerBuilder,
    listener: TcpListener,
    routes: I,
) -> io::Result<ServerBuilder>
where
    I: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let spec = spec.clone();
    let stopping = builder.graceful_shutdown_signal();
    builder.listen("internal", listener, move || {
        let stopping = stopping.clone();
        let app = internal::app(spec.clone(), routes.clone());
        http(stopping).h1(map_config(app, |()| AppConfig::default())).tcp()
    })
}
