//! Too much of something.

use crate::helpers::*;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TOO_LARGE: &str = r#"{"errCode":413,"errMsg":"the request's body is too large"}"#;

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_begun() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::with(&[toy.address], |s| s.limits.body = 100).await;
    let mut client = Client::connect(gate.public).await;
    // Small enough to be read anyway, so the connection stays.
    let answer = client.call(&request("POST", B, "", &"x".repeat(101))).await;
    assert_eq!((answer.status, answer.text().as_str()), (413, TOO_LARGE));
    assert_eq!(client.call(&request("POST", B, "", &"x".repeat(100))).await.text(), "service");
    assert_eq!(toy.count(), 1);

    let answer =
        client.call(b"POST /auth/x HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 101\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (413, TOO_LARGE));
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_body_of_unknown_length_is_counted() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::with(&[toy.address], |s| s.limits.body = 100_000).await;
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000));
    for (chunks, status) in [(2, 200), (3, 413)] {
        let mut client = Client::connect(gate.public).await;
        client.send(b"POST /auth/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..chunks {
            client.send(chunk.as_bytes()).await;
        }
        client.send(b"0\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().status, status);
    }
    assert_eq!(toy.count(), 1);
}

#[tokio::test]
async fn a_refused_body_is_read_so_that_the_answer_is() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    for path in [B, "/nothing", D] {
        let mut client = Client::connect(gate.public).await;
        client
            .send(format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", 20 << 20).as_bytes())
            .await;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            client.stream.write_all(&piece).await.expect("the gateway reads on");
        }
        let answer = client.answer().await.unwrap();
        assert!([413, 404, 200].contains(&answer.status));
        assert_eq!(answer.header("connection"), Some("close"));
        client.rest().await.expect("an orderly end");
    }
    assert_eq!(toy.count(), 0);
}

#[tokio::test]
async fn a_refused_body_that_comes_slowly_is_read_for_some_seconds() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    client.send(format!("POST {B} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", 10 << 20).as_bytes()).await;
    for _ in 0..14 {
        tokio::time::sleep(millis(250)).await;
        client.stream.write_all(b"still sending").await.expect("the gateway reads on");
    }
    assert_eq!(client.answer().await.unwrap().status, 413);
}

#[tokio::test]
async fn an_early_answer_of_a_service_is_passed_on() {
    // Answers after the head, reads nothing of the body for a while, then throws it away.
    let toy = Toy::streams(|mut stream| async move {
        let mut head = vec![0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        let early = "HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\nconnection: close\r\n\r\nearly";
        stream.write_all(early.as_bytes()).await.unwrap();
        tokio::time::sleep(millis(300)).await;
        while stream.read(&mut head).await.is_ok_and(|n| n > 0) {}
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    client.send(format!("POST {B} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", 7 << 20).as_bytes()).await;
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..7 {
        client.stream.write_all(&piece).await.expect("the gateway reads on");
    }
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (413, "early"));
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_to_wait() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::with(&[toy.address], |s| {
        (s.limits.requests_per_second, s.limits.burst) = (1, 5);
        s.trusted_proxies.0 = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let from = |address: &str| request("GET", B, &format!("x-forwarded-for: {address}\r\n"), "");
    let mut client = Client::connect(gate.public).await;
    for _ in 0..5 {
        assert_eq!(client.call(&from("203.0.113.9")).await.status, 200);
    }
    let answer = client.call(&from("203.0.113.9")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert_eq!(answer.text(), r#"{"errCode":429,"errMsg":"too many requests: try again later"}"#);
    assert_eq!(client.call(&from("203.0.113.8")).await.status, 200, "others may go on");
    let own = |path: &str| request("GET", path, "x-forwarded-for: 203.0.113.9\r\n", "");
    assert_eq!(client.call(&own("/")).await.status, 429, "nor are the gateway's own pages free");
    for path in ["/healthz", "/readyz", "/readyz/"] {
        assert_eq!(client.call(&own(path)).await.status, 200, "whoever looks after us may too");
    }
}

#[tokio::test]
async fn more_connections_than_allowed_are_told_so() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::with(&[toy.address], |s| s.limits.connections = 2).await;
    let (mut one, mut two) = (Client::connect(gate.public).await, Client::connect(gate.public).await);
    assert_eq!(one.call(&request("GET", B, "", "")).await.status, 200);
    assert_eq!(two.call(&request("GET", B, "", "")).await.status, 200);
    let answer = get(gate.public, B).await;
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert_eq!(answer.text(), r#"{"errCode":503,"errMsg":"too many connections: try again"}"#);
    drop((one, two));
    let began = Instant::now();
    while get(gate.public, B).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(millis(10)).await;
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::with(&[toy.address], |s| (s.limits.connections, s.limits.connections_per_address) = (3, 2)).await;
    let mut greedy = Vec::new();
    for i in 0..6 {
        greedy.push(Client::connect(gate.public).await);
        if i < 2 {
            assert_eq!(greedy[i].call(&request("GET", B, "", "")).await.status, 200);
        }
    }
    let answer = get(gate.public, B).await;
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert_eq!(answer.text(), r#"{"errCode":503,"errMsg":"too many connections: try again"}"#);
    assert_eq!(greedy[0].call(&request("GET", B, "", "")).await.status, 200, "its own go on");
    let mut other = Client::from([127, 0, 0, 2], gate.public).await;
    assert_eq!(other.call(&request("GET", B, "", "")).await.status, 200, "others have theirs");
    drop(greedy);
    let began = Instant::now();
    while get(gate.public, B).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(millis(10)).await;
    }

    // A proxy's connections are not one client's.
    let gate = Gate::with(&[toy.address], |s| {
        s.limits.connections_per_address = 1;
        s.trusted_proxies.0 = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let _one = Client::connect(gate.public).await;
    assert_eq!(get(gate.public, B).await.status, 200);
}

#[tokio::test]
async fn requests_wait_for_a_connection_only_so_long() {
    let toy = Toy::start(|_| Reply::later(1_500, Reply::ok("slow"))).await;
    let gate = Gate::with(&[toy.address], |s| s.limits.upstream_connections = 1).await;
    let calls = (0..6).map(|_| get(gate.public, B));
    let statuses: Vec<u16> = futures_util::future::join_all(calls).await.iter().map(|a| a.status).collect();
    assert!(toy.connections() <= 2, "one for each worker");
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    // A shorter wait ends with a connection.
    let toy = Toy::start(|_| Reply::later(200, Reply::ok("quick"))).await;
    let gate = Gate::with(&[toy.address], |s| s.limits.upstream_connections = 1).await;
    let calls = (0..6).map(|_| get(gate.public, B));
    assert!(futures_util::future::join_all(calls).await.iter().all(|a| a.status == 200));
    assert!(toy.connections() <= 2);
}
