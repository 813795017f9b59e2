//! Answers of the page, with the headers that guard it.

use super::view::View;
use super::visitor::{FORM, SESSION, Visitor};
use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::Value;
use service_kit::{Error, Result};
use std::time::Duration;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub fn guarded(answer: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    answer
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
}

/// A page; what went wrong is a page too.
pub fn page(visitor: &Visitor, view: Result<View>) -> HttpResponse {
    let view = view.unwrap_or_else(|e| {
        tell(&e);
        View::Trouble { error: e }
    });
    let status = view.status();
    match view.render(visitor) {
        Ok(html) => {
            let mut answer = HttpResponse::build(status);
            answer
                .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
                .insert_header((CONTENT_LANGUAGE, visitor.words.lang))
                .insert_header((VARY, "Accept-Language, Cookie"))
                .insert_header((CACHE_CONTROL, "no-store"));
            if matches!(view, View::SignIn { .. }) {
                answer.cookie(cookie(visitor, FORM, visitor.form_token.expose()));
            }
            guarded(&mut answer).body(html)
        }
        Err(e) => {
            log::error!("{}", e.chain());
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The page anew, by a GET.
pub fn see_page(visitor: &Visitor) -> HttpResponse {
    redirect(visitor).finish()
}

pub fn signed_in(visitor: &Visitor, id: &str, life: Duration) -> HttpResponse {
    let mut session = cookie(visitor, SESSION, id);
    session.set_max_age(CookieDuration::seconds(i64::try_from(life.as_secs()).unwrap_or_default()));
    redirect(visitor).cookie(session).finish()
}

pub fn state(seen: Result<Value>) -> HttpResponse {
    let (status, body) = match seen {
        Ok(seen) => (StatusCode::OK, seen),
        Err(e) => {
            tell(&e);
            (status_of(&e), Value::Object(serde_json::Map::new()))
        }
    };
    guarded(HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store"))).json(body)
}

/// Faults are for operators; what a visitor sent is for debugging.
fn tell(e: &Error) {
    let level = if e.kind().is_fault() { log::Level::Warn } else { log::Level::Debug };
    log::log!(level, "{}", e.chain());
}

pub fn status_of(e: &Error) -> StatusCode {
    StatusCode::from_u16(e.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn redirect(visitor: &Visitor) -> HttpResponseBuilder {
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((LOCATION, format!("{}/bind", visitor.root))).insert_header((CACHE_CONTROL, "no-store"));
    guarded(&mut answer);
    answer
}

fn cookie<'a>(visitor: &Visitor, name: &'a str, value: &'a str) -> Cookie<'a> {
    Cookie::build(name, value)
        .path(format!("{}/bind", visitor.root))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(visitor.is_https())
        .finish()
}
