//! The API document of all services (contract §0, design §7).

use crate::helpers::*;
use futures_util::future::join_all;
use gateway::HostPort;
use serde_json::{Value, json};
use service_kit::settings::List;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const JOIN: &str = "/im/{group_id}/group_join/";
const TOKEN: &str = "/auth/user_token";

/// A service that says of itself that it has two calls, whichever it is.
fn described() -> Reply {
    let call = |id: &str| json!({"post": {"operationId": id, "responses": {}}});
    Reply::ok(&json!({"paths": {JOIN: call("join"), TOKEN: call("token")}}).to_string())
}

async fn document(gate: SocketAddr) -> Value {
    let answer = get(gate, "/openapi.json").await;
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.text()).unwrap()
}

#[tokio::test]
async fn services_are_asked_for_it_when_somebody_asks_and_once_by_many() {
    let toy = Toy::start(|_| Reply::later(100, described())).await;
    let gate = Gate::with(&[toy.address], |settings| settings.docs = true).await;
    tokio::time::sleep(millis(300)).await;
    assert_eq!(toy.count(), 0);
    let found = join_all((0..20).map(|_| document(gate.public))).await;
    assert!(found.iter().all(|document| *document == found[0]));
    // Each path from the service that it leads to.
    assert!(found[0]["paths"][JOIN].is_object() && found[0]["paths"][TOKEN].is_object(), "{}", found[0]);
    assert!(found[0].get("x-kith-missing").is_none());
    let asked: Vec<String> = toy.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(asked, ["/openapi.json"; 4], "each of the four services");
}

#[tokio::test]
async fn a_service_that_does_not_answer_holds_it_up_two_seconds_and_is_named() {
    let toy = Toy::start(|_| described()).await;
    let stuck = Toy::start(|_| Reply::later(60_000, Reply::Close)).await;
    let gate = Gate::with(&[toy.address], |settings| {
        settings.docs = true;
        let place = HostPort { host: stuck.address.ip().to_string(), port: stuck.address.port() };
        settings.upstreams.0.insert("groups".to_owned(), List(vec![place]));
    })
    .await;
    // Whoever leaves while it is looked for spoils nothing.
    let start = Instant::now();
    drop(tokio::time::timeout(millis(200), document(gate.public)).await);
    let found = document(gate.public).await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(stuck.count(), 1, "once for both");
    assert_eq!(found["x-kith-missing"], json!(["groups"]));
    assert!(found["paths"].get(JOIN).is_none() && found["paths"][TOKEN].is_object(), "{found}");
    // One that was seen stays when it is away.
    toy.kill();
    tokio::time::sleep(millis(2_100)).await;
    assert_eq!(document(gate.public).await, found);
    assert_eq!(stuck.count(), 2, "looked for again");
}

#[tokio::test]
async fn whoever_has_it_is_told_that_it_is_still_the_same() {
    let toy = Toy::start(|_| described()).await;
    let gate = Gate::with(&[toy.address], |settings| settings.docs = true).await;
    let mut client = Client::connect(gate.public).await;
    let first = client.call(&request("GET", "/openapi.json", "", "")).await;
    let tag = format!("if-none-match: {}\r\n", first.header("etag").unwrap());
    let again = client.call(&request("GET", "/openapi.json", &tag, "")).await;
    assert_eq!((again.status, again.text().as_str()), (304, ""));
    let wrong = client.call(&request("POST", "/openapi.json", "", "x")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
}
