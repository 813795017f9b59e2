//! Tokens that are none: each kind is refused with its code (contract §2).

use crate::client::{Client, OTHER_SECRET};
use crate::stack::{Stack, name, shared};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// The development key: these tests know what an attacker would have to know.
const KEY: &str = "kith-dev-signing-key-kith-dev-signing-key";

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn signed(algorithm: Algorithm, kid: Option<&str>, claims: &Value, key: &str) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

/// The same token with another end, signed as the server would.
pub fn expiring_in(token: &str, seconds: i64) -> String {
    let mut claims = claims_of(token);
    claims["exp"] = json!(claims["iat"].as_i64().unwrap() + seconds);
    signed(Algorithm::HS256, Some("dev"), &claims, KEY)
}

/// The same token as one of that app, signed as the server would.
pub fn of_app(token: &str, app: &str) -> String {
    let mut claims = claims_of(token);
    claims["app"] = json!(app);
    signed(Algorithm::HS256, Some("dev"), &claims, KEY)
}

async fn token(kith: &Client) -> String {
    let uid = name("u");
    kith.register(&uid).await.ok_b();
    kith.token(&uid, 1).await
}

#[tokio::test]
async fn the_same_claims_signed_with_the_right_key_are_the_token() {
    // Otherwise the refusals below might have other reasons.
    let kith = shared().await;
    let token = token(&kith).await;
    let again = signed(Algorithm::HS256, Some("dev"), &claims_of(&token), KEY);
    kith.parse(&again).await.ok_b();
}

#[tokio::test]
async fn other_algorithms_and_keys_are_702() {
    let kith = shared().await;
    let token = token(&kith).await;
    let claims = claims_of(&token);
    let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
    let none = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT", "kid": "dev"})), part(&claims));
    let none_signed = format!("{}.{}.{}", part(&json!({"alg": "none", "kid": "dev"})), part(&claims), "AAAA");
    for bad in [
        none,
        none_signed,
        signed(Algorithm::HS512, Some("dev"), &claims, KEY),
        signed(Algorithm::HS384, Some("dev"), &claims, KEY),
        signed(Algorithm::HS256, Some("dev"), &claims, "another key of a good length, 32 bytes"),
        signed(Algorithm::HS256, Some("unknown"), &claims, KEY),
        signed(Algorithm::HS256, None, &claims, KEY),
        signed(Algorithm::HS256, Some("dev"), &json!({"uid": "a"}), KEY),
    ] {
        kith.parse(&bad).await.fails_b(702, "token invalid");
    }
}

#[tokio::test]
async fn a_tampered_token_is_702() {
    let kith = shared().await;
    let token = token(&kith).await;
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims = claims_of(&token);
    claims["uid"] = json!("admin");
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    kith.parse(&format!("{}.{payload}.{}", parts[0], parts[2])).await.fails_b(702, "token invalid");
    let mut signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    signature[0] ^= 1;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    kith.parse(&format!("{}.{}.{signature}", parts[0], parts[1])).await.fails_b(702, "token invalid");
}

#[tokio::test]
async fn what_is_no_token_is_703() {
    let kith = shared().await;
    for bad in ["x", "a.b", "a.b.c", "a.b.c.d", "...", "e30.e30", "令牌", "e30.e30.e30"] {
        kith.parse(bad).await.fails_b(703, "token malformed");
    }
    kith.parse("").await.fails_b(400, "token: must not be empty");
    kith.parse(&"x".repeat(4097)).await.fails_b(400, "token: longer than 4096 characters");
}

#[tokio::test]
async fn an_expired_token_is_701_even_where_it_was_ended_too() {
    let kith = shared().await;
    let uid = name("u");
    kith.register(&uid).await.ok_b();
    let token = kith.token(&uid, 1).await;
    let expired = expiring_in(&token, -1);
    kith.parse(&expired).await.fails_b(701, "token expired");
    kith.force_logout(&uid, 0).await.ok_b();
    kith.parse(&expired).await.fails_b(701, "token expired");
}

#[tokio::test]
async fn another_apps_token_is_702() {
    let kith = shared().await;
    let token = token(&kith).await;
    kith.post("/auth/parse_token", json!({"secret": OTHER_SECRET, "token": token})).await.fails_b(702, "token invalid");
}

#[tokio::test]
async fn a_token_that_was_never_issued_is_702_though_well_signed() {
    let kith = shared().await;
    let mut claims = claims_of(&token(&kith).await);
    claims["jti"] = json!("00000000000000000000000000000000");
    kith.parse(&signed(Algorithm::HS256, Some("dev"), &claims, KEY)).await.fails_b(702, "token invalid");
}

#[tokio::test]
async fn keys_rotate_with_overlap() {
    let old = "old key, at least 32 bytes long.......";
    let new = "new key, at least 32 bytes long.......";
    let mut places = crate::stack::Places::fresh(crate::stack::Kind::of_run())
        .with(&[("KITH__IM_AUTH__TOKEN__SIGNING_KID", "k1"), ("KITH__IM_AUTH__TOKEN__KEYS__K1__SECRET", old)]);
    let keep = tempfile::TempDir::new().unwrap();
    let database = format!("sqlite://{}/im_auth.db", keep.path().display());
    places.environment.entry("KITH__IM_AUTH__DATABASE_URL".into()).or_insert(database);
    let environment = places.environment.clone();
    let databases = std::mem::take(&mut places.databases);
    let kind = places.kind;
    let mut tokens: Vec<String> = Vec::new();
    let mut start = async |pairs: &[(&str, &str)], expect_first: bool| {
        let places = crate::stack::Places { kind, environment: environment.clone(), databases: Vec::new() }.with(pairs);
        let stack = Stack::start_at(places).await;
        let kith = stack.client();
        if tokens.is_empty() {
            kith.register("alice").await.ok_b();
        }
        if let Some(first) = tokens.first() {
            let answer = kith.parse(first).await;
            if expect_first { drop(answer.ok_b()) } else { answer.fails_b(702, "token invalid") }
        }
        tokens.push(kith.token("alice", 1).await);
        kith.parse(tokens.last().unwrap()).await.ok_b();
    };
    start(&[], true).await;
    let both = [("KITH__IM_AUTH__TOKEN__SIGNING_KID", "k2"), ("KITH__IM_AUTH__TOKEN__KEYS__K2__SECRET", new)];
    start(&both, true).await;
    let gone = [
        ("KITH__IM_AUTH__TOKEN__SIGNING_KID", "k2"),
        ("KITH__IM_AUTH__TOKEN__KEYS__K2__SECRET", new),
        ("KITH__IM_AUTH__TOKEN__KEYS__K1__SECRET", "a third key, at least 32 bytes long..."),
    ];
    start(&gone, false).await;
    drop(databases);
}
