use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the gateway.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// The bytes of a request with the fields that every one needs.
pub fn request(method: &str, target: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {target} HTTP/1.1\r\nhost: im.example\r\n{fields}{length}\r\n{body}").into()
}

pub async fn get(to: SocketAddr, target: &str) -> Answer {
    Client::connect(to).await.call(&request("GET", target, "", "")).await
}

pub async fn post(to: SocketAddr, target: &str, body: &str) -> Answer {
    Client::connect(to).await.call(&request("POST", target, "", body)).await
}

impl Client {
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// A connection from another address.
    pub async fn from(address: [u8; 4], to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        Self { stream: socket.connect(to).await.unwrap(), buffer: Vec::new() }
    }

    /// Sends and reads a whole answer.
    pub async fn call(&mut self, bytes: &[u8]) -> Answer {
        self.send(bytes).await;
        self.answer().await.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn answer(&mut self) -> io::Result<Answer> {
        self.answer_to(false).await
    }

    /// Reads an answer; one to HEAD has no body.
    pub async fn answer_to(&mut self, head_only: bool) -> io::Result<Answer> {
        let mut answer = self.head().await?;
        if head_only || answer.status == 304 || answer.status == 204 || answer.status == 101 {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                self.more().await?;
            }
            answer.body = self.buffer.drain(..length).collect();
        } else if answer.header("transfer-encoding").is_some() {
            let (body, used) = loop {
                match unchunk(&self.buffer) {
                    Some(done) => break done,
                    None => self.more().await?,
                };
            };
            answer.body = body;
            self.buffer.drain(..used);
        } else {
            self.stream.read_to_end(&mut self.buffer).await?;
            answer.body = std::mem::take(&mut self.buffer);
        }
        Ok(answer)
    }

    /// Reads the head alone.
    pub async fn head(&mut self) -> io::Result<Answer> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(length) = response.parse(&self.buffer).unwrap() {
                let pair = |h: &httparse::Header<'_>| {
                    (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned())
                };
                let headers = response.headers.iter().map(pair).collect();
                let status = response.code.unwrap();
                self.buffer.drain(..length);
                return Ok(Answer { status, headers, body: Vec::new() });
            }
            self.more().await?;
        }
    }

    /// Reads until so many bytes after the head are there.
    pub async fn bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < n {
            self.more().await?;
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.buffer).await?;
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn more(&mut self) -> io::Result<()> {
        match timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A chunked body that is all there, and how many bytes it took.
pub fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).unwrap().trim(), 16).unwrap();
        let begin = at + line + 2;
        if bytes.len() < begin + size + 2 {
            return None;
        }
        body.extend_from_slice(&bytes[begin..begin + size]);
        at = begin + size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}
