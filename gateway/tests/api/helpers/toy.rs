use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A request as the service got it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HashMap<String, Vec<String>>,
    pub body: Vec<u8>,
    /// Which connection, counted from 0, and which request on it.
    pub connection: usize,
    pub nth: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|values| values[0].as_str())
    }
}

/// What the service does about a request.
pub enum Reply {
    /// 200 with this body.
    Text(String),
    /// These bytes, and on.
    Raw(Vec<u8>),
    /// These bytes, and the connection is closed.
    Last(Vec<u8>),
    /// Waits, then does.
    Later(Duration, Box<Reply>),
    /// Does both.
    Both(Box<Reply>, Box<Reply>),
    Close,
}

impl Reply {
    pub fn ok(body: &str) -> Self {
        Self::Text(body.to_owned())
    }

    pub fn raw(text: &str) -> Self {
        Self::Raw(text.into())
    }

    pub fn last(text: &str) -> Self {
        Self::Last(text.into())
    }

    pub fn later(millis: u64, reply: Self) -> Self {
        Self::Later(Duration::from_millis(millis), Box::new(reply))
    }

    pub fn and(self, reply: Self) -> Self {
        Self::Both(Box::new(self), Box::new(reply))
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A service. It ends, connections and all, with this.
pub struct Toy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    open: AtomicUsize,
}

impl Toy {
    /// Answers each request as the script says, once it has its body.
    pub async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    pub async fn at(address: SocketAddr, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let script: Arc<Script> = Arc::new(script);
        Self::raw(address, move |stream, n, shared| serve(stream, n, shared, Arc::clone(&script))).await
    }

    /// Each connection is handed over as it is.
    pub async fn streams<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::raw(SocketAddr::from(([127, 0, 0, 1], 0)), move |stream, _, _| serve(stream)).await
    }

    async fn raw<F>(address: SocketAddr, serve: impl Fn(TcpStream, usize, Arc<Shared>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener: TcpListener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let counting = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let n = counting.connections.fetch_add(1, Ordering::SeqCst);
                counting.open.fetch_add(1, Ordering::SeqCst);
                let (served, counting) = (serve(stream, n, Arc::clone(&counting)), Open(Arc::clone(&counting)));
                tasks.spawn(async move {
                    served.await;
                    drop(counting);
                });
            }
        });
        Self { address, shared, accepting: Mutex::new(Some(accepting)) }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }

    pub fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Ends at once: what is open is reset.
    pub fn kill(&self) {
        if let Some(task) = self.accepting.lock().unwrap().take() {
            task.abort();
        }
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn serve(mut stream: TcpStream, connection: usize, shared: Arc<Shared>, script: Arc<Script>) {
    let mut buffer = Vec::new();
    for nth in 0.. {
        let Some(seen) = read(&mut stream, &mut buffer, connection, nth).await else { return };
        shared.seen.lock().unwrap().push(seen.clone());
        if !reply(&mut stream, script(&seen)).await {
            return;
        }
    }
}

/// Whether the connection stays.
async fn reply(stream: &mut TcpStream, reply: Reply) -> bool {
    match reply {
        Reply::Text(body) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(head.as_bytes()).await.is_ok()
        }
        Reply::Raw(bytes) => stream.write_all(&bytes).await.is_ok(),
        Reply::Last(bytes) => {
            let _ = stream.write_all(&bytes).await;
            false
        }
        Reply::Later(time, next) => {
            tokio::time::sleep(time).await;
            Box::pin(self::reply(stream, *next)).await
        }
        Reply::Both(one, two) => Box::pin(self::reply(stream, *one)).await && Box::pin(self::reply(stream, *two)).await,
        Reply::Close => false,
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize, nth: usize) -> Option<Seen> {
    let (mut seen, length) = loop {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut fields);
        if let httparse::Status::Complete(length) = request.parse(buffer).unwrap() {
            let mut headers = HashMap::<String, Vec<String>>::new();
            for h in request.headers.iter() {
                let value = String::from_utf8_lossy(h.value).into_owned();
                headers.entry(h.name.to_ascii_lowercase()).or_default().push(value);
            }
            let (method, target) = (request.method.unwrap().to_owned(), request.path.unwrap().to_owned());
            break (Seen { method, target, headers, body: Vec::new(), connection, nth }, length);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    buffer.drain(..length);
    if let Some(length) = seen.header("content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        seen.body = buffer.drain(..length).collect();
    } else if seen.header("transfer-encoding").is_some() {
        let (body, used) = loop {
            if let Some(done) = super::client::unchunk(buffer) {
                break done;
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        };
        seen.body = body;
        buffer.drain(..used);
    }
    Some(seen)
}
