//! A request to a service and its answer back, both streamed, on the worker that accepted the client.
//!
//! *Once more?* A request that was never sent (nothing listens there, or the connection had been closed) goes to
//! another address, whatever its method. One that was sent may have been carried out. It is repeated only if it is a
//! GET, the connection had served before and was closed without a byte of an answer (as servers close idle
//! connections), and it is neither of family A nor `/cmd`, which write by GET; and only once.

mod body;
mod deadline;
mod download;
mod drain;
mod upload;

pub use body::Body;
pub use drain::Drain;
pub use upload::Upload;

use crate::door::Visit;
use crate::headers::{Outgoing, is_draining, to_client, to_service};
use crate::limit::declared_length;
use crate::upstream::{Lease, LeaseError, Pool, Pools, Tried};
use actix_http::body::BodySize;
use actix_http::{Method, Payload, Response, StatusCode};
use bytes::Bytes;
use deadline::{Deadline, TooSlow};
use download::{Download, Line};
use http::header::CONTENT_LENGTH;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use service_kit::wire::Dialect;
use service_kit::{Code, Error};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use upload::{Feed, State};

/// A request that the gateway itself answers.
pub struct Refused {
    pub error: Error,
    /// The rest of its body.
    pub payload: Option<Payload>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, payload: None }
    }
}

/// Idle connections to one address that may turn out closed before a new one is opened.
const MAX_STALE: usize = 3;
/// Addresses whose connections are all in use that a request waits for, one after the other.
const MAX_FULL: usize = 2;

pub async fn forward(visit: &Visit, service: usize, payload: Payload) -> Result<Response<Body>, Refused> {
    let settings = &visit.worker.shared.settings;
    let feed = match payload {
        Payload::None => None,
        payload => Some(Feed::new(payload, declared_length(&visit.head), settings.limits.body)),
    };
    let pools = &visit.worker.pools[service];
    let deadline = Deadline::new(visit.began, &settings.timeouts);
    match (Attempt { visit, pools, feed: feed.clone(), deadline }).run().await {
        Ok(answer) => Ok(answer),
        Err(error) => {
            if error.kind().is_fault() {
                visit.worker.shared.own_metrics.upstream_error(&pools.upstream.name, error.code().name());
            }
            Err(Refused { error, payload: feed.and_then(|feed| feed.take()) })
        }
    }
}

struct Attempt<'a> {
    visit: &'a Visit,
    pools: &'a Pools,
    feed: Option<Rc<Feed>>,
    deadline: Deadline,
}

/// What follows a failed try.
enum Next {
    /// Another connection to the same address, one that is open or, if not, a new one.
    Same(Rc<Pool>, Request<Upload>, bool),
    /// Another address.
    Other(Request<Upload>, Error),
    GiveUp(Error),
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Response<Body>, Error> {
        if let Some(feed) = &self.feed {
            self.begin_body(feed).await?;
        }
        let mut tried = Tried::default();
        let mut request = self.request();
        let mut last = Error::from(Code::UpstreamDown);
        let mut same: Option<(Rc<Pool>, bool)> = None;
        let (mut stale, mut full) = (0, 0);
        loop {
            let (pool, fresh) = match same.take() {
                Some(same) => same,
                None => match self.pools.pick(&mut tried) {
                    Some(picked) => (picked.0, false),
                    None => return Err(last),
                },
            };
            let mut lease = match Rc::clone(&pool).lease(fresh).await {
                Ok(lease) => lease,
                Err(LeaseError::Refused(e)) => {
                    last = Error::from(Code::UpstreamDown).because(e);
                    continue;
                }
                Err(LeaseError::Local(e)) => {
                    last = Error::from(Code::Overloaded).because(e);
                    continue;
                }
                Err(LeaseError::Full) => {
                    last = Code::Overloaded.into();
                    full += 1;
                    if full == MAX_FULL {
                        return Err(last);
                    }
                    continue;
                }
            };
            let sent = pool.address.now();
            let sending = lease.connection.send(request);
            let mut failed = match self.deadline.watch(self.feed.as_deref(), sending).await {
                Ok(Ok(answer)) => return self.answer(lease, sent, answer).await,
                Ok(Err(failed)) => failed,
                Err(TooSlow::Client) => return Err(body_late()),
                Err(TooSlow::Service) => {
                    pool.address.failed(sent);
                    return Err(Code::UpstreamTimeout.into());
                }
            };
            let next = match failed.take_message() {
                Some(back) if lease.reused => {
                    stale += 1;
                    Next::Same(pool, back, stale >= MAX_STALE)
                }
                Some(back) => {
                    pool.address.failed(sent);
                    Next::Other(back, Error::from(Code::UpstreamDown).because(failed.into_error()))
                }
                None => self.sent_in_vain(pool, &lease, sent, failed.into_error()),
            };
            match next {
                Next::Same(pool, back, fresh) => {
                    request = back;
                    same = Some((pool, fresh));
                }
                Next::Other(back, e) => (request, last) = (back, e),
                Next::GiveUp(e) => return Err(e),
            }
        }
    }

    /// Reads the body's beginning. Bodies that are not there yet may hold only some of the connections to a service.
    async fn begin_body(&self, feed: &Rc<Feed>) -> Result<(), Error> {
        self.deadline.watch(Some(feed), feed.read_ahead()).await.map_err(|_late| body_late())?;
        match feed.state() {
            State::Done => {}
            State::TooLarge => return Err(Code::BodyTooLarge.into()),
            State::Broken => return Err(Code::BadBody.into()),
            State::Open => feed.hold(self.pools.uploads.clone().try_acquire_owned().map_err(|_full| Code::Overloaded)?),
        }
        Ok(())
    }

    fn request(&self) -> Request<Upload> {
        let visit = self.visit;
        let outgoing = Outgoing {
            head: &visit.head,
            caller: &visit.caller,
            token: &visit.worker.shared.token,
            has_body: self.feed.is_some(),
        };
        let mut request = Request::new(Upload(self.feed.clone()));
        *request.headers_mut() = to_service(&outgoing);
        // Method and target were parsed before; what the other version of the crate would not take is not sent.
        *request.method_mut() = method(&visit.head.method);
        let target = visit.head.uri.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = http::Uri::try_from(target).unwrap_or_default();
        request
    }

    /// The request was sent, at least in part, and no answer came.
    fn sent_in_vain(&self, pool: Rc<Pool>, lease: &Lease, sent: u64, e: hyper::Error) -> Next {
        match self.feed.as_ref().map(|feed| feed.state()) {
            Some(State::TooLarge) => return Next::GiveUp(Code::BodyTooLarge.into()),
            Some(State::Broken) => return Next::GiveUp(Code::BadBody.into()),
            _ => {}
        }
        let visit = self.visit;
        // Only once: the second time it goes by a new connection.
        if lease.reused && self.feed.is_none() && !lease.connection.has_heard() && may_repeat(visit) {
            visit.worker.shared.own_metrics.retried();
            return Next::Same(pool, self.request(), true);
        }
        pool.address.failed(sent);
        Next::GiveUp(Error::from(Code::BadUpstream).because(e))
    }

    async fn answer(&self, lease: Lease, sent: u64, answer: http::Response<Incoming>) -> Result<Response<Body>, Error> {
        let (parts, mut rest) = answer.into_parts();
        let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
        if status.is_informational() {
            lease.pool.address.failed(sent);
            return Err(Error::from(Code::BadUpstream).because("an upgrade nobody asked for"));
        }
        // Not the service's own word but its server library's: frozen, it found that the time was over before it found
        // the request. It has no envelope, and it is not the client who was late.
        if status == StatusCode::REQUEST_TIMEOUT {
            lease.pool.address.failed(sent);
            return Err(Error::from(Code::BadUpstream).because("the service took the request for one that never came"));
        }
        let (draining, close) = is_draining(&parts.headers);
        // The server library also ends the connection of whoever is answered before all of his body was read, which
        // any client can bring about.
        lease.pool.address.answered(sent, (draining, close && self.feed.is_none()));
        let line = Line { lease, feed: self.feed.clone(), keep: !draining && !close };

        let bodyless = self.visit.head.method == Method::HEAD || rest.is_end_stream();
        let body = if bodyless {
            let length = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
            let size = match length {
                Some(length) if self.visit.head.method == Method::HEAD => BodySize::Sized(length),
                None if self.visit.head.method == Method::HEAD => BodySize::None,
                _ => BodySize::Sized(0),
            };
            // A body of nothing is never asked for more, so the rest of the request's is left to the server library.
            drop(line.end());
            Body::nothing(size)
        } else {
            let size = rest.size_hint().exact();
            match first_chunk(&mut rest).await {
                First::Chunk(first) if size == Some(first.len() as u64) => Body::whole(first, line.end()),
                First::End => {
                    drop(line.end());
                    Body::nothing(BodySize::Sized(0))
                }
                // The client has not been told anything yet.
                First::Broken(e) => return Err(Error::from(Code::BadUpstream).because(e)),
                first => {
                    let first = if let First::Chunk(first) = first { Some(first) } else { None };
                    let size = size.map_or(BodySize::Stream, BodySize::Sized);
                    let metrics = self.visit.worker.shared.own_metrics.clone();
                    Body::stream(Download::new(first, rest, size, line, self.deadline, metrics))
                }
            }
        };
        let mut answer = Response::with_body(status, body);
        to_client(&parts.headers, answer.headers_mut(), status == StatusCode::NOT_MODIFIED);
        Ok(answer)
    }
}

/// How a body begins.
enum First {
    Chunk(Bytes),
    End,
    Broken(hyper::Error),
    Later,
}

/// The beginning of a body if it is as good as there: head and body in one write instead of two.
async fn first_chunk(body: &mut Incoming) -> First {
    let mut waited = false;
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(frame.into_data().map_or(First::Later, First::Chunk)),
        Poll::Ready(Some(Err(e))) => Poll::Ready(First::Broken(e)),
        Poll::Ready(None) => Poll::Ready(First::End),
        Poll::Pending if waited => Poll::Ready(First::Later),
        Poll::Pending => {
            // Lets the connection's task go first.
            waited = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

fn body_late() -> Error {
    Error::new(Code::BadBody, "the request's body did not arrive in time")
}

fn may_repeat(visit: &Visit) -> bool {
    let path = visit.head.uri.path();
    let bare = path.trim_end_matches('/');
    let writes = Dialect::of_path(path) == Dialect::RcRm || bare.ends_with(".action") || bare == "/cmd";
    visit.head.method == Method::GET && !writes
}

fn method(method: &Method) -> http::Method {
    match *method {
        Method::GET => http::Method::GET,
        Method::POST => http::Method::POST,
        ref other => http::Method::from_bytes(other.as_str().as_bytes()).unwrap_or_default(),
    }
}
