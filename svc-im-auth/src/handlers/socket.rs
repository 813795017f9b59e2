//! `/ws` without an upgrade. Requests that ask for one never come here (`sockets::upgrade`).

use super::HandledB;
use service_kit::Code;

/// `GET /ws`, and whatever else comes there without an upgrade.
#[utoipa::path(get, path = "/ws", summary = "A WebSocket of a user on a platform",
    description = "With an upgrade to WebSocket; without one there is no such call (404). JSON text frames: the server \
                   says `{\"type\":\"ready\",\"connId\":…,\"heartbeat\":27}`, pings every 27 s, answers \
                   `{\"type\":\"ping\"}` with `{\"type\":\"pong\"}` and closes after 60 s of silence. A later \
                   socket of the same user and platform closes this one with 4706, a log-out with 4702, frames over \
                   4 KiB with 1009.",
    params(("token" = String, Query, description = "As user_token or get_urt gave it"),
        ("sendID" = Option<String>, Query, description = "Must be the token's user"),
        ("platformID" = Option<String>, Query, description = "Must be the number of the token's platform")),
    responses((status = 101, description = "The socket is open"),
        (status = 400, description = "Not version 13 of the protocol"),
        (status = 401, description = "The token is missing, dead or of somebody else"),
        (status = 503, description = "Try again: the state store is away, or the limit of sockets is reached")),
    extensions(("x-bare" = json!(true)), ("x-failures" = json!({
        "400": ["BadParameter"],
        "401": ["TokenExpired", "TokenInvalid", "TokenMalformed", "TokenKicked"],
        "503": ["Busy", "Internal"],
    }))))]
pub async fn without_upgrade() -> HandledB {
    Err(Code::UnknownPath.into())
}
