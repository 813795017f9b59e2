//! The gateway's own failures, in the dialect of the path (contract §0).

use crate::forward::{Body, Drain};
use actix_http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use service_kit::rate::retry_after;
use service_kit::wire::{Dialect, FAILURE_HEADER};
use service_kit::{Code, Error, Kind};

/// A failure as it goes out.
pub struct Failure {
    pub status: u16,
    pub fields: Vec<(HeaderName, HeaderValue)>,
    pub body: String,
}

impl Failure {
    /// `path` says the dialect; families A and D get 200 for what is not about the path, unless `real_status`.
    pub fn new(error: &Error, path: &str, real_status: bool) -> Self {
        let dialect = Dialect::of_path(path);
        let (body, content_type) = dialect.failure(error);
        let kind = error.kind();
        let mut fields = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        // What is about the path or about HTTP itself keeps its status; the rest is what clients must be able to read,
        // a body that did not come in time included.
        let read_by_clients =
            kind.is_fault() || matches!(kind, Kind::TooLarge | Kind::TooMany) || error.code() == Code::BadBody;
        let status = if read_by_clients {
            fields.push((FAILURE_HEADER, HeaderValue::from(kind.status())));
            if dialect.hides_status() && !real_status { 200 } else { kind.status() }
        } else {
            kind.status()
        };
        if dialect == Dialect::RcRm {
            fields.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
        }
        if let Some(seconds) = retry_after(error) {
            fields.push((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if error.code() == Code::WrongMethod {
            let allowed = if path == "/ws" { "GET" } else { "GET, HEAD" };
            fields.push((ALLOW, HeaderValue::from_static(allowed)));
        }
        Self { status, fields, body }
    }

    /// As an answer; `drain` is what is left of the request's body.
    pub fn into_answer(self, drain: Option<Drain>) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Response::with_body(status, Body::whole(Bytes::from(self.body), drain));
        for (name, value) in self.fields {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::rate::WaitFor;
    use std::time::Duration;

    fn told(code: Code, path: &str, real_status: bool) -> (u16, Option<u16>) {
        let failure = Failure::new(&code.into(), path, real_status);
        let header = failure.fields.iter().find(|(n, _)| *n == FAILURE_HEADER);
        (failure.status, header.and_then(|(_, v)| v.to_str().ok()?.parse().ok()))
    }

    #[test]
    fn families_a_and_d_read_only_answers_with_200() {
        const A: &str = "/tu_x.action";
        const D: &str = "/2013-12-26/Application/a/IM/x";
        for (code, status) in [
            (Code::BadBody, 400),
            (Code::BodyTooLarge, 413),
            (Code::RateLimited, 429),
            (Code::BadUpstream, 502),
            (Code::UpstreamDown, 503),
            (Code::Overloaded, 503),
            (Code::UpstreamTimeout, 504),
        ] {
            for path in [A, D] {
                assert_eq!(told(code, path, false), (200, Some(status)), "{path}");
                assert_eq!(told(code, path, true), (status, Some(status)), "{path}");
            }
            for path in ["/auth/x", "/im/x", "/"] {
                assert_eq!(told(code, path, false), (status, Some(status)), "{path}");
            }
        }
        for path in [A, D, "/im/x", "/auth/x"] {
            assert_eq!(told(Code::UnknownPath, path, false), (404, None));
            assert_eq!(told(Code::WrongMethod, path, false), (405, None));
        }
    }

    #[test]
    fn whom_the_rate_stops_is_told_when_to_come_back() {
        let wait = |time| {
            let error = Error::from(WaitFor(time));
            let fields = Failure::new(&error, "/im/x", false).fields;
            fields.into_iter().find(|(n, _)| *n == RETRY_AFTER).and_then(|(_, v)| v.to_str().ok()?.parse::<u64>().ok())
        };
        assert_eq!(wait(Duration::from_millis(100)), Some(1));
        assert_eq!(wait(Duration::from_millis(2_500)), Some(3));
    }
}
