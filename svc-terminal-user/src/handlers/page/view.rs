//! What the page shows, and its templates.

use super::qr;
use super::visitor::Visitor;
use super::words::Words;
use crate::domain::{Bound, Session};
use actix_web::http::StatusCode;
use askama::Template;
use service_kit::{Code, Error, Result};
use shared_models::Stamp;

pub enum View {
    SignIn { notice: Option<Notice>, username: String },
    Code { session: Session, code: String, seconds_left: i64, mapping: Option<Stamp>, notice: Option<Notice> },
    Bound { session: Session, bound: Bound, notice: Option<Notice> },
    Trouble { error: Error },
}

/// Why one sees this page and not another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Or locked out: one wording.
    WrongCredentials,
    Missing,
    /// Neither can be so long, or hold such characters.
    Unusable,
    /// The form itself.
    TooLarge,
    StaleForm,
    Ended,
    Away,
}

impl Notice {
    fn of(e: &Error) -> Self {
        match e.code() {
            Code::WrongCredentials => Self::WrongCredentials,
            Code::BodyTooLarge => Self::TooLarge,
            _ if e.kind().is_fault() => Self::Away,
            // A form that cannot be read, or is not of the page that was shown.
            _ => Self::StaleForm,
        }
    }

    fn text(self, words: &Words) -> &'static str {
        match self {
            Self::WrongCredentials => words.wrong,
            Self::Missing => words.missing,
            Self::Unusable => words.unusable,
            Self::TooLarge => words.too_large,
            Self::StaleForm => words.stale_form,
            Self::Ended => words.ended,
            Self::Away => words.away,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::WrongCredentials | Self::StaleForm => StatusCode::FORBIDDEN,
            Self::Missing | Self::Unusable => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Ended => StatusCode::OK,
            Self::Away => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<Error> for Notice {
    fn from(e: Error) -> Self {
        let notice = Self::of(&e);
        if notice == Self::Away {
            log::warn!("{}", e.chain());
        }
        notice
    }
}

/// Tells one mapping from another, for the script.
pub fn mapping_mark(bound_at: Option<Stamp>) -> String {
    bound_at.map(|Stamp(at)| at.to_string()).unwrap_or_default()
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    w: &'a Words,
    root: &'a str,
    title: &'a str,
    notice: &'a str,
    form: &'a str,
    username: &'a str,
}

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage<'a> {
    w: &'a Words,
    root: &'a str,
    title: &'a str,
    notice: &'a str,
    form: &'a str,
    user: &'a str,
    drawing: qr::Drawing,
    seconds_left: i64,
    mapping: String,
}

#[derive(Template)]
#[template(path = "bound.html")]
struct BoundPage<'a> {
    w: &'a Words,
    root: &'a str,
    title: &'a str,
    notice: &'a str,
    form: &'a str,
    user: &'a str,
    name: &'a str,
    key_end: &'a str,
    mapping: String,
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    w: &'a Words,
    root: &'a str,
    title: &'a str,
    notice: &'a str,
}

impl View {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignIn { notice, .. } | Self::Code { notice, .. } | Self::Bound { notice, .. } => {
                notice.map_or(StatusCode::OK, Notice::status)
            }
            Self::Trouble { error } => super::answer::status_of(error),
        }
    }

    pub fn render(&self, visitor: &Visitor) -> Result<String> {
        let (w, root) = (visitor.words, visitor.root.as_str());
        let told = |notice: &Option<Notice>| notice.map(|n| n.text(w)).unwrap_or_default();
        let html = match self {
            Self::SignIn { notice, username } => {
                let form = visitor.form_token.expose();
                SignInPage { w, root, title: w.title, notice: told(notice), form, username }.render()
            }
            Self::Code { session, code, seconds_left, mapping, notice } => CodePage {
                w,
                root,
                title: w.scan,
                notice: told(notice),
                form: session.form_token.expose(),
                user: session.user_id.as_str(),
                // The code last: the shipped apps take everything behind the "=" (`semantics.md` E.2).
                drawing: qr::draw(&format!("{}/?matrix_tuserurms={code}", visitor.base_url))?,
                seconds_left: *seconds_left,
                mapping: mapping_mark(*mapping),
            }
            .render(),
            Self::Bound { session, bound, notice } => BoundPage {
                w,
                root,
                title: w.bound,
                notice: told(notice),
                form: session.form_token.expose(),
                user: session.user_id.as_str(),
                name: &bound.name,
                key_end: &bound.key_end,
                mapping: mapping_mark(Some(bound.bound_at)),
            }
            .render(),
            Self::Trouble { error } => {
                TroublePage { w, root, title: w.title, notice: Notice::of(error).text(w) }.render()
            }
        };
        html.map_err(Error::internal)
    }
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::handlers::page::words;
    use service_kit::Secret;
    use service_kit::testkit::fuzz::{target, texts};
    use std::net::{IpAddr, Ipv4Addr};

    fn shown(visitor: &Visitor, username: &str) -> String {
        let view = View::SignIn { notice: Some(Notice::Missing), username: username.to_owned() };
        view.render(visitor).unwrap()
    }

    #[test]
    fn page() {
        target(env!("CARGO_MANIFEST_DIR"), "page", |input| {
            let Some([language, username]) = texts(input) else { return };
            let visitor = Visitor {
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                words: words::of(language),
                session_id: None,
                form_token: Secret::new("token"),
                base_url: "https://im.example".into(),
                root: String::new(),
                ended: false,
                again: false,
            };
            let (empty, page) = (shown(&visitor, ""), shown(&visitor, username));
            // What was typed is shown, and is nothing but text.
            let marks = |page: &str| ['<', '>', '"', '\''].map(|mark| page.matches(mark).count());
            assert_eq!(marks(&page), marks(&empty), "{username:?}");
            assert!(page.len() <= empty.len() + 6 * username.len());
            let again = ("&#34;", "\"", "&#39;", "'", "&#60;", "<", "&#62;", ">", "&#38;", "&");
            let differs = page.bytes().zip(empty.bytes()).position(|(a, b)| a != b);
            let Some(from) = differs else { return assert!(username.is_empty() || page.len() > empty.len()) };
            let typed = page[from..].split('"').next().unwrap_or_default();
            let typed = typed.replace(again.0, again.1).replace(again.2, again.3).replace(again.4, again.5);
            assert_eq!(typed.replace(again.6, again.7).replace(again.8, again.9), username);
        });
    }
}
