//! Several addresses, and what is sent once more.

use crate::helpers::*;
use futures_util::future::join_all;
use gateway::HostPort;
use service_kit::settings::{List, Seconds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[tokio::test]
async fn addresses_take_turns() {
    let (one, two) = (Toy::start(|_| Reply::ok("1")).await, Toy::start(|_| Reply::ok("2")).await);
    let gate = Gate::with(&[one.address, two.address], |_| {}).await;
    let mut client = Client::connect(gate.public).await;
    for _ in 0..20 {
        client.call(&request("GET", B, "", "")).await;
    }
    assert_eq!((one.count(), two.count()), (10, 10));
}

#[tokio::test]
async fn connections_are_used_again_and_not_for_long() {
    let toy = Toy::start(|_| Reply::ok("x")).await;
    let gate = Gate::with(&[toy.address], |s| s.timeouts.idle = Seconds(1)).await;
    let mut client = Client::connect(gate.public).await;
    for _ in 0..50 {
        client.call(&request("POST", B, "", "body")).await;
    }
    assert_eq!(toy.connections(), 1);
    until("idle connections end", || toy.open() == 0).await;
}

#[tokio::test]
async fn clients_cannot_make_an_address_look_as_if_it_ended() {
    // As the server library has it after an answer that did not wait for the body.
    const CLOSING: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let one = Toy::start(|seen| if seen.body.is_empty() { Reply::ok("1") } else { Reply::last(CLOSING) }).await;
    let two = Toy::start(|_| Reply::ok("2")).await;
    let gate = Gate::with(&[one.address, two.address], |_| {}).await;
    let mut client = Client::connect(gate.public).await;
    for _ in 0..4 {
        client.call(&request("POST", "/auth/nothing", "", "body")).await;
    }
    let before = (one.count(), two.count());
    for _ in 0..20 {
        client.call(&request("GET", B, "", "")).await;
    }
    assert_eq!((one.count() - before.0, two.count() - before.1), (10, 10));
}

/// An address whose listener is gone.
async fn nobody() -> std::net::SocketAddr {
    Toy::start(|_| Reply::Close).await.address
}

#[tokio::test]
async fn a_refused_connection_goes_elsewhere_whatever_the_method() {
    let (gone, toy) = (nobody().await, Toy::start(|seen| Reply::Text(format!("{}", seen.body.len()))).await);
    tokio::time::sleep(millis(20)).await;
    let gate = Gate::with(&[gone, toy.address], |_| {}).await;
    for method in ["GET", "POST", "PUT", "DELETE"] {
        for _ in 0..3 {
            let answer = Client::connect(gate.public).await.call(&request(method, A, "", "body")).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "4"), "{method}");
        }
    }
    assert_eq!(gate.metric("kith_upstream_ejections_total").await, 1.0, "and it is not tried again each time");
}

#[tokio::test]
async fn an_address_that_comes_back_is_used_again() {
    let address = nobody().await;
    tokio::time::sleep(millis(20)).await;
    let other = Toy::start(|_| Reply::ok("other")).await;
    let gate = Gate::with(&[address, other.address], |_| {}).await;
    for _ in 0..4 {
        assert_eq!(get(gate.public, B).await.text(), "other");
    }
    let back = Toy::at(address, |_| Reply::ok("back")).await;
    let began = Instant::now();
    while get(gate.public, B).await.text() != "back" {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(millis(20)).await;
    }
    assert!(back.count() > 0);
}

#[tokio::test]
async fn an_address_that_accepts_but_never_answers_stays_out_until_it_does() {
    let frozen = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&frozen);
    let sick =
        Toy::start(
            move |_| {
                if told.load(Ordering::SeqCst) { Reply::later(60_000, Reply::Close) } else { Reply::ok("sick") }
            },
        )
        .await;
    let well = Toy::start(|_| Reply::ok("well")).await;
    let gate = Gate::with(&[sick.address, well.address], |s| s.timeouts.answer = Seconds(1)).await;
    let began = Instant::now();
    while gate.metric("kith_upstream_ejections_total").await == 0.0 {
        assert!(began.elapsed() < Duration::from_secs(10), "never taken out");
        join_all((0..8).map(|_| get(gate.public, B))).await;
    }

    let (began, mut all, mut failed) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(5) {
        let answers = join_all((0..8).map(|_| get(gate.public, B))).await;
        all += answers.len();
        failed += answers.iter().filter(|a| a.status != 200).count();
        tokio::time::sleep(millis(10)).await;
    }
    assert!(failed * 200 < all, "{failed} of {all} failed");

    frozen.store(false, Ordering::SeqCst);
    let began = Instant::now();
    while get(gate.public, B).await.text() != "sick" {
        assert!(began.elapsed() < millis(2_500));
        tokio::time::sleep(millis(20)).await;
    }
}

#[tokio::test]
async fn readiness_tells_which_services_are_reachable() {
    let (toy, gone) = (Toy::start(|_| Reply::ok("x")).await, nobody().await);
    let gate = Gate::with(&[toy.address], |s| {
        let place = HostPort { host: gone.ip().to_string(), port: gone.port() };
        *s.upstreams.0.get_mut("groups").unwrap() = List(vec![place]);
    })
    .await;
    let answer = get(gate.internal, "/readyz").await;
    assert_eq!(answer.status, 200, "an outage elsewhere does not take the gateway out of service");
    assert_eq!(
        answer.text(),
        r#"{"ready":true,"draining":false,"parts":{"friends":"ok","groups":"not reachable","im_auth":"ok","terminal_user":"ok"}}"#
    );
    assert_eq!(get(gate.public, "/readyz").await.text(), "ready\n", "outside nobody needs to know");
}

/// Serves the first request of each connection; closes on any later one without a byte.
async fn once_per_connection() -> Toy {
    Toy::start(|seen| if seen.nth == 0 { Reply::ok("ok") } else { Reply::Close }).await
}

#[tokio::test]
async fn a_get_is_repeated_once_and_only_on_a_connection_used_before() {
    let toy = once_per_connection().await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    for i in 1..=3 {
        assert_eq!(client.call(&request("GET", B, "", "")).await.status, 200);
        assert_eq!(toy.count(), 2 * i - 1, "the first, and two more for each other");
    }
    assert_eq!(gate.metric("kith_upstream_retries_total").await, 2.0);

    let never = Toy::start(|_| Reply::Close).await;
    let gate = Gate::to(&never).await;
    assert_eq!(get(gate.public, B).await.status, 502);
    assert_eq!(never.count(), 1);

    // The repetition is not repeated.
    let served = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&served);
    let toy =
        Toy::start(move |_| if counting.fetch_add(1, Ordering::SeqCst) == 0 { Reply::ok("x") } else { Reply::Close })
            .await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    assert_eq!(client.call(&request("GET", B, "", "")).await.status, 200);
    assert_eq!(client.call(&request("GET", B, "", "")).await.status, 502);
    assert_eq!(served.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn nothing_that_may_have_been_done_is_repeated() {
    for (method, path, body) in [
        ("POST", B, "body"),
        ("POST", B, ""),
        ("PUT", B, ""),
        ("HEAD", B, ""),
        ("GET", B, "a body"),
        ("GET", A, ""),
        ("GET", "/tu_rc_get_urt_from_hp.action/", ""),
        ("GET", "/auth/x.action", ""),
        ("GET", "/cmd?cmd=reg_user&username=x", ""),
        ("GET", "/cmd/?cmd=reg_user&username=x", ""),
    ] {
        let toy = once_per_connection().await;
        let gate = Gate::to(&toy).await;
        let mut client = Client::connect(gate.public).await;
        assert_eq!(client.call(&request("GET", path, "", "")).await.text(), "ok");
        client.send(&request(method, path, "", body)).await;
        let answer = client.answer_to(method == "HEAD").await.unwrap();
        assert_eq!(answer.header("x-kith-failure"), Some("502"), "{method} {path}");
        assert_eq!(toy.count(), 2, "{method} {path}: sent once");
    }
    // Nor what was answered in part.
    let toy = Toy::start(|seen| if seen.nth == 0 { Reply::ok("ok") } else { Reply::last("HTTP/1.1 2") }).await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    assert_eq!(client.call(&request("GET", B, "", "")).await.status, 200);
    assert_eq!(client.call(&request("GET", B, "", "")).await.status, 502);
    assert_eq!(toy.count(), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_nothing() {
    let toy = Toy::start(|_| Reply::ok("ok").and(Reply::later(20, Reply::Close))).await;
    let gate = Gate::to(&toy).await;
    let mut client = Client::connect(gate.public).await;
    for i in 1..=10 {
        let answer = client.call(&request("POST", A, "", "body")).await;
        assert_eq!((answer.status, answer.header("x-kith-failure")), (200, None));
        assert_eq!(toy.count(), i);
        until("the service closes", || toy.open() == 0).await;
        tokio::time::sleep(millis(5)).await;
    }
}
