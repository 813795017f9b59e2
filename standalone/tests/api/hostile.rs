//! Hostile clients against a whole Kith; the gateway's own tests have the rest (gateway/tests/api).

use crate::contract_4_avatars::{png, upload};
use crate::friends::KITH;
use crate::process::open_files;
use crate::stack::Stack;
use futures_util::stream::unfold;
use reqwest::Method;
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

/// A body that begins with `first` and then comes byte by byte, for ever.
fn trickling(first: Vec<u8>) -> reqwest::Body {
    let body = unfold(first, |piece| async move {
        if piece.len() == 1 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Some((Ok::<_, std::io::Error>(piece), vec![0]))
    });
    reqwest::Body::wrap_stream(body)
}

/// A body that begins with `first` and never goes on.
fn stalled(first: Vec<u8>) -> reqwest::Body {
    let body = unfold(Some(first), |first| async {
        match first {
            Some(first) => Some((Ok::<_, std::io::Error>(first), None)),
            None => std::future::pending().await,
        }
    });
    reqwest::Body::wrap_stream(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_trickling_uploads_hold_up_no_honest_one() {
    let stack = Stack::start(&[("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    let idle: Vec<_> = (0..100)
        .map(|n| {
            // Heads only, beginnings, and more than a small body.
            let mut first = png(1, 1, "");
            first.resize([34, 1000, 200_000, 1 << 20][n % 4], 0);
            let request = if n % 3 == 0 {
                let form = "--x\r\nContent-Disposition: form-data; name=\"portrait\"; filename=\"a.jpg\"\r\n\r\n";
                first.splice(0..0, form.bytes());
                kith.request(Method::POST, &format!("/tu_rc_sync_urp_from_hp.action?tuser_key=idle-{n}"))
                    .header("Content-Type", "multipart/form-data; boundary=x")
            } else {
                kith.signed(KITH, "uploadAvatar", &format!("&useracc=idle-{n}"))
            };
            let body = if n % 8 < 4 { trickling(first) } else { stalled(first) };
            tokio::spawn(request.body(body).send())
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(idle.iter().all(|request| !request.is_finished()), "an idle one was answered already");
    let mut honest = png(3, 2, "honest");
    honest.resize(2 << 20, 1);
    for n in 0..3 {
        upload(&kith, &format!("a{n}"), honest.clone()).await.ok_d();
        kith.upload(&format!("honest-{n}"), &[], "portrait", &honest).await.ok_a();
    }
    // Who sends nothing more is told; who goes on trickling is cut off later.
    let mut told = 0;
    for (n, request) in idle.into_iter().enumerate() {
        if n % 8 < 4 {
            request.abort();
            continue;
        }
        let Ok(Ok(answer)) = request.await else { continue };
        let text = answer.text().await.unwrap();
        assert!(text.contains("the request's body did not arrive in time"), "{text}");
        told += 1;
    }
    assert!(told > 0, "nobody was told why");
}
