//! No to a request that asked for an upgrade, over its bare stream: whoever took that is past the server library.

use actix_http::StatusCode;
use actix_http::header::{HeaderName, HeaderValue};
use actix_rt::net::TcpStream;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// A client that was told no has this long to take it, and then to read it.
const LINGER: Duration = Duration::from_secs(2);

/// Answers and ends the stream.
pub async fn decline(
    stream: &mut TcpStream,
    status: u16,
    fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    body: &str,
) -> io::Result<()> {
    let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or_default();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} {reason}\r\nconnection: close\r\ncontent-length: {length}\r\n");
    let mut answer = head.into_bytes();
    for (name, value) in fields {
        answer.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body.as_bytes());
    timeout(LINGER, stream.write_all(&answer)).await??;
    timeout(LINGER, finish(stream)).await?
}

/// Ends a stream so that the other side reads everything: says that nothing more comes and waits for it to go.
pub async fn finish(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut thrown_away = [0; 1024];
    while stream.read(&mut thrown_away).await? > 0 {}
    Ok(())
}
