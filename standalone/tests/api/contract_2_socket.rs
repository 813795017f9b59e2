//! Contract §2: `/ws` and online status, through the gateway.

use crate::client::{Client, OTHER_SECRET};
use crate::socket::{Bare, End, Socket};
use crate::stack::{Stack, name, shared};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const SOON: Duration = Duration::from_secs(1);

async fn user(kith: &Client) -> (String, String) {
    let uid = name("u");
    let token = kith.user(&uid, 1).await;
    (uid, token)
}

#[tokio::test]
async fn a_socket_greets_and_its_user_is_online_until_it_closes() {
    let kith = shared().await;
    let (uid, token) = user(&kith).await;
    assert!(kith.platforms(&uid).await.is_empty());
    let mut socket = Socket::open(&kith.url, &token).await;
    kith.until_platforms(&uid, &["IOS"], SOON).await;
    kith.online(json!([uid])).await.is(json!({"errCode": 0, "errMsg": "", "successResult": [
        {"userID": uid, "status": "online", "detailPlatformStatus": [{"platform": "IOS", "status": "online"}]}
    ]}));
    socket.lives().await;
    socket.close().await;
    kith.until_platforms(&uid, &[], SOON).await;
}

#[tokio::test]
async fn a_user_is_online_once_per_platform_in_the_order_of_their_numbers() {
    let kith = shared().await;
    let uid = name("u");
    let mut sockets = Vec::new();
    for platform in [5, 1, 7, 2, 6, 4, 3] {
        let token = kith.user(&uid, platform).await;
        sockets.push(Socket::open(&kith.url, &token).await);
    }
    let all = ["IOS", "Android", "Windows", "OSX", "Web", "MiniWeb", "Linux"];
    kith.until_platforms(&uid, &all, SOON).await;
    sockets.remove(1).close().await;
    kith.until_platforms(&uid, &all[1..], SOON).await;
    for mut socket in sockets {
        socket.lives().await;
    }
}

#[tokio::test]
async fn users_of_another_app_are_offline_here() {
    let kith = shared().await;
    let uid = name("u");
    let answer = kith.register_with(&uid, json!({"secret": OTHER_SECRET})).await.ok_b();
    let _socket = Socket::open(&kith.url, answer["data"]["token"].as_str().unwrap()).await;
    assert!(kith.platforms(&uid).await.is_empty());
    let there = kith
        .post("/user/get_users_online_status", json!({"secret": OTHER_SECRET, "operationID": "1", "userIDList": [uid]}))
        .await
        .ok_b();
    assert_eq!(there["successResult"][0]["status"], json!("online"));
}

#[tokio::test]
async fn bad_and_missing_tokens_are_401_before_the_upgrade() {
    let kith = shared().await;
    let (uid, token) = user(&kith).await;
    let dead = kith.token(&uid, 2).await;
    kith.force_logout(&uid, 2).await.ok_b();
    for (query, code, text) in [
        (String::new(), 703, "token malformed"),
        ("token=".into(), 703, "token malformed"),
        ("token=nonsense".into(), 703, "token malformed"),
        (format!("token={token}x"), 702, "token invalid"),
        (format!("token={dead}"), 702, "token invalid"),
        (format!("token={token}&sendID=somebody"), 702, "token invalid"),
        (format!("token={token}&platformID=2"), 702, "token invalid"),
        (format!("token={token}&platformID=x"), 702, "token invalid"),
        ("token=%ff".into(), 703, "token malformed"),
        (format!("token={token}&sendID=%ff"), 702, "token invalid"),
    ] {
        let Err(answer) = Socket::try_open(&kith.url, &query).await else { panic!("opened with {query}") };
        assert_eq!((answer.status, answer.json()), (401, json!({"errCode": code, "errMsg": text})), "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    }
    let right = format!("token={token}&sendID={uid}&platformID=1&operationID=unknown-parameters-are-ignored&x=%ff");
    Socket::try_open(&kith.url, &right).await.unwrap().close().await;
}

#[tokio::test]
async fn a_request_without_an_upgrade_is_404() {
    let kith = shared().await;
    let (_, token) = user(&kith).await;
    for answer in [kith.get(&format!("/ws?token={token}")).await, kith.raw("/ws", None, "{}").await] {
        assert_eq!((answer.status, answer.json()), (404, json!({"errCode": 404, "errMsg": "no such call"})));
    }
}

#[tokio::test]
async fn only_ping_is_answered_and_anything_else_ignored() {
    let kith = shared().await;
    let (_, token) = user(&kith).await;
    let mut socket = Socket::open(&kith.url, &token).await;
    for text in ["", "x", "{}", "[]", "null", "{\"type\":5}", "{\"type\":\"unknown\"}", "{\"type\":\"ping\"", "\u{0}"] {
        socket.say(text).await;
    }
    socket.send(Message::binary(vec![0, 255])).await;
    socket.send(Message::binary(b"{\"type\":\"ping\"}".to_vec())).await;
    socket.send(Message::Pong(vec![1].into())).await;
    socket.lives().await;
    socket.say(r#"{"type":"ping","more":{"a":[1]}}"#).await;
    assert_eq!(socket.json().await, json!({"type": "pong"}));
    // The protocol's own ping.
    socket.send(Message::Ping(vec![7, 8].into())).await;
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(vec![7, 8].into()));
}

#[tokio::test]
async fn fragmented_texts_are_put_together() {
    let kith = shared().await;
    let (_, token) = user(&kith).await;
    let mut bare = Bare::open(&kith.url, &token).await;
    bare.send(&Bare::frame(0x01, b"{\"type\":")).await;
    // A control frame may come in between.
    bare.send(&Bare::frame(0x8A, b"")).await;
    bare.send(&Bare::frame(0x00, b"\"pi")).await;
    bare.send(&Bare::frame(0x80, b"ng\"}")).await;
    assert_eq!(bare.text().await, r#"{"type":"pong"}"#);
    // Byte by byte.
    for byte in Bare::frame(0x81, b"{\"type\":\"ping\"}") {
        bare.send(&[byte]).await;
    }
    assert_eq!(bare.text().await, r#"{"type":"pong"}"#);
    // A binary message in parts is ignored like a whole one.
    bare.send(&Bare::frame(0x02, b"{\"type\":")).await;
    bare.send(&Bare::frame(0x80, b"\"ping\"}")).await;
    bare.send(&Bare::frame(0x81, b"{\"type\":\"ping\"}")).await;
    assert_eq!(bare.text().await, r#"{"type":"pong"}"#);
}

#[tokio::test]
async fn frames_and_messages_over_4_kib_close_with_1009() {
    let kith = shared().await;
    let (uid, token) = user(&kith).await;
    let mut bare = Bare::open(&kith.url, &token).await;
    bare.send(&Bare::frame(0x81, &vec![b' '; 4096])).await;
    bare.send(&Bare::frame(0x81, b"{\"type\":\"ping\"}")).await;
    assert_eq!(bare.text().await, r#"{"type":"pong"}"#);
    bare.send(&Bare::frame(0x81, &vec![b' '; 4097])).await;
    assert_eq!(bare.close_code().await, 1009);
    kith.until_platforms(&uid, &[], SOON).await;

    let mut bare = Bare::open(&kith.url, &token).await;
    bare.send(&Bare::frame(0x01, &vec![b' '; 4000])).await;
    bare.send(&Bare::frame(0x80, &[b' '; 100])).await;
    assert_eq!(bare.close_code().await, 1009);
    // Announced, never sent: nothing is waited for or kept.
    let mut bare = Bare::open(&kith.url, &token).await;
    bare.send(&[0x81, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]).await;
    assert_eq!(bare.close_code().await, 1009);
}

#[tokio::test]
async fn frames_against_the_protocol_close_with_1002_and_texts_that_are_none_with_1007() {
    let kith = shared().await;
    let (uid, token) = user(&kith).await;
    for (bytes, code) in [
        // not masked
        (vec![0x81, 2, b'h', b'i'], 1002),
        // reserved bits, reserved opcodes
        (Bare::frame(0xC1, b"x"), 1002),
        (Bare::frame(0x83, b"x"), 1002),
        // a continuation of nothing
        (Bare::frame(0x80, b"x"), 1002),
        // a fragmented control frame
        (Bare::frame(0x09, b"x"), 1002),
        (Bare::frame(0x81, b"\xff\xfe"), 1007),
    ] {
        let mut bare = Bare::open(&kith.url, &token).await;
        bare.send(&bytes).await;
        assert_eq!(bare.close_code().await, code, "{bytes:?}");
    }
    kith.until_platforms(&uid, &[], SOON).await;
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code() {
    let kith = shared().await;
    let (_, token) = user(&kith).await;
    let mut socket = Socket::open(&kith.url, &token).await;
    socket.send(Message::Close(Some(CloseFrame { code: 4000.into(), reason: "bye".into() }))).await;
    assert_eq!(socket.end().await, (vec![], End::Closed(4000)));
    let mut socket = Socket::open(&kith.url, &token).await;
    socket.send(Message::Close(None)).await;
    assert_eq!(socket.end().await, (vec![], End::ClosedWithoutCode));
}

#[tokio::test]
async fn opening_and_closing_over_and_over_ends_offline() {
    let kith = shared().await;
    let (uid, token) = user(&kith).await;
    for _ in 0..30 {
        Socket::open(&kith.url, &token).await.close().await;
    }
    kith.until_platforms(&uid, &[], SOON).await;
}

#[tokio::test]
async fn over_the_limit_of_sockets_the_answer_is_503() {
    let stack = Stack::start(&[("KITH__IM_AUTH__MAX_SOCKETS", "2")]).await;
    let kith = stack.client();
    let (a, b, c) = (kith.user("a", 1).await, kith.user("b", 1).await, kith.user("c", 1).await);
    let first = Socket::open(&kith.url, &a).await;
    let _second = Socket::open(&kith.url, &b).await;
    let Err(answer) = Socket::try_open(&kith.url, &format!("token={c}")).await else { panic!("opened") };
    let text = "too many connections: try again";
    assert_eq!((answer.status, answer.json()), (503, json!({"errCode": 503, "errMsg": text})));
    first.close().await;
    kith.until_platforms("a", &[], SOON).await;
    Socket::open(&kith.url, &c).await.lives().await;
}

#[tokio::test]
async fn pings_go_out_every_27_s_and_a_silent_peer_is_gone_after_60_s() {
    let kith = shared().await;
    let (uid, token) = user(&kith).await;
    let answering = name("u");
    let answering_token = kith.user(&answering, 1).await;
    // Reads nothing, so answers no ping; its connection stays open, as after a cut without FIN.
    let silent = Bare::open(&kith.url, &token).await;
    let mut lively = Socket::open(&kith.url, &answering_token).await;
    let start = Instant::now();
    let lively = tokio::spawn(async move {
        // tungstenite answers pings while it reads.
        let pings = lively.pings_for(Duration::from_secs(66)).await;
        (lively, pings)
    });
    tokio::time::sleep(Duration::from_secs(58)).await;
    assert_eq!(kith.platforms(&uid).await, ["IOS"], "not dropped before its time");
    kith.until_platforms(&uid, &[], Duration::from_secs(4)).await;
    assert!(start.elapsed() >= Duration::from_secs(59));
    let (mut lively, pings) = lively.await.unwrap();
    let near = |at: Duration, seconds: u64| at.abs_diff(Duration::from_secs(seconds)) < Duration::from_secs(2);
    assert!(matches!(pings[..], [first, second] if near(first, 27) && near(second, 54)), "{pings:?}");
    assert_eq!(kith.platforms(&answering).await, ["IOS"]);
    lively.lives().await;
    drop(silent);
}

#[tokio::test]
async fn an_open_socket_outlives_its_tokens_expiry() {
    let kith = shared().await;
    let (_, token) = user(&kith).await;
    let short = crate::tokens::expiring_in(&token, 2);
    let mut socket = Socket::open(&kith.url, &short).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    kith.parse(&short).await.fails_b(701, "token expired");
    socket.lives().await;
}

#[tokio::test]
async fn sigterm_closes_every_socket_with_1001() {
    let mut stack = Stack::start(&[("KITH__DRAIN", "1")]).await;
    let kith = stack.client();
    let mut sockets = Vec::new();
    for n in 0..50 {
        let token = kith.user(&format!("u{n}"), 1).await;
        sockets.push(Socket::open(&kith.url, &token).await);
    }
    let process = stack.process_of("gateway");
    process.signal("TERM");
    for mut socket in sockets {
        assert_eq!(socket.end_within(Duration::from_secs(15)).await, (vec![], End::Closed(1001)));
    }
    assert!(process.ended(Duration::from_secs(30)).await.success());
}
