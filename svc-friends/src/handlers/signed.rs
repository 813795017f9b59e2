//! Family D's signature: who asks, checked before anything else is read.

use crate::domain::{Caller, Core, Times, read_compact};
use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use futures_util::future::LocalBoxFuture;
use md5::{Digest, Md5};
use serde::de::DeserializeOwned;
use service_kit::media::Upload;
use service_kit::params;
use service_kit::settings::App;
use service_kit::wire::{Dialect, Failure, StatusCodeMsg};
use service_kit::{Code, Error, Result, Secret};
use shared_models::{AppId, Stamp};
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq};

/// The later one is IMPlus's (`semantics.md` A.1).
const VERSIONS: [&str; 2] = ["2013-12-26", "2016-08-15"];
/// How far the timestamp may be off, either way; it also absorbs clients whose clock runs in another zone.
const VALIDITY_MILLIS: i64 = 24 * 3600 * 1000;
/// The shipped iOS client takes the signature's time before that of Authorization (`semantics.md` A.1).
const EARLIER_SECONDS: i64 = 2;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A request whose signature is right, with its body read as `B`.
pub struct Signed<B> {
    pub caller: Caller,
    pub body: B,
}

/// What a body is read as, after the signature.
pub trait SignedBody: Sized + 'static {
    fn read(req: HttpRequest, payload: Payload) -> LocalBoxFuture<'static, Result<Self>>;
}

/// A JSON body.
pub struct Fields<T>(pub T);

impl<T: DeserializeOwned + 'static> SignedBody for Fields<T> {
    fn read(req: HttpRequest, payload: Payload) -> LocalBoxFuture<'static, Result<Self>> {
        Box::pin(async move { params::typed(params::read(Dialect::StatusCodeMsg, &req, payload).await?).map(Self) })
    }
}

/// A raw image, with the call's parameters in the query. Its Content-Type is never looked at: the shipped Android
/// client sends a malformed one (`semantics.md` A.1).
pub struct SignedUpload {
    pub upload: Upload,
    pub useracc: String,
}

impl SignedBody for SignedUpload {
    fn read(req: HttpRequest, payload: Payload) -> LocalBoxFuture<'static, Result<Self>> {
        Box::pin(async move {
            let upload = Upload::of_body(payload, req.headers()).await?;
            if upload.is_empty() {
                return Err(Code::EmptyBody.into());
            }
            let useracc = params::query_value(&req, "useracc")?.filter(|u| !u.is_empty());
            Ok(Self { upload, useracc: useracc.ok_or_else(|| Error::parameter("useracc", "missing"))? })
        })
    }
}

impl<B: SignedBody> FromRequest for Signed<B> {
    type Error = Failure<StatusCodeMsg>;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            match caller(&req) {
                Ok(caller) => Ok(Self { caller, body: B::read(req, payload).await? }),
                Err(e) => {
                    params::drain(payload).await;
                    Err(e.into())
                }
            }
        })
    }
}

/// Contract §4's checks, in its order.
fn caller(req: &HttpRequest) -> Result<Caller> {
    let core = req.app_data::<Data<Core>>().ok_or_else(|| Error::internal("the service has no core"))?;
    let part = |name: &str| req.match_info().get(name).unwrap_or_default();
    if !VERSIONS.contains(&part("version")) {
        return Err(Code::WrongVersion.into());
    }
    let id = AppId::new(part("app")).map_err(|e| Error::parameter("appId", e))?;
    let app = core.apps.by_id(id.as_str()).ok_or(Code::UnknownApp)?;
    let header = req.headers().get(AUTHORIZATION).map(|v| v.as_bytes().trim_ascii()).unwrap_or_default();
    let signed_at = authorized_at(header, core.times, core.clock.now(), &id)?;
    let sig =
        params::query_value(req, "sig").unwrap_or_default().filter(|sig| !sig.is_empty()).ok_or(Code::NoSignature)?;
    if !bool::from(matches(&sig, app, signed_at, core.times)) {
        return Err(Code::WrongSignature.into());
    }
    Ok(Caller { app: Arc::clone(app), apps: core.apps.clone() })
}

/// `Base64(id:timestamp)`
fn authorized_at(header: &[u8], times: Times, now: Stamp, id: &AppId) -> Result<Stamp> {
    if header.is_empty() {
        return Err(Code::NoAuthorization.into());
    }
    let decoded = BASE64.decode(header).map_err(|e| Error::from(Code::AuthorizationNotBase64).because(e))?;
    let text = String::from_utf8(decoded).map_err(|e| Error::from(Code::AuthorizationMalformed).because(e))?;
    let (given, time) = text.split_once(':').ok_or(Code::AuthorizationMalformed)?;
    if given.is_empty() {
        return Err(Code::AuthorizationWithoutId.into());
    }
    if time.is_empty() {
        return Err(Code::AuthorizationWithoutTime.into());
    }
    let at = times.stamp(read_compact(time).ok_or(Code::AuthorizationTimeMalformed)?);
    if (now.0 - at.0).abs() > VALIDITY_MILLIS {
        return Err(Code::AuthorizationExpired.into());
    }
    if given != id.as_str() { Err(Code::AuthorizationOfOtherApp.into()) } else { Ok(at) }
}

/// Whether `sig` is MD5(appId + auth_token + timestamp) for any timestamp that counts. All of them are compared,
/// and all bytes of each, so that the time taken tells nothing.
fn matches(sig: &str, app: &App, at: Stamp, times: Times) -> Choice {
    let Some(given) = digest_of_hex(sig) else { return Choice::from(0) };
    let mut matched = Choice::from(0);
    for token in std::iter::once(&app.auth_token).chain(&app.previous_auth_token) {
        for earlier in 0..=EARLIER_SECONDS {
            let time = times.compact(Stamp(at.0 - earlier * 1000));
            matched |= signature(&app.id, token, &time).ct_eq(&given);
        }
    }
    matched
}

fn signature(id: &AppId, token: &Secret, time: &str) -> [u8; 16] {
    let mut hash = Md5::new();
    hash.update(id.as_str());
    hash.update(token.expose());
    hash.update(time);
    hash.finalize().into()
}

/// 32 hex digits: documented as upper case, sent in lower case (`semantics.md` A.1).
fn digest_of_hex(sig: &str) -> Option<[u8; 16]> {
    let sig = sig.as_bytes();
    if sig.len() != 32 {
        return None;
    }
    let mut digest = [0; 16];
    for (byte, pair) in digest.iter_mut().zip(sig.chunks(2)) {
        let digit = |at: usize| pair.get(at).and_then(|&b| char::from(b).to_digit(16));
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use chrono::FixedOffset;
    use service_kit::settings::{Apps, Common};
    use service_kit::testkit::fuzz::{parts, target};
    use std::collections::HashSet;

    /// 2017-07-08 12:12:12 at +08:00.
    const NOW: Stamp = Stamp(1_499_487_132_000);

    /// All signatures that count, of that second.
    fn signatures(app: &App, at: Stamp, times: Times) -> HashSet<String> {
        let of = |earlier: i64| {
            let time = times.compact(Stamp(at.0 - earlier * 1000));
            let text = format!("{}{}{time}", app.id, app.auth_token.expose());
            Md5::digest(text).iter().map(|b| format!("{b:02x}")).collect()
        };
        (0..=2).map(of).collect()
    }

    #[test]
    fn authorization() {
        let apps = Apps::from_settings(&Common::default()).unwrap();
        let times = Times(FixedOffset::east_opt(8 * 3600).unwrap());
        target(env!("CARGO_MANIFEST_DIR"), "authorization", |input| {
            let [header, sig] = parts(input);
            let app = apps.system();
            let at = match authorized_at(header, times, NOW, &app.id) {
                Ok(at) => at,
                Err(e) => {
                    let text = BASE64.decode(header).ok().and_then(|text| String::from_utf8(text).ok());
                    let is_form = text.is_some_and(|text| {
                        text.split_once(':').is_some_and(|(id, at)| !id.is_empty() && !at.is_empty())
                    });
                    let of_form =
                        [Code::AuthorizationTimeMalformed, Code::AuthorizationExpired, Code::AuthorizationOfOtherApp];
                    assert_eq!(is_form, of_form.contains(&e.code()), "{:?}", e.code());
                    return;
                }
            };
            assert!((NOW.0 - at.0).abs() <= VALIDITY_MILLIS);
            let said = format!("{}:{}", app.id, times.compact(at));
            assert_eq!(BASE64.decode(header).unwrap(), said.as_bytes(), "nothing else says that");
            let Ok(sig) = std::str::from_utf8(sig) else { return };
            let right = signatures(app, at, times);
            assert_eq!(bool::from(matches(sig, app, at, times)), right.contains(&sig.to_ascii_lowercase()), "{sig}");
            // Of a right one every byte counts.
            for sig in right {
                assert!(bool::from(matches(&sig, app, at, times) & matches(&sig.to_uppercase(), app, at, times)));
                for place in 0..sig.len() {
                    let mut wrong = sig.clone().into_bytes();
                    wrong[place] = if wrong[place] == b'0' { b'1' } else { b'0' };
                    assert!(!bool::from(matches(&String::from_utf8(wrong).unwrap(), app, at, times)), "{place}");
                }
            }
        });
    }
}
