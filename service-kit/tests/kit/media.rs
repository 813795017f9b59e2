//! The media store in a local folder and in S3: readers are given pieces, never the whole of a file.

use futures_util::StreamExt;
use service_kit::media::{Found, IMAGE_LIMIT, Image, MediaName, MediaStore};
use service_kit::settings::{Common, MediaSettings};
use service_kit::{Secret, random};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PIECE: usize = 256 << 10;

/// A PNG of `size` bytes, no two of its pieces alike.
fn image(size: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\0\0\0\0".to_vec();
    png.extend((0_u32..).flat_map(u32::to_be_bytes).take(size - png.len()));
    png
}

/// What passes between the store and its S3 server.
#[derive(Clone, Default)]
struct Relay {
    asked: Arc<Mutex<Vec<u8>>>,
    answered: Arc<Mutex<usize>>,
}

impl Relay {
    async fn pass(self, client: TcpStream, server: String) {
        let server = TcpStream::connect(server).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let up = async {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                self.asked.lock().unwrap().extend_from_slice(&buffer[..n]);
                to_server.write_all(&buffer[..n]).await.unwrap();
            }
        };
        let down = async {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
                *self.answered.lock().unwrap() += n;
                if to_client.write_all(&buffer[..n]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { () = up => {}, () = down => {} }
    }

    /// The ranges that were asked for so far.
    fn ranges(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let head = |line: &str| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned);
        String::from_utf8_lossy(&asked).lines().filter_map(head).collect()
    }

    fn answered(&self) -> usize {
        *self.answered.lock().unwrap()
    }
}

/// A store in a fresh bucket of the run's S3 server, and what passes.
#[expect(clippy::disallowed_methods, reason = "the run's own parameter")]
async fn s3() -> (MediaStore, Relay) {
    let server = std::env::var("KITH_TEST_S3_URL")
        .expect("KITH_TEST_S3_URL must name an S3 server (moto[server] from PyPI): run scripts/test.sh");
    let bucket = format!("kit-{}", random::hex(6));
    let made = reqwest::Client::new().put(format!("{server}/{bucket}")).send().await.unwrap();
    assert!(made.status().is_success(), "{made:?}");
    let (listener, relay) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Relay::default());
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let passing = relay.clone();
    tokio::spawn(async move {
        let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(passing.clone().pass(client, server.clone()));
        }
    });
    let media = MediaSettings {
        url: format!("s3://{bucket}/some/prefix"),
        endpoint,
        region: "us-east-1".into(),
        access_key_id: "key".into(),
        secret_access_key: Secret::new("secret"),
    };
    (MediaStore::open(&Common { media, ..Common::default() }).unwrap(), relay)
}

fn folder() -> (MediaStore, TempDir) {
    let folder = TempDir::new().unwrap();
    (MediaStore::open(&Common { data_dir: folder.path().into(), ..Common::default() }).unwrap(), folder)
}

async fn put(media: &MediaStore, content: &[u8]) -> MediaName {
    media.put(Image::new(content.to_vec().into()).unwrap()).await.unwrap()
}

async fn pieces(found: Found) -> Vec<Vec<u8>> {
    found.content.map(|piece| piece.unwrap().to_vec()).collect().await
}

/// Whatever the size, in pieces that together are the file.
async fn files_come_whole_in_pieces(media: &MediaStore) {
    for size in [34, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, IMAGE_LIMIT] {
        let content = image(size);
        let name = put(media, &content).await;
        assert_eq!(media.head(&name).await.unwrap(), Some(size as u64));
        let found = media.get(&name).await.unwrap().unwrap();
        assert_eq!(found.size, size as u64);
        let pieces = pieces(found).await;
        assert_eq!(pieces.len(), size.div_ceil(PIECE));
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
        assert!(pieces.concat() == content, "{size}");
    }
    let nobodys = MediaName::parse(&format!("{}.png", "0".repeat(64))).unwrap();
    assert!(media.get(&nobodys).await.unwrap().is_none());
    assert_eq!(media.head(&nobodys).await.unwrap(), None);
}

#[tokio::test]
async fn a_folders_files_come_whole_in_pieces() {
    let (media, _folder) = folder();
    files_come_whole_in_pieces(&media).await;
}

#[tokio::test]
async fn s3s_files_come_whole_in_pieces() {
    let (media, _) = s3().await;
    files_come_whole_in_pieces(&media).await;
}

#[tokio::test]
async fn a_slow_reader_has_no_more_of_a_file_brought_from_s3_than_one_piece() {
    let (media, relay) = s3().await;
    let content = image(IMAGE_LIMIT);
    let name = put(&media, &content).await;
    let (before, asked) = (relay.answered(), relay.ranges().len());
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(media.get(&name).await.unwrap().unwrap());
    }
    // They take their first piece, and then nothing for a while.
    for reader in &mut readers {
        assert_eq!(reader.content.next().await.unwrap().unwrap(), content[..PIECE]);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let brought = relay.answered() - before;
    assert!((8 * PIECE..9 * PIECE).contains(&brought), "{brought} bytes for 8 readers of one piece each");
    assert_eq!(relay.ranges()[asked..], vec!["0-262143"; 8]);
    // The next piece is asked for by whoever reads on.
    assert_eq!(readers[3].content.next().await.unwrap().unwrap(), content[PIECE..2 * PIECE]);
    assert_eq!(relay.ranges()[asked + 8..], ["262144-524287"]);
    let rest = pieces(readers.remove(3)).await.concat();
    assert!(rest == content[2 * PIECE..]);
    // Nor is anything brought for those who went away.
    drop(readers);
    let brought = relay.answered();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(relay.answered(), brought);
}

/// A worker of a server has but two threads for what blocks, and names are looked up on them.
#[test]
fn a_folders_files_need_none_of_the_callers_threads() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (free, busy) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || busy.recv());
    runtime.block_on(async {
        let (media, _folder) = folder();
        let files = async {
            let name = put(&media, &image(2 * PIECE)).await;
            assert_eq!(media.head(&name).await.unwrap(), Some(2 * PIECE as u64));
            assert_eq!(pieces(media.get(&name).await.unwrap().unwrap()).await.len(), 2);
        };
        tokio::time::timeout(Duration::from_secs(5), files).await.expect("threads of its own");
    });
    drop(free);
}
