//! Routes of the families. Each is a [`Call`], which knows its path and methods, so that a test can hold a service's
//! route table against its API document.

use super::{Envelope, Failure};
use crate::error::Code;
use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError, web};

/// One row of a route table.
pub struct Call {
    path: String,
    methods: &'static [&'static str],
    resource: Resource,
}

impl Call {
    /// Without a slash at the end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Those that the call takes, HEAD included where it stands for GET.
    pub fn methods(&self) -> &'static [&'static str] {
        self.methods
    }

    /// The trailing slash is optional, as everywhere (contract §0).
    fn new<W: Envelope>(path: &str, methods: &'static [&'static str], allow: &'static str) -> Self {
        let path = path.trim_end_matches('/').to_owned();
        let resource = web::resource([path.clone(), format!("{path}/")])
            .default_service(web::to(move || async move { wrong_method::<W>(allow) }));
        Self { path, methods, resource }
    }

    fn routes(self, add: impl FnOnce(Resource) -> Resource) -> Self {
        Self { resource: add(self.resource), ..self }
    }
}

impl HttpServiceFactory for Call {
    fn register(self, config: &mut AppService) {
        self.resource.register(config);
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
    let resource = web::resource([path.to_owned(), format!("{path}/")]).default_service(web::to(otherwise));
    Call { path: path.to_owned(), methods: &["GET"], resource }
}
