//! The server behind the compared proxies: 200 bytes of JSON for a GET, the body itself for a POST, as cheaply as
//! that can be done.

use crate::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of the answer to a GET.
const ANSWER: usize = 200;

pub fn serve(address: &str) -> Result<()> {
    let address: SocketAddr = address.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A client that goes away is none of the others' business.
            tokio::spawn(async move { converse(stream).await.ok() });
        }
    })
}

pub fn json() -> String {
    format!("{{\"errCode\":0,\"errMsg\":\"\",\"data\":\"{}\"}}", "x".repeat(ANSWER - 35))
}

async fn converse(mut stream: TcpStream) -> Result<()> {
    let body = json();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let (answer, mut echo, mut buffer) = (answer + &body, Vec::new(), Vec::with_capacity(16 << 10));
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(from) = request.parse(&buffer)? {
            let is_get = request.method == Some("GET");
            let length = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
            let length = length.map_or(Ok(0), |h| std::str::from_utf8(h.value).unwrap_or_default().parse::<usize>())?;
            let to = from + length;
            if buffer.len() >= to {
                if is_get {
                    stream.write_all(answer.as_bytes()).await?;
                } else {
                    echo.clear();
                    echo.extend_from_slice(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
                    echo.extend_from_slice(&buffer[from..to]);
                    stream.write_all(&echo).await?;
                }
                buffer.drain(..to);
                continue;
            }
        }
        buffer.reserve(8 << 10);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_has_its_size() {
        assert_eq!(super::json().len(), super::ANSWER);
    }
}
