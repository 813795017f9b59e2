//! Routes of the families. Each is a [`Call`], which knows its path and methods, so that a test can hold a service's
//! route table against its API document.

use super::{Envelope, Failure};
use crate::error::Code;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError, Scope, web};
use std::collections::BTreeMap;

/// One row of a route table.
pub struct Call {
    path: String,
    methods: &'static [&'static str],
    /// What its path begins with, where that is variable.
    scope: Option<String>,
    resource: Resource,
}

/// The path of the call that a request was routed to, as the route table has it. With the request's data, because
/// actix would match its path against all routes once more to tell.
#[derive(Clone)]
pub(crate) struct Routed(pub String);

/// Adds a route table. Calls whose paths have the same variable beginning share one scope: that is then taken apart
/// once for a request, and not by each call's own expression in turn.
pub fn serve_calls(cfg: &mut web::ServiceConfig, calls: Vec<Call>) {
    let mut scopes = BTreeMap::<String, Scope>::new();
    for Call { scope, resource, .. } in calls {
        match scope {
            // First, lest a scope take `/im/group_create` for a group.
            None => drop(cfg.service(resource)),
            Some(path) => {
                let scope = scopes.remove(&path).unwrap_or_else(|| web::scope(&path));
                scopes.insert(path, scope.service(resource));
            }
        }
    }
    for scope in scopes.into_values() {
        cfg.service(scope);
    }
}

impl Call {
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Those that the call takes, HEAD included where it stands for GET.
    pub fn methods(&self) -> &'static [&'static str] {
        self.methods
    }

    fn new<W: Envelope>(path: &str, methods: &'static [&'static str], allow: &'static str) -> Self {
        Self::at(path, methods, |r| r.default_service(web::to(move || async move { wrong_method::<W>(allow) })))
    }

    /// Without a slash at the end: the entry takes it off requests.
    fn at(path: &str, methods: &'static [&'static str], set: impl FnOnce(Resource) -> Resource) -> Self {
        let (scope, rest) = match path.rsplit_once('/') {
            Some((scope, _)) if scope.contains('{') => (Some(scope.to_owned()), &path[scope.len()..]),
            _ => (None, path),
        };
        let resource = set(web::resource(rest).app_data(Routed(path.to_owned())));
        Self { path: path.to_owned(), methods, scope, resource }
    }

    fn routes(self, add: impl FnOnce(Resource) -> Resource) -> Self {
        Self { resource: add(self.resource), ..self }
    }
}

/// The answer where the path is known and the method is not.
fn wrong_method<W: Envelope>(allow: &'static str) -> HttpResponse {
    let mut answer = Failure::<W>::from(Code::WrongMethod).error_response();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// A call of family `W` that takes POST.
pub fn post<W, F, Args>(path: &str, handler: F) -> Call
where
    W: Envelope,
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Call::new::<W>(path, &["POST"], "POST").routes(|r| r.route(web::post().to(handler)))
}

/// A call of family `W` that reads, by GET (and HEAD).
pub fn get<W, F, Args>(path: &str, handler: F) -> Call
where
    W: Envelope,
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Call::new::<W>(path, &["GET", "HEAD"], "GET, HEAD")
        .routes(|r| r.route(web::get().to(handler.clone())).route(web::head().to(handler)))
}

/// A call of family `W` that reads, by GET (and HEAD) and POST.
pub fn get_or_post<W, F, Args>(path: &str, handler: F) -> Call
where
    W: Envelope,
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Call::new::<W>(path, &["GET", "HEAD", "POST"], "GET, HEAD, POST").routes(|r| {
        r.route(web::get().to(handler.clone())).route(web::head().to(handler.clone())).route(web::post().to(handler))
    })
}

/// A call of family `W` that changes something, by GET, as its document has it, and POST. Not by HEAD: whoever sends
/// that wants to look and nothing else.
pub fn change_by_get_or_post<W, F, Args>(path: &str, handler: F) -> Call
where
    W: Envelope,
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Call::new::<W>(path, &["GET", "POST"], "GET, POST")
        .routes(|r| r.route(web::get().to(handler.clone())).route(web::post().to(handler)))
}

/// A path that takes upgrades, past the handlers (`server::Upgrade`); any other request to it goes to `otherwise`.
pub fn upgraded<F, Args>(path: &str, otherwise: F) -> Call
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Call::at(path, &["GET"], |r| r.default_service(web::to(otherwise)))
}
