//! One connection with one request on the way: HTTP/1.1 or Redis, by hand, because a client's own cost is part of
//! every figure.

use super::Protocol;
use crate::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// So much is read at once; most answers are one read.
const READ: usize = 32 << 10;
/// No answer we ask for is longer.
const LONGEST: usize = 64 << 20;

pub struct Line {
    address: SocketAddr,
    protocol: Protocol,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// A body that came in chunks.
    body: Vec<u8>,
    /// The server said that it closes.
    closing: bool,
}

/// An answer; Redis' are 200 where they are no error.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// Where an answer lies in the buffer.
struct Found {
    status: u16,
    from: usize,
    to: usize,
    chunked: bool,
}

impl Line {
    pub async fn open(address: SocketAddr, protocol: Protocol) -> Result<Self> {
        let stream = connect(address).await?;
        Ok(Self { address, protocol, stream, buffer: Vec::with_capacity(READ), body: Vec::new(), closing: false })
    }

    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        if std::mem::take(&mut self.closing) {
            self.stream = connect(self.address).await?;
        }
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let found = loop {
            self.buffer.reserve(READ);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(format!("{} closed the connection instead of answering", self.address).into());
            }
            if self.buffer.len() > LONGEST {
                return Err(format!("{} answers without an end", self.address).into());
            }
            let found = match self.protocol {
                Protocol::Http => self.http()?,
                Protocol::Redis => redis(&self.buffer, 0).map(|to| {
                    let status = if self.buffer.first() == Some(&b'-') { 500 } else { 200 };
                    Found { status, from: 0, to, chunked: false }
                }),
            };
            if let Some(found) = found {
                break found;
            }
        };
        let body = if found.chunked { &self.body[..] } else { &self.buffer[found.from..found.to] };
        Ok(Answer { status: found.status, body })
    }

    /// `None` while there is more to come.
    fn http(&mut self) -> Result<Option<Found>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(from) = response.parse(&self.buffer)? else { return Ok(None) };
        let status = response.code.unwrap_or_default();
        let (mut length, mut chunked) = (None, false);
        for header in response.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                length = Some(std::str::from_utf8(header.value)?.trim().parse::<usize>()?);
            } else if is("transfer-encoding") {
                chunked = true;
            } else if is("connection") {
                self.closing = header.value.eq_ignore_ascii_case(b"close");
            }
        }
        if chunked {
            let whole = unchunk(&self.buffer[from..], &mut self.body)?;
            return Ok(whole.then_some(Found { status, from, to: from, chunked }));
        }
        let length = length.ok_or("an answer has neither a length nor chunks")?;
        let to = from + length;
        Ok((self.buffer.len() >= to).then_some(Found { status, from, to, chunked }))
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.map_err(|e| format!("{address}: {e}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Collects the chunks; whether the last one is there.
fn unchunk(mut rest: &[u8], body: &mut Vec<u8>) -> Result<bool> {
    body.clear();
    loop {
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(false) };
        let size = std::str::from_utf8(&rest[..end])?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        let (from, to) = (end + 2, end + 2 + size);
        if rest.len() < to + 2 {
            return Ok(false);
        }
        if size == 0 {
            return Ok(true);
        }
        body.extend_from_slice(&rest[from..to]);
        rest = &rest[to + 2..];
    }
}

/// Where a Redis answer that begins at `at` ends.
fn redis(buffer: &[u8], at: usize) -> Option<usize> {
    let rest = buffer.get(at..)?;
    let end = at + rest.windows(2).position(|w| w == b"\r\n")?;
    let number = || std::str::from_utf8(&buffer[at + 1..end]).ok()?.parse::<i64>().ok();
    match buffer[at] {
        b'$' => {
            let Ok(length) = usize::try_from(number()?) else { return Some(end + 2) };
            let to = end + 2 + length + 2;
            (buffer.len() >= to).then_some(to)
        }
        b'*' => (0..number()?.max(0)).try_fold(end + 2, |at, _| redis(buffer, at)),
        _ => Some(end + 2),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        let mut body = Vec::new();
        assert!(unchunk(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", &mut body).unwrap());
        assert_eq!(body, b"abcde");
        for part in [&b"3"[..], b"3\r\nab", b"3\r\nabc\r\n", b"3\r\nabc\r\n0\r\n"] {
            assert!(!unchunk(part, &mut body).unwrap(), "{part:?}");
        }
    }

    #[test]
    fn redis_answers_end_where_they_end() {
        for whole in ["+OK\r\n", ":1\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n$-1\r\n", "*0\r\n"] {
            let bytes = whole.as_bytes();
            assert_eq!(redis(bytes, 0), Some(bytes.len()), "{whole:?}");
            for cut in 0..bytes.len() {
                assert_eq!(redis(&bytes[..cut], 0), None, "{whole:?} cut at {cut}");
            }
        }
    }
}
