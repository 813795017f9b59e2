//! What passes, and that it passes while it comes.

use crate::helpers::*;
use service_kit::settings::List;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[tokio::test]
async fn a_request_and_its_answer_pass_as_they_are() {
    let toy = Toy::start(|_| {
        Reply::raw("HTTP/1.1 201 Made\r\ncontent-type: text/x\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2\r\nx-kith-draining-not: 1\r\nkeep-alive: timeout=30\r\n\r\nhi")
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    let sent = request("POST", "/auth/x?a=%2F&b=/..//", "accept: a\r\naccept: b\r\ncookie: c\r\n", "{\"x\":1}");
    let answer = client.call(&sent).await;
    assert_eq!((answer.status, answer.text().as_str()), (201, "hi"));
    let mut names: Vec<_> = answer.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
    names.retain(|n| !n.starts_with("date=") && !n.starts_with("x-request-id="));
    names.sort();
    assert_eq!(names, ["content-length=2", "content-type=text/x", "set-cookie=a=1", "set-cookie=b=2"]);

    let seen = toy.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/auth/x?a=%2F&b=/..//"));
    assert_eq!(seen.body, b"{\"x\":1}");
    assert_eq!(seen.headers["accept"], ["a", "b"]);
    assert_eq!(seen.header("host"), Some("im.example"));
    assert_eq!(seen.header("x-forwarded-host"), Some("im.example"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-kith-gateway-token"), Some("the gateway token"));
    assert_eq!(seen.header("x-request-id"), answer.header("x-request-id"));

    // The connections on both sides go on.
    let answer = client.call(&request("GET", "/auth/x", "x-request-id: mine-1\r\n", "")).await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    assert_eq!((toy.last().connection, toy.last().nth), (0, 1));
    assert_eq!(toy.last().header("x-request-id"), Some("mine-1"));
    assert_eq!(gate.metric("kith_requests_total{service=\"gateway\",route=\"im_auth\",outcome=\"ok\"}").await, 2.0);
}

#[tokio::test]
async fn every_prefix_reaches_its_service() {
    let mut toys = Vec::new();
    for name in ["im_auth", "terminal_user", "groups", "friends"] {
        toys.push((name, Toy::start(move |_| Reply::ok(name)).await));
    }
    let addresses: Vec<_> = toys.iter().map(|(name, toy)| (*name, toy.address)).collect();
    let gate = Gate::with(&[addresses[0].1], |s| {
        for (name, address) in &addresses {
            s.upstreams.0.insert((*name).into(), List(vec![address.to_string().parse().unwrap()]));
        }
    })
    .await;
    for (path, service) in [
        (A, "terminal_user"),
        (B, "im_auth"),
        (C, "groups"),
        (D, "friends"),
        ("/im/user_get_token/", "im_auth"),
        ("/bind", "terminal_user"),
    ] {
        assert_eq!(get(gate.public, path).await.text(), service, "{path}");
    }
}

#[tokio::test]
async fn bodies_pass_while_they_come_in_both_directions() {
    // Echoes each chunk's bytes as they arrive, long before the request is over.
    let toy = Toy::streams(|mut stream| async move {
        let mut buffer = vec![0; 65536];
        let mut head = Vec::new();
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        loop {
            let n = stream.read(&mut buffer).await.unwrap_or(0);
            if n == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let end = text.contains("0\r\n\r\n");
            let body = text.split("\r\n").find(|p| p.starts_with("part")).unwrap_or_default().to_owned();
            if !body.is_empty() {
                stream.write_all(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes()).await.unwrap();
            }
            if end {
                stream.write_all(b"0\r\n\r\n").await.unwrap();
                return;
            }
        }
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    client.send(b"POST /auth/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").await;
    // More than is read before a service is asked.
    client.send(format!("{:x}\r\n{}\r\n", 64 << 10, "x".repeat(64 << 10)).as_bytes()).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    for i in 0..3 {
        client.send(format!("5\r\npart{i}\r\n").as_bytes()).await;
        let echoed = timeout(Duration::from_secs(2), client.bytes(10)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(echoed).unwrap(), format!("5\r\npart{i}\r\n"));
    }
    client.send(b"0\r\n\r\n").await;
    assert_eq!(client.bytes(5).await.unwrap(), b"0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_of_unknown_length_passes_chunk_by_chunk() {
    let toy = Toy::start(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .and(Reply::later(300, Reply::raw("3\r\ndef\r\n0\r\n\r\n")))
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    client.send(&request("GET", B, "", "")).await;
    client.head().await.unwrap();
    let first = timeout(millis(200), client.bytes(8)).await.expect("the first chunk before the last").unwrap();
    assert_eq!(first, b"3\r\nabc\r\n");
    assert_eq!(client.bytes(13).await.unwrap(), b"3\r\ndef\r\n0\r\n\r\n");
    // HTTP/1.0 knows no chunks.
    let mut old = Client::connect(gate.public).await;
    let answer = old.call(b"GET /auth/x HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.header("transfer-encoding"), answer.text().as_str()), (None, "abcdef"));
}

#[tokio::test]
async fn answers_without_bodies_keep_their_lengths() {
    let toy = Toy::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("HEAD", "/auth/x") => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n"),
        (_, "/auth/304") => Reply::raw("HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"),
        (_, "/auth/204") => Reply::raw("HTTP/1.1 204 No Content\r\n\r\n"),
        ("OPTIONS", _) => Reply::raw("HTTP/1.1 200 OK\r\nallow: GET\r\ncontent-length: 0\r\n\r\n"),
        _ => Reply::ok(&seen.method),
    })
    .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    client.send(&request("HEAD", "/auth/x", "", "")).await;
    let answer = client.answer_to(true).await.unwrap();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("1234")));
    assert_eq!(client.call(&request("GET", "/auth/304", "", "")).await.status, 304);
    assert_eq!(client.call(&request("GET", "/auth/204", "", "")).await.status, 204);
    assert_eq!(client.call(&request("OPTIONS", "/auth/x", "", "")).await.header("allow"), Some("GET"));
    assert_eq!(client.call(&request("PURGE", "/auth/x", "", "")).await.text(), "PURGE");
    assert_eq!(toy.connections(), 1, "and every connection is used again");
}

#[tokio::test]
async fn big_bodies_pass_whole() {
    let toy = Toy::start(|seen| Reply::Text(String::from_utf8(seen.body.clone()).unwrap())).await;
    let gate = Gate::to(&toy).await;
    let body: String = (0..6 << 20).map(|i| char::from(b'a' + u8::try_from(i % 23).unwrap())).collect();
    let answer = post(gate.public, B, &body).await;
    assert!(answer.text() == body);
    let mut client = Client::connect(gate.public).await;
    let expecting = request("POST", B, "expect: 100-continue\r\n", "hello");
    let (head, body) = expecting.split_at(expecting.len() - 5);
    client.send(head).await;
    assert_eq!(client.head().await.unwrap().status, 100);
    client.send(body).await;
    assert_eq!(client.answer().await.unwrap().text(), "hello");
    assert_eq!(toy.last().header("expect"), None);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_at_the_service() {
    let toy = Toy::start(|_| Reply::later(60_000, Reply::Close)).await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    client.send(&request("GET", B, "", "")).await;
    until("the request arrives", || toy.count() == 1).await;
    drop(client);
    // The toy does not read while it waits, so ask the gateway.
    let began = std::time::Instant::now();
    while gate.metric("kith_clients_gone_total").await < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(millis(20)).await;
    }
}

#[tokio::test]
async fn the_gateways_own_pages() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    let home = get(gate.public, "/").await;
    assert_eq!(home.status, 200);
    assert!(home.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(home.text().contains("/bind"));
    let scan = get(gate.public, "/?matrix_tuserurms=%3Cscript%3Eabc").await;
    assert!(scan.text().contains("with the app") && !scan.text().contains("script"));
    assert_eq!(get(gate.public, "/healthz").await.text(), "ok\n");
    assert_eq!(get(gate.public, "/readyz").await.text(), "ready\n");
    let wrong = post(gate.public, "/healthz", "x").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(wrong.text(), r#"{"errCode":405,"errMsg":"this call does not take that method"}"#);
    for path in ["/internal/users", "/metrics", "/docs", "/openapi.json", "/nothing"] {
        assert_eq!(get(gate.public, path).await.status, 404, "{path}");
    }
    assert_eq!(toy.count(), 0);

    gate.drain();
    tokio::time::sleep(millis(100)).await;
    let ready = get(gate.public, "/readyz").await;
    assert_eq!((ready.status, ready.header("connection")), (503, Some("close")));
    let last = get(gate.public, B).await;
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
}

#[tokio::test]
async fn other_origins_may_call_only_if_configured() {
    const ASK: &str =
        "origin: https://app.example\r\naccess-control-request-method: POST\r\naccess-control-request-headers: x-a\r\n";
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let closed = Gate::to(&toy).await;
    let answer = Client::connect(closed.public).await.call(&request("OPTIONS", B, ASK, "")).await;
    assert_eq!((answer.text().as_str(), answer.header("access-control-allow-origin")), ("service", None));

    let open = Gate::with(&[toy.address], |s| s.cors.0 = vec!["https://app.example".parse().unwrap()]).await;
    let mut client = Client::connect(open.public).await;
    let answer = client.call(&request("OPTIONS", B, ASK, "")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-a"));
    let answer = client.call(&request("GET", B, "origin: https://app.example\r\n", "")).await;
    assert_eq!(
        (answer.text().as_str(), answer.header("access-control-allow-origin")),
        ("service", Some("https://app.example"))
    );
    let answer = client.call(&request("GET", B, "origin: https://evil.example\r\n", "")).await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (None, Some("Origin")));
}
