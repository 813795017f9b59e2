//! The credential check against a svc-im-auth that is away, and calls that are repeated.

use futures_util::future::BoxFuture;
use service_kit::auth::{Credential, Credentials, LIVE, Lockout, Verifier, token_state_key};
use service_kit::clock::Clock;
use service_kit::directory::Directory;
use service_kit::internal::InternalClient;
use service_kit::settings::List;
use service_kit::state::State;
use service_kit::{Code, Result, Secret};
use shared_models::internal::{Identity, VerifiedToken, VerifyPasswordRequest, VerifyTokenRequest};
use shared_models::{AppId, Stamp, Uid};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn listener() -> (TcpListener, Credentials) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let im_auth = InternalClient::new(&List(vec![base]), Secret::new("internal"));
    let state = State::memory();
    let directory = Directory::new(state.clone(), im_auth.clone());
    let lockout = Lockout::new(state, Vec::new());
    (listener, Credentials::new(AppId::new("kith").unwrap(), lockout, directory, im_auth))
}

fn alice(password: &str) -> Credential {
    Credential { username: Uid::new("alice").unwrap(), password: Some(Secret::new(password)), token: None }
}

/// They wait for each other, and all of them no longer than one.
#[tokio::test]
async fn ten_first_checks_of_one_name_are_answered_in_two_seconds_where_nobody_answers() {
    let (_frozen, credentials) = listener().await;
    let began = Instant::now();
    let checks = (0..10).map(|n| {
        let credentials = credentials.clone();
        async move { credentials.check(&alice(&format!("password-{n}")), HERE).await.unwrap_err().code() }
    });
    let answers = futures_util::future::join_all(checks).await;
    // 2 s, and what a loaded test machine takes to schedule; where the waits add up it is 3.6 s.
    assert!(began.elapsed() < Duration::from_secs(3), "after {:?}", began.elapsed());
    assert!(answers.iter().all(|code| matches!(code, Code::Busy | Code::Unreachable)), "{answers:?}");
}

/// The body of one request.
async fn request(stream: &mut TcpStream) -> serde_json::Value {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return body;
        }
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "{text}");
    }
}

/// svc-im-auth counts an attempt by its name: a call whose answer was lost must bring the same one again.
#[tokio::test]
async fn a_check_whose_answer_was_lost_is_the_same_attempt_again_and_another_check_another() {
    let (listener, credentials) = listener().await;
    let server = tokio::spawn(async move {
        let mut heard = Vec::new();
        for answered in [false, true, true] {
            let (mut stream, _) = listener.accept().await.unwrap();
            heard.push(request(&mut stream).await);
            if answered {
                let body = r#"{"code":"WrongCredentials","detail":null}"#;
                let head = "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-type: application/json";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        heard
    });
    for _ in 0..2 {
        let refused = credentials.check(&alice("wrong"), HERE).await.unwrap_err();
        assert_eq!(refused.code(), Code::WrongCredentials, "{}", refused.chain());
    }
    let heard = server.await.unwrap();
    let attempt = |n: usize| heard[n]["attempt"].as_str().unwrap();
    assert_eq!(heard[0], heard[1]);
    assert_eq!(attempt(0).len(), 32);
    assert_ne!(attempt(0), attempt(2));
}

/// Keeps one token, good until then (Unix seconds).
#[derive(Clone)]
struct Keeper(Arc<AtomicI64>);

impl Verifier for Keeper {
    fn password(&self, _: VerifyPasswordRequest) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(async { Err(Code::WrongCredentials.into()) })
    }

    fn token(&self, _: VerifyTokenRequest) -> BoxFuture<'_, Result<VerifiedToken>> {
        let (app_id, uid) = (AppId::new("kith").unwrap(), Uid::new("alice").unwrap());
        let identity = Identity { app_id, uid, is_admin: false, credential_version: 0 };
        let expires_at = self.0.load(Ordering::Relaxed);
        Box::pin(async move { Ok(VerifiedToken { identity, id: "t".into(), expires_at }) })
    }
}

/// RongCloud gives the same text again as long as it likes.
#[tokio::test]
async fn a_token_renewed_under_the_same_text_counts_where_it_was_known_before() {
    let (state, now, until) = (State::memory(), Arc::new(AtomicI64::new(100)), Arc::new(AtomicI64::new(110)));
    state.set(&token_state_key("t"), LIVE, Duration::from_secs(60)).await.unwrap();
    let ticks = now.clone();
    let nobody = InternalClient::new(&List(vec!["http://127.0.0.1:1".into()]), Secret::new("internal"));
    let (directory, lockout) = (Directory::new(state.clone(), nobody), Lockout::new(state, Vec::new()));
    let credentials = Credentials::new(AppId::new("kith").unwrap(), lockout, directory, Keeper(until.clone()))
        .with_clock(Clock::from_fn(move || Stamp(ticks.load(Ordering::Relaxed) * 1000)));
    let credential = Credential { token: Some(Secret::new("text")), password: None, ..alice("") };
    credentials.check(&credential, HERE).await.unwrap();
    now.store(111, Ordering::Relaxed);
    until.store(200, Ordering::Relaxed);
    assert_eq!(credentials.check(&credential, HERE).await.unwrap().uid.as_str(), "alice");
}
