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

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::testkit::fuzz::target;

    /// A head's status and fields as a client reads them, and its length.
    fn reread(bytes: &[u8]) -> (u16, Vec<(String, Vec<u8>)>, usize) {
        let mut slots = [httparse::EMPTY_HEADER; 80];
        let mut parsed = httparse::Response::new(&mut slots);
        let httparse::Status::Complete(length) = parsed.parse(bytes).unwrap() else { panic!("not whole") };
        let fields = parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), h.value.to_vec())).collect();
        (parsed.code.unwrap(), fields, length)
    }

    #[test]
    fn answer_head() {
        target(env!("CARGO_MANIFEST_DIR"), "answer_head", |input| {
            let answer = match read(input, "our-id") {
                Read::Complete(answer) => answer,
                // More bytes make no sense of what makes none.
                Read::Garbage => return assert!(matches!(read(&[input, b"\r\n\r\n"].concat(), "x"), Read::Garbage)),
                Read::Partial => return,
            };
            let (status, came, length) = reread(input);
            let (told, went, new_length) = reread(&answer.head);
            assert!(status == told && status == answer.status && (status == 101 || (200..600).contains(&status)));
            assert_eq!(answer.head[new_length..], input[length..], "what follows is passed on as it is");
            let ours = ["connection", "keep-alive", "x-request-id"];
            let kept = |(name, _): &&(String, Vec<u8>)| {
                !ours.contains(&name.as_str()) && (!name.starts_with("x-kith-") || name == "x-kith-failure")
            };
            let mut expected: Vec<_> = came.iter().filter(kept).cloned().collect();
            let connection: &[u8] = if status == 101 { b"Upgrade" } else { b"close" };
            expected.push(("connection".into(), connection.to_vec()));
            expected.push(("x-request-id".into(), b"our-id".to_vec()));
            assert_eq!(went, expected, "no field more or less");
            assert_eq!(answer.draining, came.iter().any(|(name, _)| name == "x-kith-draining"));
            for cut in [0, length / 2, length - 1] {
                assert!(matches!(read(&input[..cut], "our-id"), Read::Partial), "not before it is whole");
            }
        });
    }
}
