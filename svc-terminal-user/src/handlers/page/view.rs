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
    SignIn { notice: Option<Notice> },
    Code { session: Session, code: String, seconds_left: i64, mapping: Option<Stamp>, notice: Option<Notice> },
    Bound { session: Session, bound: Bound, notice: Option<Notice> },
    Trouble { error: Error },
}

/// Why one sees this page and not another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Or locked out: one wording.
    WrongCredentials,
    StaleForm,
    Ended,
    Away,
}

impl Notice {
    pub fn of(e: &Error) -> Self {
        match e.code() {
            Code::NotAuthorized | Code::BadParameter | Code::BadBody | Code::EmptyBody => Self::StaleForm,
            _ if e.kind().is_fault() => {
                log::warn!("{}", e.chain());
                Self::Away
            }
            _ => Self::WrongCredentials,
        }
    }

    fn text(self, words: &Words) -> &'static str {
        match self {
            Self::WrongCredentials => words.wrong,
            Self::StaleForm => words.stale_form,
            Self::Ended => words.ended,
            Self::Away => words.away,
        }
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
}

impl View {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignIn { notice: Some(Notice::WrongCredentials | Notice::StaleForm) } => StatusCode::FORBIDDEN,
            Self::SignIn { notice: Some(Notice::Away) } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Code { notice: Some(Notice::StaleForm), .. }
            | Self::Bound { notice: Some(Notice::StaleForm), .. } => StatusCode::FORBIDDEN,
            Self::SignIn { .. } | Self::Code { .. } | Self::Bound { .. } => StatusCode::OK,
            Self::Trouble { error } => super::answer::status_of(error),
        }
    }

    pub fn render(&self, visitor: &Visitor) -> Result<String> {
        let (w, root) = (visitor.words, visitor.root.as_str());
        let told = |notice: &Option<Notice>| notice.map(|n| n.text(w)).unwrap_or_default();
        let html = match self {
            Self::SignIn { notice } => {
                let form = visitor.form_token.expose();
                SignInPage { w, root, title: w.title, notice: told(notice), form }.render()
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
            Self::Trouble { .. } => TroublePage { w, root, title: w.title }.render(),
        };
        html.map_err(Error::internal)
    }
}
