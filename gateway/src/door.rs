//! The public door: what every request passes, in order.

use crate::conn::{Busy, Watch};
use crate::fail::Failure;
use crate::forward::{Body, Drain, Refused, forward};
use crate::headers::{Caller, identify, size};
use crate::limit::declared_length;
use crate::own::Own;
use crate::worker::Worker;
use crate::{cors, own, path};
use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::header::{CONTENT_LENGTH, HeaderValue};
use actix_http::{ConnectionType, Message, Payload, Request, RequestHead, Response, StatusCode, Version};
use service_kit::client::REQUEST_ID;
use service_kit::log::with_request_id;
use service_kit::metrics::Running;
use service_kit::server::AccessLine;
use service_kit::wire::{Dialect, FAILURE_HEADER};
use service_kit::{Code, Error};
use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A request while it is here. Dropped before its end, the client has left.
pub struct Visit {
    pub worker: Rc<Worker>,
    pub head: Message<RequestHead>,
    pub caller: Caller,
    pub began: Instant,
    service: Cell<Option<usize>>,
    told: Cell<bool>,
    _running: Running,
}

/// Bodies up to this size are read before the gateway refuses them, so that the connection can go on.
const SMALL: u64 = 64 << 10;
const SMALL_TIME: Duration = Duration::from_millis(500);
/// A client whose request took all its time is still told so, and the rest of its body read (`forward::Drain`).
const AFTERWARDS: Duration = Duration::from_secs(6);

pub async fn serve(worker: Rc<Worker>, req: Request) -> Response<Body> {
    let watch = req.conn_data::<Rc<Watch>>().cloned();
    let crowded = watch.as_ref().is_some_and(|watch| watch.place.over_limit);
    let (head, payload) = req.into_parts();
    let visit = Visit::new(worker, head);
    let shared = &visit.worker.shared;
    let busy = Busy::new(watch, visit.began + Duration::from(shared.settings.timeouts.request) + AFTERWARDS);

    let (mut answer, outcome) = match visit.pass(payload, crowded).await {
        Ok(answer) => {
            let outcome = outcome(&answer);
            (answer, outcome)
        }
        Err(refused) => {
            let name = refused.error.code().name();
            (visit.refuse(refused).await, name)
        }
    };
    if let Ok(id) = HeaderValue::from_str(visit.caller.id.as_str()) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    cors::decorate(&visit.head, &shared.settings.cors.0, &mut answer);
    if crowded || shared.context.is_draining() {
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    if visit.head.version < Version::HTTP_11 && answer.body().size() == BodySize::Stream {
        // No chunks there: the end of the connection is the end of the body.
        answer.head_mut().no_chunking(true);
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    visit.tell(answer.status().as_u16(), outcome);
    answer.map_body(|_, body| body.while_busy(busy))
}

/// What becomes of a client that waits for leave to send a body (`Expect: 100-continue`): what is too large is not
/// even begun.
pub fn expect(worker: &Rc<Worker>, req: Request) -> Result<Request, Response<BoxBody>> {
    if declared_length(req.head()).is_none_or(|length| length <= worker.shared.settings.limits.body) {
        return Ok(req);
    }
    let (head, _) = req.into_parts();
    let visit = Visit::new(Rc::clone(worker), head);
    let error = Error::from(Code::BodyTooLarge);
    let failure = Failure::new(&error, visit.head.uri.path(), worker.shared.settings.real_status);
    let mut answer = failure.into_answer(None);
    if let Ok(id) = HeaderValue::from_str(visit.caller.id.as_str()) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    visit.tell(answer.status().as_u16(), error.code().name());
    Err(answer.map_into_boxed_body())
}

impl Visit {
    pub fn new(worker: Rc<Worker>, head: Message<RequestHead>) -> Self {
        let caller = identify(&head, &worker.shared.settings.trusted_proxies.0, || worker.ids.next());
        let running = worker.shared.metrics.begin();
        Self {
            head,
            caller,
            began: Instant::now(),
            service: Cell::new(None),
            told: Cell::new(false),
            _running: running,
            worker,
        }
    }

    async fn pass(&self, payload: Payload, crowded: bool) -> Result<Response<Body>, Refused> {
        let refused = |error: Error, payload| Err(Refused { error, payload: Some(payload) });
        let shared = &self.worker.shared;
        let Some(path) = path::check(&self.head.uri) else { return refused(Code::UnknownPath.into(), payload) };
        if crowded {
            return refused(Code::Overloaded.into(), payload);
        }
        if !own::is_probe(path)
            && let Err(error) = self.admit()
        {
            return refused(error, payload);
        }
        if let Some(own) = own::answer(&self.head, path, shared) {
            let answer = match own {
                Ok(Own::Page(page)) => Ok(page),
                // Apart, so that no other request carries the room that this takes.
                Ok(Own::Document(documents)) => Box::pin(own::document(&self.head, documents)).await,
                Err(error) => Err(error),
            };
            return answer.map_err(|error| Refused { error, payload: Some(payload) });
        }
        if size(&self.head).is_none_or(|size| size > shared.settings.limits.header) {
            // As the server library answers on what is too large for it, without an envelope.
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Ok(Response::with_body(status, Body::nothing(BodySize::Sized(0))));
        }
        if let Some(answer) = cors::preflight(&self.head, &shared.settings.cors.0) {
            return Ok(answer);
        }
        let Some(service) = shared.routes.find(path) else { return refused(Code::UnknownPath.into(), payload) };
        self.service.set(Some(service));
        if declared_length(&self.head).is_some_and(|length| length > shared.settings.limits.body) {
            return refused(Code::BodyTooLarge.into(), payload);
        }
        forward(self, service, payload).await
    }

    /// Counts the request of this client.
    pub fn admit(&self) -> Result<(), Error> {
        self.worker.shared.rate.as_ref().map_or(Ok(()), |rate| Ok(rate.admit(self.caller.address)?))
    }

    pub fn set_service(&self, service: usize) {
        self.service.set(Some(service));
    }

    async fn refuse(&self, refused: Refused) -> Response<Body> {
        self.log_failure(&refused.error);
        self.count_failure(&refused.error);
        let failure = Failure::new(&refused.error, self.head.uri.path(), self.worker.shared.settings.real_status);
        let mut drain = match refused.payload {
            None | Some(Payload::None) => None,
            Some(payload) => Some(Drain::new(payload)),
        };
        let small = self.head.headers.contains_key(CONTENT_LENGTH)
            && declared_length(&self.head).is_some_and(|length| length <= SMALL);
        if small
            && let Some(rest) = &mut drain
            && rest.briefly(SMALL_TIME).await
        {
            drain = None;
        }
        failure.into_answer(drain)
    }

    pub fn log_failure(&self, error: &Error) {
        if error.kind().is_fault() {
            with_request_id(self.caller.id.as_str(), || log::warn!("{}: {}", self.service(), error.chain()));
        }
    }

    pub fn count_failure(&self, error: &Error) {
        self.worker.shared.metrics.failure(Dialect::of_path(self.head.uri.path()), error.code());
    }

    fn service(&self) -> &str {
        self.service.get().map_or("-", |i| self.worker.shared.upstreams[i].name.as_str())
    }

    /// The request is over as far as metrics and the access log are concerned.
    pub fn tell(&self, status: u16, outcome: &'static str) {
        if self.told.replace(true) {
            return;
        }
        let took = self.began.elapsed();
        let route = self.service.get().map_or(&self.worker.own, |i| &self.worker.routes[i]);
        route.request(outcome, took);
        if log::log_enabled!(target: "access", log::Level::Info) {
            let line = AccessLine {
                method: self.head.method.as_str(),
                path: self.head.uri.path(),
                route: route.name().clone(),
                status,
                outcome: Cow::Borrowed(outcome),
                client: self.caller.address,
                took,
            };
            with_request_id(self.caller.id.as_str(), || self.worker.shared.context.log(&line));
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.told.get() {
            self.worker.shared.own_metrics.client_gone();
            // nginx's number for the same.
            self.tell(499, "ClientGone");
        }
    }
}

/// A label out of a bounded set.
fn outcome(answer: &Response<Body>) -> &'static str {
    let failure = answer.headers().get(FAILURE_HEADER).and_then(|v| v.to_str().ok()?.parse().ok());
    match failure.unwrap_or(answer.status().as_u16()) {
        0..=399 => "ok",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        413 => "413",
        429 => "429",
        431 => "431",
        503 => "503",
        other if other < 500 => "4xx",
        _ => "5xx",
    }
}
