//! The head of a service's answer to an upgrade, made fit for the client.

use super::field;

/// An answer's head, with whatever came after it.
pub struct Answer {
    pub status: u16,
    pub draining: bool,
    pub head: Vec<u8>,
}

pub enum Read {
    Partial,
    Garbage,
    Complete(Answer),
}

/// Reads a head off what came so far. The rest is passed on as it is, so of the connection's fields those about the
/// upgrade and the body's form stay.
pub fn read(bytes: &[u8], request_id: &str) -> Read {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut fields);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Read::Partial,
        Err(_) => return Read::Garbage,
    };
    let status = parsed.code.unwrap_or_default();
    if status != 101 && !(200..=599).contains(&status) {
        return Read::Garbage;
    }
    let reason = parsed.reason.unwrap_or_default();
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
    let mut draining = false;
    for header in parsed.headers.iter() {
        let name = header.name.to_ascii_lowercase();
        draining |= name == "x-kith-draining";
        let internal = name.starts_with("x-kith-") && name != "x-kith-failure";
        let written = matches!(name.as_str(), "connection" | "keep-alive" | "x-request-id");
        if !internal && !written {
            field(&mut head, header.name, header.value);
        }
    }
    field(&mut head, "connection", if status == 101 { b"Upgrade" } else { b"close" });
    field(&mut head, "x-request-id", request_id.as_bytes());
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&bytes[length..]);
    Read::Complete(Answer { status, draining, head })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        match read(bytes, "id") {
            Read::Partial => "partial".into(),
            Read::Garbage => "garbage".into(),
            Read::Complete(a) => format!("{} {} {}", a.status, a.draining, String::from_utf8_lossy(&a.head)),
        }
    }

    #[test]
    fn the_head_is_the_services_without_its_internals() {
        assert_eq!(
            text(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                Sec-WebSocket-Accept: x=\r\nX-Kith-Gateway-Token: s\r\nX-Request-Id: other\r\n\r\n\x81\x02hi"
            ),
            "101 false HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x=\r\n\
             connection: Upgrade\r\nx-request-id: id\r\n\r\n\u{fffd}\u{2}hi"
        );
        assert_eq!(
            text(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: keep-alive\r\nX-Kith-Draining: 1\r\n\r\n{}"),
            "401 true HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nconnection: close\r\nx-request-id: id\r\n\r\n{}"
        );
        assert_eq!(text(b"HTTP/1.1 101 Swi"), "partial");
        assert_eq!(text(b"SSH-2.0-OpenSSH\r\n\r\n"), "garbage");
        assert_eq!(text(b"HTTP/1.1 100 Continue\r\n\r\n"), "garbage");
    }
}
