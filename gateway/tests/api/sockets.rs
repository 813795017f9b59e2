//! The raw relay: byte for byte both ways, its refusals, its limit, its end.

use crate::helpers::*;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const OPEN: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: y\r\nx-kith-secret: 1\r\n\r\n";

/// Switches and echoes; says goodbye when the client has ended.
async fn echo() -> Toy {
    Toy::streams(|mut stream| async move {
        let mut head = Vec::new();
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        // The head as it came, so that the test can look at it.
        stream.write_all(&head).await.unwrap();
        let mut buffer = vec![0; 65536];
        while let Ok(n) = stream.read(&mut buffer).await {
            if n == 0 {
                let _ = stream.write_all(b"goodbye").await;
                return;
            }
            if stream.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// An open socket, and the head that the service got with what came after it.
async fn open(gate: &Gate, after: &str) -> (Client, String) {
    let mut client = Client::connect(gate.public).await;
    let mut bytes = request("GET", "/ws?token=t", OPEN, "");
    bytes.extend_from_slice(after.as_bytes());
    client.send(&bytes).await;
    let answer = client.head().await.unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), Some("y"));
    assert_eq!(answer.header("x-kith-secret"), None);
    assert!(answer.header("x-request-id").is_some());
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        head.extend(timeout(Duration::from_secs(2), client.bytes(1)).await.unwrap().unwrap());
    }
    if !after.is_empty() {
        head.extend(client.bytes(after.len()).await.unwrap());
    }
    (client, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_head_is_replayed() {
    let toy = echo().await;
    let gate = Gate::to(&toy).await;
    let (mut client, head) = open(&gate, "sent at once").await;
    assert!(head.starts_with("GET /ws?token=t HTTP/1.1\r\n"), "{head}");
    for field in [
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-key: x",
        "host: im.example",
        "x-forwarded-for: 127.0.0.1",
        "x-kith-gateway-token: the gateway token",
    ] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{field} in {head}");
    }
    assert!(head.ends_with("\r\n\r\nsent at once"));
    let big: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).take(3_000_000).collect();
    let (mut read, mut write) = client.stream.split();
    let mut back = vec![0; big.len()];
    let (sent, got) = tokio::join!(write.write_all(&big), read.read_exact(&mut back));
    sent.unwrap();
    got.unwrap();
    assert!(back == big);
    assert_eq!(gate.metric("kith_sockets").await, 1.0);
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await.unwrap(), b"goodbye");
    until("the service's side ends", || toy.open() == 0).await;
    let began = Instant::now();
    while gate.metric("kith_sockets").await != 0.0 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(millis(10)).await;
    }
}

#[tokio::test]
async fn only_get_on_its_path_is_let_through() {
    let toy = echo().await;
    let gate = Gate::to(&toy).await;
    for (method, path, status) in [
        ("GET", "/auth/x", 404),
        ("GET", "/im/x", 404),
        ("GET", "/nothing", 404),
        ("GET", "/wss", 404),
        ("GET", "//ws", 404),
        ("GET", "/ws/../internal", 404),
        ("GET", "http://im.example/ws", 404),
        ("POST", "/ws", 405),
        ("CONNECT", "im.example:80", 404),
    ] {
        let mut client = Client::connect(gate.public).await;
        let answer = client.call(&request(method, path, OPEN, "")).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.header("x-request-id").is_some());
        client.rest().await.expect("an orderly end");
    }
    let answer = Client::connect(gate.public).await.call(&request("GET", "/im/x", OPEN, "")).await;
    assert_eq!(answer.text(), r#"{"ret":"failed","reason":"no such call"}"#);
    assert_eq!(toy.connections(), 0);
    // Without the word that makes the rest an upgrade.
    let answer = Client::connect(gate.public).await.call(&request("GET", "/ws", "upgrade: websocket\r\n", "")).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn what_the_service_declines_is_passed_on() {
    let toy = Toy::start(|_| {
        Reply::raw("HTTP/1.1 401 Unauthorized\r\ncontent-length: 7\r\nx-kith-secret: 1\r\n\r\ninvalid")
            .and(Reply::later(50, Reply::Close))
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    let answer = client.call(&request("GET", "/ws/?token=bad", OPEN, "")).await;
    assert_eq!((answer.status, answer.text().as_str()), (401, "invalid"));
    assert_eq!((answer.header("connection"), answer.header("x-kith-secret")), (Some("close"), None));
    client.rest().await.unwrap();

    let toy = Toy::start(|_| Reply::last("garbage\r\n\r\n")).await;
    let gate = Gate::to(&toy).await;
    let answer = Client::connect(gate.public).await.call(&request("GET", "/ws", OPEN, "")).await;
    assert_eq!(answer.text(), r#"{"errCode":502,"errMsg":"the service did not answer properly: try again"}"#);
    drop(toy);
    tokio::time::sleep(millis(20)).await;
    let answer = Client::connect(gate.public).await.call(&request("GET", "/ws", OPEN, "")).await;
    assert_eq!(answer.text(), r#"{"errCode":503,"errMsg":"the service is not reachable: try again"}"#);
}

#[tokio::test]
async fn more_sockets_than_allowed_are_told_so() {
    let toy = echo().await;
    let gate = Gate::with(&[toy.address], |s| s.limits.sockets = 2).await;
    let (one, _two) = (open(&gate, "").await, open(&gate, "").await);
    let answer = Client::connect(gate.public).await.call(&request("GET", "/ws", OPEN, "")).await;
    assert_eq!(answer.text(), r#"{"errCode":503,"errMsg":"too many connections: try again"}"#);
    drop(one);
    until("the first ends", || toy.open() < 2).await;
    open(&gate, "").await;
}

#[tokio::test]
async fn a_connection_too_many_opens_no_socket() {
    let toy = echo().await;
    let gate = Gate::with(&[toy.address], |s| s.limits.connections = 1).await;
    let mut one = Client::connect(gate.public).await;
    one.call(&request("GET", "/healthz", "", "")).await;
    let answer = Client::connect(gate.public).await.call(&request("GET", "/ws", OPEN, "")).await;
    assert_eq!(answer.text(), r#"{"errCode":503,"errMsg":"too many connections: try again"}"#);
    assert_eq!(toy.connections(), 0);
    assert_eq!(one.call(&request("GET", "/ws", OPEN, "")).await.status, 101);
}

#[tokio::test]
async fn a_socket_counts_for_the_share_of_its_address() {
    let toy = echo().await;
    let gate = Gate::with(&[toy.address], |s| s.limits.connections_per_address = 1).await;
    let (socket, _) = open(&gate, "").await;
    assert_eq!(get(gate.public, "/healthz").await.status, 503);
    drop(socket);
    let began = Instant::now();
    while get(gate.public, "/healthz").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(millis(10)).await;
    }
}

#[tokio::test]
async fn whoever_resets_is_gone_at_once() {
    let toy = echo().await;
    let gate = Gate::to(&toy).await;
    let (client, _) = open(&gate, "").await;
    client.stream.set_zero_linger().unwrap();
    let began = Instant::now();
    drop(client);
    until("the service is told", || toy.open() == 0).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    let toy = Toy::streams(|mut stream| async move {
        let mut head = vec![0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        tokio::time::sleep(millis(100)).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    assert_eq!(client.call(&request("GET", "/ws", OPEN, "")).await.status, 101);
    // However it ends.
    let _ = timeout(Duration::from_secs(1), client.rest()).await.expect("the client is told");
}

#[tokio::test]
async fn answers_to_earlier_requests_come_first() {
    let toy = Toy::streams(|mut stream| async move {
        let mut head = vec![0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        let answer =
            if head.starts_with(b"GET /ws") { SWITCH } else { "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst" };
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read(&mut head).await;
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    let mut both = request("GET", B, "", "");
    both.extend(request("GET", "/ws", OPEN, ""));
    client.send(&both).await;
    assert_eq!(client.answer().await.unwrap().text(), "first");
    assert_eq!(client.head().await.unwrap().status, 101);
}

#[tokio::test]
async fn a_gateway_that_ends_lets_the_service_say_goodbye() {
    let toy = echo().await;
    let gate = Gate::to(&toy).await;
    let mut open_ones = Vec::new();
    for _ in 0..20 {
        open_ones.push(open(&gate, "").await.0);
    }
    let mut idle = Client::connect(gate.public).await;
    idle.call(&request("GET", "/healthz", "", "")).await;
    let began = Instant::now();
    gate.begin_stop();
    // A client that goes on sending gets it all the same.
    for round in 0..4 {
        for client in &mut open_ones {
            client.stream.write_all(b"still here").await.unwrap();
        }
        tokio::time::sleep(millis(100)).await;
        assert!(round == 0 || toy.open() == 0, "the services have said it");
    }
    for client in &mut open_ones {
        let last = timeout(Duration::from_secs(3), client.rest()).await.unwrap().expect("an orderly end");
        assert!(last.ends_with(b"goodbye"), "{last:?}");
    }
    drop(open_ones);
    assert_eq!(timeout(Duration::from_secs(3), idle.rest()).await.unwrap().unwrap(), b"");
    gate.ended().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
