//! `/bind`: the page where somebody signs in and binds his phone to his account.
//!
//! Every change is a form of the page itself with a token of its session; the script only counts down and looks
//! whether the phone has scanned. Without script all works but needs a reload.

mod answer;
mod qr;
mod view;
mod visitor;
mod words;

use crate::domain::{Core, Session, in_time};
use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use serde::Deserialize;
use serde_json::json;
use service_kit::{Code, Result, Secret};
use shared_models::{Int, Stamp, Text, Uid};
use utoipa::{IntoResponses, ToSchema};
use view::{Notice, View};
use visitor::{Posted, Visitor};

/// For the API document only: how any of the page's calls may end.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `answer` sends")]
enum PageFailures {
    /// The page with what was refused
    #[response(status = 403, content_type = "text/html")]
    Refused(String),
    /// A page that says so
    #[response(status = 500, content_type = "text/html")]
    Failed(String),
    /// A page that says to try again, or the gateway's failure
    #[response(status = 503, content_type = "text/html")]
    Unavailable(String),
}

/// For the API document only: what becomes of a form that is none of ours.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `answer` sends")]
enum FormFailures {
    /// The form cannot be read
    #[response(status = 400, content_type = "text/html")]
    Unreadable(String),
    /// The form is too large: a page, or the gateway's failure
    #[response(status = 413, content_type = "text/html")]
    TooLarge(String),
}

/// `GET /bind`
#[utoipa::path(get, path = "/bind", summary = "The binding page",
    description = "Sign-in form, code to scan, or the phone that is bound, by the session's cookie.",
    params(("again" = Option<String>, Query, description = "Present: shows a code though a phone is bound"),
        ("ended" = Option<String>, Query, description = "Present: says that the session has ended")),
    responses((status = 200, description = "The page", content_type = "text/html", body = String),
        PageFailures),
    extensions(("x-bare" = json!(true)), ("x-failures" = json!({"503": ["UpstreamDown"]}))))]
pub async fn show(core: Data<Core>, visitor: Visitor) -> HttpResponse {
    let notice = visitor.ended.then_some(Notice::Ended);
    answer::page(&visitor, in_time(view(&core, &visitor, notice)).await)
}

#[derive(Deserialize, ToSchema)]
pub struct SignInForm {
    form: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// `POST /bind/sign-in`
#[utoipa::path(post, path = "/bind/sign-in", summary = "Signs in on the binding page",
    request_body(content = SignInForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "Done: the page anew", headers(("Location" = String))),
        FormFailures, PageFailures),
    extensions(("x-bare" = json!(true)), ("x-failures" = json!({"413": ["BodyTooLarge"], "503": ["UpstreamDown"]}))))]
pub async fn sign_in(core: Data<Core>, visitor: Visitor, posted: Posted<SignInForm>) -> HttpResponse {
    // Asked for again with what was typed.
    let username = posted.0.as_ref().map(|form| form.username.clone()).unwrap_or_default();
    match signed_in(&core, &visitor, posted).await {
        Ok(id) => answer::signed_in(&visitor, &id, core.rules.session_life),
        Err(notice) => answer::page(&visitor, Ok(View::SignIn { notice: Some(notice), username })),
    }
}

async fn signed_in(core: &Core, visitor: &Visitor, posted: Posted<SignInForm>) -> Result<String, Notice> {
    let SignInForm { form, username, password } = posted.0?;
    // Nobody may be signed in by another site, lest he bind his phone to a stranger's account.
    if !visitor.form_token.matches(&form) {
        return Err(Notice::StaleForm);
    }
    if username.is_empty() || password.is_empty() {
        return Err(Notice::Missing);
    }
    // What cannot be anybody's is not looked up, and is no wrong password.
    let username = Uid::new(username).map_err(|_rule| Notice::Unusable)?;
    let password = Text::<128>::new(password).map_err(|_rule| Notice::Unusable)?;
    Ok(core.sign_in(username, Secret::new(password.into_inner()), visitor.address).await?)
}

#[derive(Deserialize, ToSchema)]
pub struct OwnForm {
    form: String,
    /// Of the mapping that the page showed.
    bound_at: Option<Int>,
}

/// `POST /bind/unbind`
#[utoipa::path(post, path = "/bind/unbind", summary = "Ends a binding",
    request_body(content = OwnForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "Done: the page anew", headers(("Location" = String))),
        FormFailures, PageFailures),
    extensions(("x-bare" = json!(true)), ("x-failures" = json!({"413": ["BodyTooLarge"], "503": ["UpstreamDown"]}))))]
pub async fn unbind(core: Data<Core>, visitor: Visitor, posted: Posted<OwnForm>) -> HttpResponse {
    let done = in_time(async {
        let (session, form) = own(&core, &visitor, posted).await?;
        let Int(bound_at) = form.bound_at.unwrap_or(Int(0));
        core.unbind(&session.user_id, Stamp(bound_at)).await
    });
    after(&core, &visitor, done.await).await
}

/// `POST /bind/sign-out`
#[utoipa::path(post, path = "/bind/sign-out", summary = "Ends the session of the binding page",
    request_body(content = OwnForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "Done: the page anew", headers(("Location" = String))),
        FormFailures, PageFailures),
    extensions(("x-bare" = json!(true)), ("x-failures" = json!({"413": ["BodyTooLarge"], "503": ["UpstreamDown"]}))))]
pub async fn sign_out(core: Data<Core>, visitor: Visitor, posted: Posted<OwnForm>) -> HttpResponse {
    let done = in_time(async {
        let (session, _) = own(&core, &visitor, posted).await?;
        core.sign_out(&session).await
    });
    after(&core, &visitor, done.await).await
}

/// For the API document only.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `state` answers")]
struct PageState {
    session: Option<bool>,
    /// Tells one mapping from another; empty: none.
    mapping: Option<String>,
}

/// `GET /bind/state`: what the script asks every two seconds. Tied to the session: a code tells nothing here.
#[utoipa::path(get, path = "/bind/state", summary = "Whether the session lasts and a phone is bound, for the page's script",
    responses((status = 200, description = "The state", body = PageState),
        (status = 500, description = "Failed; an empty object", body = PageState),
        (status = 503, description = "Try again: an empty object, or the gateway's failure", body = PageState)),
    extensions(("x-bare" = json!(true)), ("x-failures" = json!({"503": ["UpstreamDown"]}))))]
pub async fn state(core: Data<Core>, visitor: Visitor) -> HttpResponse {
    let seen = async {
        let Some(session) = session(&core, &visitor).await? else { return Ok(json!({"session": false})) };
        let mapping = core.bound_at(&session.user_id).await?;
        Ok(json!({"session": true, "mapping": view::mapping_mark(mapping)}))
    };
    answer::state(in_time(seen).await)
}

/// `GET /bind/bind.css`
#[utoipa::path(get, path = "/bind/bind.css", summary = "The binding page's style",
    responses((status = 200, description = "The file", content_type = "text/css", body = String)),
    extensions(("x-bare" = json!(true))))]
pub async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("../../../assets/bind.css"))
}

/// `GET /bind/bind.js`
#[utoipa::path(get, path = "/bind/bind.js", summary = "The binding page's script",
    responses((status = 200, description = "The file", content_type = "text/javascript", body = String)),
    extensions(("x-bare" = json!(true))))]
pub async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("../../../assets/bind.js"))
}

fn file(content_type: &'static str, content: &'static str) -> HttpResponse {
    let mut file = HttpResponse::Ok();
    file.insert_header((CONTENT_TYPE, content_type)).insert_header((CACHE_CONTROL, "public, max-age=300"));
    answer::guarded(&mut file).body(content)
}

async fn session(core: &Core, visitor: &Visitor) -> Result<Option<Session>> {
    match &visitor.session_id {
        None => Ok(None),
        Some(id) => core.session(id.expose()).await,
    }
}

/// The session whose own form this is.
async fn own(core: &Core, visitor: &Visitor, posted: Posted<OwnForm>) -> Result<(Session, OwnForm)> {
    let form = posted.0?;
    let session = session(core, visitor).await?.ok_or(Code::NotAuthorized)?;
    if !session.form_token.matches(&form.form) {
        return Err(Code::NotAuthorized.into());
    }
    Ok((session, form))
}

/// After a form: the page anew, by a GET; where it was refused, with a notice.
async fn after(core: &Core, visitor: &Visitor, done: Result<()>) -> HttpResponse {
    match done {
        Ok(()) => answer::see_page(visitor),
        Err(e) if e.code() == Code::NotAuthorized => {
            answer::page(visitor, in_time(view(core, visitor, Some(Notice::StaleForm))).await)
        }
        Err(e) => answer::page(visitor, Err(e)),
    }
}

async fn view(core: &Core, visitor: &Visitor, notice: Option<Notice>) -> Result<View> {
    let Some(session) = session(core, visitor).await? else {
        let ended = visitor.session_id.as_ref().map(|_| Notice::Ended);
        return Ok(View::SignIn { notice: notice.or(ended), username: String::new() });
    };
    let bound = core.bound(&session.user_id).await?;
    match bound {
        Some(bound) if !visitor.again => Ok(View::Bound { session, bound, notice }),
        bound => {
            let code = core.code_to_show(&session).await?;
            let seconds_left = core.seconds_until(code.until);
            let mapping = bound.map(|bound| bound.bound_at);
            Ok(View::Code { session, code: code.code, seconds_left, mapping, notice })
        }
    }
}
