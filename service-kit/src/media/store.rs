//! Where the files are.

use super::image::Image;
use crate::error::{Code, Error, Result};
use crate::links::MediaName;
use crate::settings::{Common, MediaSettings};
use actix_web::web::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, once, try_unfold};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::SpawnedReqwestConnector;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};

/// A caller waits this long in all.
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Local files that are read or written at a time.
const FILES: usize = 4;

/// A reader is given a file in pieces of this size, each asked for when the one before it has gone: S3's answers come
/// over an unbounded channel (`SpawnedReqwestConnector`), so a slow reader of a whole one would have all of it in
/// memory.
const PIECE: u64 = 256 << 10;

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct MediaStore(Arc<Inner>);

struct Inner {
    store: Box<dyn ObjectStore>,
    /// Before every name, in a bucket that is shared with others.
    prefix: Path,
    threads: Threads,
}

/// Files are read and written, and S3's connections live, on a runtime of their own: a worker has two threads for what
/// blocks, which look up names, and it takes its connections along when its server ends.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(FILES)
            .thread_name("kith-media")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A stored file.
pub struct Found {
    pub size: u64,
    pub content: BoxStream<'static, Result<Bytes>>,
}

impl MediaStore {
    /// Opens the store that the settings name; a local folder is made where there is none.
    pub fn open(common: &Common) -> Result<Self> {
        let settings = &common.media;
        let fault =
            |what: &str, e: &dyn std::fmt::Display| Error::new(Code::Internal, format!("media.url: {what}: {e}"));
        let threads = Threads::start().map_err(|e| fault("no thread", &e))?;
        let inner = match settings.url.strip_prefix("s3://") {
            Some(place) => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                let handle = threads.handle().ok_or_else(|| fault("S3", &"no thread"))?;
                let connector = SpawnedReqwestConnector::new(handle.clone());
                let store = s3(settings, bucket, connector).map_err(|e| fault("S3", &e))?;
                let prefix = Path::parse(prefix).map_err(|e| fault("prefix", &e))?;
                Inner { store: Box::new(store), prefix, threads }
            }
            None => {
                let folder = match settings.url.strip_prefix("file://") {
                    Some(folder) => PathBuf::from(folder),
                    None => common.data_dir.join("media"),
                };
                let shown = |e: &dyn std::fmt::Display| fault(&folder.display().to_string(), e);
                std::fs::create_dir_all(&folder).map_err(|e| shown(&e))?;
                // What was answered is on the disk.
                let store = LocalFileSystem::new_with_prefix(&folder).map_err(|e| shown(&e))?.with_fsync(true);
                Inner { store: Box::new(store), prefix: Path::default(), threads }
            }
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Stores an image, whole or not at all; one that is there already is not written again.
    pub async fn put(&self, image: Image) -> Result<MediaName> {
        self.there(|store: Self| async move {
            let path = store.path(&image.name);
            let there = store.size(&path).await?;
            if there != Some(image.content.len() as u64) {
                store.0.store.put(&path, image.content.clone().into()).await.map_err(away)?;
            }
            Ok(image.name)
        })
        .await
    }

    /// A file's size; `None` if there is none.
    pub async fn head(&self, name: &MediaName) -> Result<Option<u64>> {
        let path = self.path(name);
        self.there(|store: Self| async move { store.size(&path).await }).await
    }

    /// A file; `None` if there is none.
    pub async fn get(&self, name: &MediaName) -> Result<Option<Found>> {
        let path = self.path(name);
        let (store, of) = (self.clone(), path.clone());
        let found = self.there(|store: Self| async move { store.first_piece(&of).await }).await?;
        let Some((first, size)) = found else { return Ok(None) };
        let rest = try_unfold(first.len() as u64, move |at| {
            let (store, path) = (store.clone(), path.clone());
            async move {
                if at >= size {
                    return Ok(None);
                }
                let piece = store.there(|store: Self| async move { store.piece(&path, at, size).await }).await?;
                let next = at + piece.len() as u64;
                Ok(Some((piece, next)))
            }
        });
        Ok(Some(Found { size, content: once(async { Ok(first) }).chain(rest).boxed() }))
    }

    /// Does it on the store's own threads, in time.
    async fn there<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let away = |why: &'static str| Err(Error::from(Code::Unreachable).because(why));
        let Some(threads) = self.0.threads.handle() else { return away("the media store is closed") };
        match tokio::time::timeout(TIMEOUT, threads.spawn(work(self.clone()))).await {
            Ok(Ok(done)) => done,
            Ok(Err(_stopped)) => away("the media store broke off"),
            Err(_late) => away("the media store did not answer in time"),
        }
    }

    /// Where a file begins, and its size: all of a small one in one question.
    async fn first_piece(&self, path: &Path) -> Result<Option<(Bytes, u64)>> {
        let options = GetOptions { range: Some((0..PIECE).into()), ..GetOptions::default() };
        match self.0.store.get_opts(path, options).await {
            Ok(found) => {
                let size = found.meta.size;
                Ok(Some((found.bytes().await.map_err(away)?, size)))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(away(e)),
        }
    }

    async fn piece(&self, path: &Path, at: u64, size: u64) -> Result<Bytes> {
        let piece = self.0.store.get_range(path, at..size.min(at + PIECE)).await.map_err(away)?;
        // A name is the hash of its content: a file that is shorter now is not that file.
        if piece.is_empty() {
            Err(Error::from(Code::Unreachable).because("a stored file broke off"))
        } else {
            Ok(piece)
        }
    }

    async fn size(&self, path: &Path) -> Result<Option<u64>> {
        match self.0.store.head(path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(away(e)),
        }
    }

    fn path(&self, name: &MediaName) -> Path {
        self.0.prefix.clone().join(name.as_str())
    }
}

fn s3(settings: &MediaSettings, bucket: &str, connector: SpawnedReqwestConnector) -> object_store::Result<AmazonS3> {
    let key = &settings.access_key_id;
    // Without a key of ours: as AWS's own tools find one (environment, web identity, the machine's role).
    let mut builder = if key.is_empty() { AmazonS3Builder::from_env() } else { AmazonS3Builder::new() }
        .with_bucket_name(bucket)
        .with_http_connector(connector)
        .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: 2, retry_timeout: ATTEMPT_TIMEOUT });
    if !key.is_empty() {
        builder = builder.with_access_key_id(key).with_secret_access_key(settings.secret_access_key.expose());
    }
    if !settings.region.is_empty() {
        builder = builder.with_region(&settings.region);
    }
    if !settings.endpoint.is_empty() {
        builder = builder.with_endpoint(&settings.endpoint);
    }
    let plain = settings.endpoint.starts_with("http://");
    let client =
        ClientOptions::new().with_allow_http(plain).with_connect_timeout(CONNECT_TIMEOUT).with_timeout(ATTEMPT_TIMEOUT);
    builder.with_client_options(client).build()
}

fn away(e: object_store::Error) -> Error {
    Error::from(Code::Unreachable).because(e)
}
