//! One service's document, over a connection of its own: this happens once a minute at most, or every two seconds while
//! one is missing.

use crate::upstream::{Address, Upstream};
use http::header::{ETAG, HOST, IF_NONE_MATCH};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use service_kit::openapi::PATH;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A service has this long.
const ANSWER: Duration = Duration::from_secs(2);
const MAX_BYTES: usize = 4 << 20;

pub enum Fetched {
    Same,
    New { etag: String, body: Bytes },
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The document of the service's best address, unless it is still the one with this tag.
pub async fn fetch(upstream: &Upstream, etag: &str) -> Result<Fetched> {
    let addresses = upstream.addresses();
    let best = addresses.iter().min_by_key(|address| address.rank()).ok_or("no address")?;
    timeout(ANSWER, ask(best, etag)).await?
}

async fn ask(address: &Arc<Address>, etag: &str) -> Result<Fetched> {
    let stream = TcpStream::connect(address.socket).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(PATH).header(HOST, "gateway").header(IF_NONE_MATCH, etag).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await;
    let read = match answer {
        Ok(answer) => read(answer).await,
        Err(e) => Err(e.into()),
    };
    driver.abort();
    read
}

async fn read(answer: http::Response<hyper::body::Incoming>) -> Result<Fetched> {
    match answer.status() {
        StatusCode::NOT_MODIFIED => Ok(Fetched::Same),
        StatusCode::OK => {
            let etag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
            let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await?.to_bytes();
            Ok(Fetched::New { etag, body })
        }
        other => Err(other.to_string().into()),
    }
}
