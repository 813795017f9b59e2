//! What is no token of ours, however it looks.
#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use service_kit::testkit::fuzz::{parts, target};
use sha2::Sha256;

const SECRET: &[u8] = b"kith-dev-signing-key-kith-dev-signing-key";

/// HMAC as RFC 2104 has it, of the development key.
fn signature(signed: &str) -> String {
    use sha2::Digest;
    let pad = |fill: u8| -> Vec<u8> { (0..64).map(|n| SECRET.get(n).copied().unwrap_or(0) ^ fill).collect() };
    let inner = Sha256::digest([&pad(0x36), signed.as_bytes()].concat());
    URL_SAFE_NO_PAD.encode(Sha256::digest([&pad(0x5c), &inner[..]].concat()))
}

#[test]
fn token() {
    let keys = TokenKeys::new(&TokenSettings::default()).unwrap();
    target(env!("CARGO_MANIFEST_DIR"), "token", |input| {
        let [token, head, claims] = parts(input);
        if let Ok(token) = std::str::from_utf8(token) {
            match keys.open(token) {
                // Two spellings of one token would be two tokens in every cache.
                Ok(_) => {
                    let (signed, given) = token.rsplit_once('.').unwrap();
                    assert_eq!(given, signature(signed), "signed by us, and spelt as we do");
                }
                Err(e) => assert!([Code::TokenMalformed, Code::TokenInvalid].contains(&e.code())),
            }
        }
        // Whatever our key has signed: what we did not write is none of ours, and breaks nothing.
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        let good = signature(&signed);
        if let Ok(claims) = keys.open(&format!("{signed}.{good}")) {
            assert!(serde_json::from_slice::<serde_json::Value>(head).unwrap()["alg"] == "HS256");
            let again: Claims = serde_json::from_value(serde_json::to_value(&claims).unwrap()).unwrap();
            assert_eq!(again, claims);
            // Every bit of the signature counts.
            let place = claims.jti.len() % good.len();
            let mut wrong = good.clone().into_bytes();
            wrong[place] = if wrong[place] == b'A' { b'B' } else { b'A' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(keys.open(&format!("{signed}.{wrong}")).is_err(), "{place}");
        }
    });
}

#[test]
fn what_we_sign_is_ours() {
    let keys = TokenKeys::new(&TokenSettings::default()).unwrap();
    let key = AccountKey { app_id: AppId::new("kith").unwrap(), uid: Uid::new("alice").unwrap() };
    let row = keys.token_row(&key, Platform::Ios, &Clock::system());
    let token = keys.sign(&row).unwrap().token;
    assert_eq!(token.rsplit_once('.').map(|(signed, _)| signature(signed)).as_deref(), token.rsplit('.').next());
    assert_eq!(keys.open(&token).unwrap().uid, key.uid);
}
