//! WebSocket clients: tungstenite, which is not what the server is built on, and bare bytes for what no library sends.

use crate::client::{Answer, Client};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// How a socket ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Closed(u16),
    ClosedWithoutCode,
    /// No close frame came.
    Cut,
}

impl Socket {
    pub async fn try_open(url: &str, query: &str) -> Result<Self, Answer> {
        let url = format!("{}/ws?{query}", url.replacen("http", "ws", 1));
        match connect_async(url).await {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                let text = String::from_utf8(body.unwrap_or_default()).unwrap();
                Err(Answer { status: parts.status.as_u16(), headers: parts.headers, text })
            }
            Err(e) => panic!("{e}"),
        }
    }

    /// Opens and takes the greeting.
    pub async fn open(url: &str, token: &str) -> Self {
        let mut socket = Self::try_open(url, &format!("token={token}")).await.unwrap();
        let ready = socket.json().await;
        assert_eq!((&ready["type"], &ready["heartbeat"]), (&json!("ready"), &json!(27)));
        assert!(!ready["connId"].as_str().unwrap().is_empty());
        socket
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// The next message but pings, within 5 s.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        loop {
            match tokio::time::timeout(Duration::from_secs(5), self.0.next()).await.expect("a message within 5 s") {
                Some(Ok(Message::Ping(_))) => {}
                other => return other,
            }
        }
    }

    pub async fn json(&mut self) -> Value {
        match self.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that it is open: a ping of ours is answered.
    pub async fn lives(&mut self) {
        self.say(r#"{"type":"ping"}"#).await;
        assert_eq!(self.json().await, json!({"type": "pong"}));
    }

    /// Messages until the end, and the end, within `limit`.
    pub async fn end_within(&mut self, limit: Duration) -> (Vec<Value>, End) {
        let mut before = Vec::new();
        let end = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => before.push(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(Some(frame)))) => return End::Closed(frame.code.into()),
                    Some(Ok(Message::Close(None))) => return End::ClosedWithoutCode,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return End::Cut,
                }
            }
        };
        let end = tokio::time::timeout(limit, end).await.unwrap_or_else(|_| panic!("still open after {limit:?}"));
        (before, end)
    }

    /// When pings came, while it stayed open for `time`.
    pub async fn pings_for(&mut self, time: Duration) -> Vec<Duration> {
        let start = std::time::Instant::now();
        let mut pings = Vec::new();
        while let Ok(message) = tokio::time::timeout(time.saturating_sub(start.elapsed()), self.0.next()).await {
            match message {
                Some(Ok(Message::Ping(_))) => pings.push(start.elapsed()),
                Some(Ok(_)) => {}
                other => panic!("ended: {other:?}"),
            }
        }
        pings
    }

    pub async fn end(&mut self) -> (Vec<Value>, End) {
        self.end_within(Duration::from_secs(5)).await
    }

    /// Says goodbye as a client does.
    pub async fn close(mut self) {
        self.0.close(None).await.unwrap();
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

/// A socket of bare bytes: the upgrade is done, frames are the test's.
pub struct Bare(TcpStream);

impl Bare {
    pub async fn open(url: &str, token: &str) -> Self {
        let host = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "GET /ws?token={token} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bare = Self(stream);
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("\"heartbeat\":27}") {
            seen.extend(bare.some().await.expect("greeting"));
        }
        let head = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        // RFC 6455, section 1.3: the answer to that key.
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        bare
    }

    async fn some(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(5), self.0.read(&mut buffer)).await.expect("within 5 s");
        match read {
            Ok(0) | Err(_) => None,
            Ok(n) => Some(buffer[..n].to_vec()),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// A frame as a client must send it: masked.
    pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            n @ 0..126 => frame.push(0x80 | u8::try_from(n).unwrap()),
            n => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(n).unwrap().to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    /// The code of the close frame that comes; texts before it are passed over.
    pub async fn close_code(&mut self) -> u16 {
        let mut seen = Vec::new();
        loop {
            let mut at = 0;
            while seen.len() >= at + 2 {
                let length = usize::from(seen[at + 1]);
                assert!(length < 126, "only short frames are expected: {seen:?}");
                if seen.len() < at + 2 + length {
                    break;
                }
                if seen[at] == 0x88 {
                    return u16::from_be_bytes([seen[at + 2], seen[at + 3]]);
                }
                at += 2 + length;
            }
            seen.extend(self.some().await.unwrap_or_else(|| panic!("ended without a close frame: {seen:?}")));
        }
    }

    /// The next text that comes.
    pub async fn text(&mut self) -> String {
        let seen = self.some().await.expect("a text");
        assert_eq!(seen[0], 0x81, "{seen:?}");
        String::from_utf8(seen[2..].to_vec()).unwrap()
    }
}

impl Client {
    /// Registers a user, if he is not, and returns a token for the platform. Busy is tried again: many tests at once
    /// may be more than the machine takes.
    pub async fn user(&self, uid: &str, platform: i64) -> String {
        loop {
            let answer = self.register_with(uid, json!({"platform": platform})).await.json();
            match answer["errCode"].as_i64() {
                Some(0) => return answer["data"]["token"].as_str().unwrap().to_owned(),
                Some(601) => return self.token(uid, platform).await,
                Some(503) => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => panic!("{answer}"),
            }
        }
    }

    /// Platforms on which a user is online; panics if unknown.
    pub async fn platforms(&self, uid: &str) -> Vec<String> {
        let body = self.online(json!([uid])).await.ok_b();
        platforms_of(&body["successResult"][0]).into_iter().map(str::to_owned).collect()
    }

    /// Waits until the user's platforms are these; contract: within 1 s.
    pub async fn until_platforms(&self, uid: &str, expected: &[&str], within: Duration) {
        let start = std::time::Instant::now();
        loop {
            let answer = self.online(json!([uid])).await.json();
            if answer["errCode"] == 0 && platforms_of(&answer["successResult"][0]) == expected {
                return;
            }
            assert!(start.elapsed() < within, "{uid}: expected {expected:?} within {within:?}: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Opens sockets of one user and platform at once, each with a new token, spread over the addresses, and sees
    /// that exactly one of them and one token remain.
    pub async fn of_many_at_once_one_remains(&self, uid: &str, urls: &[&str], count: usize) {
        self.register(uid).await.ok_b();
        self.force_logout(uid, 0).await.ok_b();
        let mut tokens = Vec::new();
        for _ in 0..count {
            tokens.push(self.token(uid, 1).await);
        }
        let opening = tokens.iter().zip(urls.iter().cycle()).map(|(token, url)| {
            let query = format!("token={token}");
            async move { Socket::try_open(url, &query).await.ok() }
        });
        // Give the losers time to be told, then see who lives.
        let endings = join_all(opening).await.into_iter().flatten().map(|mut socket| async move {
            assert_eq!(socket.json().await["type"], json!("ready"));
            let end = tokio::time::timeout(Duration::from_secs(2), socket.end_within(Duration::from_secs(9))).await;
            (socket, end.ok())
        });
        let (mut living, mut ended) = (Vec::new(), Vec::new());
        for (socket, end) in join_all(endings).await {
            match end {
                None => living.push(socket),
                Some((_, end)) => ended.push(end),
            }
        }
        assert!(ended.iter().all(|end| *end == End::Closed(4706)), "{uid}: {ended:?}");
        assert_eq!(living.len(), 1, "{uid}");
        living[0].lives().await;
        let mut live = 0;
        for token in &tokens {
            live += i64::from(self.parse(token).await.json()["errCode"] == 0);
        }
        assert_eq!(live, 1, "{uid}");
        self.until_platforms(uid, &["IOS"], Duration::from_secs(1)).await;
    }
}

/// The platforms that an answer about online status names for a user.
pub fn platforms_of(user: &Value) -> Vec<&str> {
    let platforms = user["detailPlatformStatus"].as_array();
    platforms.map_or(vec![], |all| all.iter().map(|p| p["platform"].as_str().unwrap()).collect())
}
