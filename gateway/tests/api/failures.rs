//! The gateway's own failures, word for word, and when each comes.

use crate::helpers::*;
use service_kit::settings::Seconds;
use std::time::{Duration, Instant};

/// Asserts status, header and body in all four dialects.
async fn everywhere(gate: &Gate, method: &str, status: u16, text: &str, d: &str) {
    for (path, shown, body) in [
        (A, 200, format!(r#"{{"rc":"0","rm":"{text}"}}"#)),
        (B, status, format!(r#"{{"errCode":{status},"errMsg":"{text}"}}"#)),
        (C, status, format!(r#"{{"ret":"failed","reason":"{text}"}}"#)),
        (D, 200, format!(r#"{{"statusCode":"{d}","statusMsg":"{text}"}}"#)),
    ] {
        let answer = Client::connect(gate.public).await.call(&request(method, path, "", "")).await;
        assert_eq!((answer.status, answer.text()), (shown, body), "{path}");
        assert_eq!(answer.header("x-kith-failure"), Some(status.to_string().as_str()), "{path}");
        assert!(answer.header("x-request-id").is_some());
        let json = if path == A { "application/json;charset=utf-8" } else { "application/json; charset=utf-8" };
        assert_eq!(answer.header("content-type"), Some(json));
        assert_eq!(answer.header("cache-control"), (path == A).then_some("no-store"));
    }
}

#[tokio::test]
async fn a_service_that_is_not_there() {
    let gone = Toy::start(|_| Reply::Close).await;
    let address = gone.address;
    drop(gone);
    tokio::time::sleep(millis(50)).await;
    let gate = Gate::with(&[address], |_| {}).await;
    everywhere(&gate, "GET", 503, "the service is not reachable: try again", "160000").await;
    assert_eq!(gate.metric("kith_upstream_errors_total").await, 4.0);
    // As soon as it is there, it is used.
    let _back = Toy::at(address, |_| Reply::ok("back")).await;
    assert_eq!(post(gate.public, B, "x").await.text(), "back");
}

#[tokio::test]
async fn a_service_that_is_slow() {
    let toy = Toy::start(|_| Reply::later(60_000, Reply::Close)).await;
    let gate = Gate::with(&[toy.address], |s| s.timeouts.answer = Seconds(1)).await;
    let began = Instant::now();
    everywhere(&gate, "POST", 504, "the service did not answer in time", "160000").await;
    assert!(began.elapsed() < Duration::from_secs(6));
    assert_eq!(toy.count(), 4);
}

#[tokio::test]
async fn a_service_that_answers_garbage() {
    for garbage in [
        "SSH-2.0-OpenSSH_9\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let toy = Toy::start(move |_| Reply::last(garbage)).await;
        let gate = Gate::to(&toy).await;
        everywhere(&gate, "POST", 502, "the service did not answer properly: try again", "160000").await;
    }
    let toy = Toy::start(move |_| Reply::Raw(vec![b'x'; 1 << 20])).await;
    let gate = Gate::to(&toy).await;
    everywhere(&gate, "POST", 502, "the service did not answer properly: try again", "160000").await;
}

/// A frozen process that wakes finds its time for the request over before it finds the request.
#[tokio::test]
async fn a_service_whose_library_says_408() {
    let toy = Toy::start(|_| Reply::last("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")).await;
    let gate = Gate::to(&toy).await;
    everywhere(&gate, "POST", 502, "the service did not answer properly: try again", "160000").await;
}

#[tokio::test]
async fn real_statuses_can_be_had() {
    let gate = Gate::with(&["127.0.0.1:1".parse().unwrap()], |s| s.real_status = true).await;
    for path in [A, B, C, D] {
        assert_eq!(get(gate.public, path).await.status, 503, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_keep_their_status() {
    let toy = Toy::start(|_| Reply::ok("service")).await;
    let gate = Gate::to(&toy).await;
    for (path, body) in [
        ("/tu_/../x.action", r#"{"rc":"0","rm":"no such call"}"#),
        ("/nothing", r#"{"errCode":404,"errMsg":"no such call"}"#),
        ("/im/%2e%2e/x", r#"{"ret":"failed","reason":"no such call"}"#),
        ("/2013-12-26/Application//x", r#"{"statusCode":"111100","statusMsg":"no such call"}"#),
    ] {
        let answer = get(gate.public, path).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, body), "{path}");
    }
    assert_eq!(toy.count(), 0);
}

#[tokio::test]
async fn an_answer_that_breaks_cuts_the_connection() {
    for head in ["content-length: 100\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let toy = Toy::start(move |_| {
            Reply::Raw(format!("HTTP/1.1 200 OK\r\n{head}").into()).and(Reply::later(100, Reply::Close))
        })
        .await;
        let gate = Gate::to(&toy).await;
        let mut client = Client::connect(gate.public).await;
        client.send(&request("GET", B, "", "")).await;
        client.answer().await.expect_err("an answer that is not whole must not look so");
        assert_eq!(gate.metric("kith_answers_broken_total").await, 1.0);
        assert_eq!(toy.count(), 1, "and is not asked for again");
    }
}

#[tokio::test]
async fn an_answer_that_stalls_cuts_the_connection() {
    let toy = Toy::start(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").and(Reply::later(60_000, Reply::Close))
    })
    .await;
    let gate = Gate::with(&[toy.address], |s| s.timeouts.stall = Seconds(1)).await;
    let began = Instant::now();
    let mut client = Client::connect(gate.public).await;
    client.send(&request("GET", B, "", "")).await;
    client.answer().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let toy = Toy::start(|_| Reply::ok("never")).await;
    let gate = Gate::with(&[toy.address], |s| s.timeouts.stall = Seconds(1)).await;
    const TEXT: &str = "the request's body did not arrive in time";
    for (path, status, body) in [
        (A, 200, format!(r#"{{"rc":"0","rm":"{TEXT}"}}"#)),
        (B, 400, format!(r#"{{"errCode":400,"errMsg":"{TEXT}"}}"#)),
        (C, 400, format!(r#"{{"ret":"failed","reason":"{TEXT}"}}"#)),
        (D, 200, format!(r#"{{"statusCode":"160031","statusMsg":"{TEXT}"}}"#)),
    ] {
        let begun = format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc");
        let answer = Client::connect(gate.public).await.call(begun.as_bytes()).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{path}");
        assert_eq!(answer.header("x-kith-failure"), Some("400"), "{path}");
    }
    assert_eq!(toy.count(), 0);
}
