//! Hostile clients against a whole Kith; the gateway's own tests have the rest (gateway/tests/api).

use crate::process::open_files;
use crate::stack::Stack;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_slow_half_open_requests_hold_nobody_up_and_are_ended() {
    let _alone = crate::faults::alone().await;
    let mut stack = Stack::start(&[("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    kith.register("alice").await.ok_b();
    let before = stack.process_of("gateway").resident_kib();
    let address = kith.url.trim_start_matches("http://").to_owned();
    let many = open_files(1, 3_000, 10_000);
    let start = Instant::now();
    let mut open = Vec::with_capacity(many);
    for n in 0..many {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"POST /auth/user_token HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        open.push(stream);
        if n % 1000 == 0 {
            kith.userinfo("alice").await.ok_c();
        }
    }
    let grown = stack.process_of("gateway").resident_kib().saturating_sub(before);
    let each = grown as f64 / many as f64;
    assert!(each < 64.0, "{each:.1} KiB for each half-open request");
    // Others are served meanwhile.
    let asked = Instant::now();
    kith.register("bob").await.ok_b();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    // A head has 5 s; then its sender is told, or cut.
    let mut answered = 0;
    for mut stream in open {
        let left = Duration::from_secs(60).saturating_sub(start.elapsed());
        let mut answer = Vec::new();
        let read = tokio::time::timeout(left, stream.read_to_end(&mut answer)).await.expect("ended within a minute");
        answered += usize::from(read.is_ok() && !answer.is_empty());
    }
    assert!(answered > 0, "nobody was told why");
    assert_eq!(kith.online(json!(["alice"])).await.ok_b()["successResult"][0]["status"], json!("offline"));
}
