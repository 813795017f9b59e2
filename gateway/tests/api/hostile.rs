//! What nobody friendly sends: none of it may crash the gateway, reach a service where it should not, or cost much.

use crate::helpers::*;
use service_kit::settings::Seconds;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Resident memory of this process, gateway, services and client together.
fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn paths_that_could_mean_another_reach_no_service() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    for target in [
        "/../internal/x",
        "/auth/../internal/users",
        "/auth/..%2finternal/users",
        "/auth/%2e%2e/internal/users",
        "/auth/%2E./internal",
        "/auth/.%2e/internal",
        "/auth/./x",
        "/auth//internal",
        "//internal/x",
        "//evil.example/internal",
        "/auth/x%2f..%2finternal",
        "/auth/x%5c..%5cinternal",
        "/auth\\..\\internal",
        "/auth/x%00",
        "/auth/x%0d%0aevil:1",
        "/internal/users",
        "/internal",
        "/Internal/users",
        "http://127.0.0.1:9081/internal/users",
        "http://im.example/auth/x",
        "*",
    ] {
        let answer = Client::connect(gate.public).await.call(&request("GET", target, "", "")).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.text().contains("no such call"), "{target}");
    }
    for connect in [
        "CONNECT 127.0.0.1:9081 HTTP/1.1\r\nhost: h\r\n\r\n",
        "CONNECT 127.0.0.1:9081 HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi",
        "CONNECT /ws HTTP/1.1\r\nhost: h\r\n\r\n",
    ] {
        let answer = Client::connect(gate.public).await.call(connect.as_bytes()).await;
        assert!([400, 404].contains(&answer.status), "{connect}: {}", answer.status);
    }
    assert_eq!(toy.count(), 0);
}

#[tokio::test]
async fn requests_with_two_meanings_are_refused() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    for bad in [
        "POST /auth/x HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /auth/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST /auth/x HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "POST /auth/x HTTP/1.1\r\nhost: h\r\ncontent-length: +5\r\n\r\nhello",
        "POST /auth/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "POST /auth/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /auth/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET /auth/x HTTP/1.1\r\nhost: h\r\nhost: i\r\n\r\n",
        "GET /auth/x HTTP/1.1\r\n\r\n",
        "GET /auth/x\u{e9} HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET /auth/x y HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET /auth/x HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n",
        "garbage\r\n\r\n",
    ] {
        let answer = Client::connect(gate.public).await.call(bad.as_bytes()).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    assert_eq!(toy.count(), 0);
    let broken = "POST /auth/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let mut client = Client::connect(gate.public).await;
    client.send(broken.as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 400);
    client.send(&request("GET", "/auth/x", "", "")).await;
    client.answer().await.expect_err("a body that cannot be read ends the connection");
    assert_eq!(toy.count(), 0);
}

#[tokio::test]
async fn forged_fields_convince_no_service() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    let forged = "x-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n\
        x-forwarded-host: evil.example\r\nforwarded: for=1.1.1.1\r\nx-real-ip: 1.1.1.1\r\n\
        x-kith-gateway-token: the gateway token\r\nx-kith-internal-token: guess\r\nx-kith-draining: 1\r\n\
        connection: x-forwarded-for, x-kith-gateway-token, x-forwarded-proto, host\r\n";
    get_with(&gate, forged).await;
    let seen = toy.last();
    assert_eq!(seen.headers["x-forwarded-for"], ["127.0.0.1"]);
    assert_eq!(seen.headers["x-forwarded-proto"], ["http"]);
    assert_eq!(seen.headers["x-forwarded-host"], ["im.example"]);
    assert_eq!(seen.headers["x-kith-gateway-token"], ["the gateway token"]);
    for name in ["forwarded", "x-real-ip", "x-kith-internal-token", "x-kith-draining"] {
        assert_eq!(seen.header(name), None, "{name}");
    }

    let believing = Gate::with(&[toy.address], |s| s.trusted_proxies.0 = vec!["127.0.0.0/8".parse().unwrap()]).await;
    get_with(
        &believing,
        "x-forwarded-for: 6.6.6.6, 203.0.113.9\r\nx-forwarded-for: 127.0.0.7\r\nx-forwarded-proto: https\r\n",
    )
    .await;
    let seen = toy.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

async fn get_with(gate: &Gate, fields: &str) {
    let answer = Client::connect(gate.public).await.call(&request("GET", B, fields, "")).await;
    assert_eq!(answer.text(), "service");
}

#[tokio::test]
async fn huge_heads_are_refused() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    let huge = format!("GET {B} HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let client = Client::connect(gate.public).await;
    let (read, mut write) = client.stream.into_split();
    tokio::spawn(async move {
        let _ = write.write_all(huge.as_bytes()).await;
    });
    let mut answer = vec![0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut tokio::io::BufReader::new(read), &mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 431");
    for fields in [format!("x: {}\r\n", "x".repeat(70_000)), "x: 1\r\n".repeat(89), "x: 1\r\n".repeat(500)] {
        let answer = Client::connect(gate.public).await.call(&request("GET", B, &fields, "")).await;
        assert!([400, 431].contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(toy.count(), 0);
    get_with(&gate, &"x: 1\r\n".repeat(85)).await;
}

#[tokio::test]
async fn a_hundred_megabytes_cost_no_memory() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    let before = memory();
    for head in ["content-length: 104857600", "transfer-encoding: chunked"] {
        let mut client = Client::connect(gate.public).await;
        client.send(format!("POST {B} HTTP/1.1\r\nhost: h\r\n{head}\r\n\r\n").as_bytes()).await;
        let piece = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
        for _ in 0..100 {
            if client.stream.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
        }
    }
    let grown = memory().saturating_sub(before) >> 20;
    assert!(grown < 40, "{grown} MiB more");
    assert_eq!(toy.count(), 0);
    get_with(&gate, "").await;
}

#[tokio::test]
async fn thousands_of_slow_clients_stop_nobody() {
    const CLIENTS: usize = 4_000;
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    let before = memory();
    let mut slow = Vec::with_capacity(CLIENTS);
    for i in 0..CLIENTS {
        let mut stream = TcpStream::connect(gate.public).await.unwrap();
        let begun = if i % 2 == 0 {
            "GET /auth/x HT"
        } else {
            "POST /auth/x HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx"
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let began = Instant::now();
    get_with(&gate, "").await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let grown = memory().saturating_sub(before);
    assert!(grown / u64::try_from(CLIENTS).unwrap() < 64 << 10, "{} KiB each", grown / 4_000 / 1024);
    // Half of them have not finished a head within its time.
    let mut ended = 0;
    let deadline = Instant::now() + Duration::from_secs(9);
    while ended < CLIENTS / 2 && Instant::now() < deadline {
        tokio::time::sleep(millis(200)).await;
        ended = slow.iter().step_by(2).filter(|s| s.try_read(&mut [0; 12]).is_ok()).count();
    }
    assert_eq!(ended, CLIENTS / 2, "each was told or cut off");
}

#[tokio::test]
async fn bodies_that_trickle_take_no_connection_to_a_service() {
    let toy = Toy::start(|seen| Reply::ok(&seen.body.len().to_string())).await;
    let gate = Gate::with(&[toy.address], |s| s.limits.upstream_connections = 2).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(gate.public).await;
        client.send(b"POST /auth/x HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx").await;
        slow.push(client);
    }
    // Uploads that are under way leave room too, on whichever worker.
    for _ in 0..50 {
        let mut client = Client::connect(gate.public).await;
        client.send(b"POST /auth/x HTTP/1.1\r\nhost: h\r\ncontent-length: 900000\r\n\r\n").await;
        client.send(&vec![b'x'; 100_000]).await;
        slow.push(client);
    }
    tokio::time::sleep(millis(300)).await;
    for _ in 0..20 {
        let answer = Client::connect(gate.public).await.call(&request("POST", "/auth/x", "", "hello")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "5"));
    }
    // Those who were slow are served when they come to an end, whole.
    slow[0].send(b"12345678").await;
    let answer = slow[0].answer().await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "9"));
}

#[tokio::test]
async fn whoever_reads_slowly_holds_a_service_no_longer_than_a_request_may_take() {
    let toy = Toy::streams(|mut stream| async move {
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        let mut sent = stream.write_all(head.as_bytes()).await;
        while sent.is_ok() {
            sent = stream.write_all(&[b'x'; 16 << 10]).await;
        }
    })
    .await;
    let gate = Gate::with(&[toy.address], |s| s.timeouts.request = Seconds(2)).await;
    let mut trickling = Client::connect(gate.public).await;
    trickling.send(&request("GET", B, "", "")).await;
    let reading = tokio::spawn(async move {
        let mut piece = vec![0; 64 << 10];
        while trickling.stream.read(&mut piece).await.is_ok_and(|n| n > 0) {
            tokio::time::sleep(millis(20)).await;
        }
    });
    let mut silent = Client::connect(gate.public).await;
    silent.send(&request("GET", B, "", "")).await;
    let began = Instant::now();
    until("both are served", || toy.open() == 2).await;
    until("both are cut off", || toy.open() == 0).await;
    let took = began.elapsed();
    assert!((millis(1_500)..millis(5_000)).contains(&took), "{took:?}");
    reading.abort();
}

#[tokio::test]
async fn many_requests_at_once_on_one_connection() {
    let toy = Toy::start(|seen| Reply::ok(&seen.target)).await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    let all: Vec<u8> = (0..200).flat_map(|i| request("GET", &format!("/auth/{i}"), "", "")).collect();
    client.send(&all).await;
    for i in 0..200 {
        assert_eq!(client.answer().await.unwrap().text(), format!("/auth/{i}"));
    }
}
