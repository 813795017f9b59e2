//! Queries and forms: url-encoded and multipart.

use super::body::{self, FORM_LIMIT};
use super::held::{Held, Room};
use crate::error::{Code, Error, Result};
use actix_multipart::{Multipart, MultipartError};
use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use futures_util::StreamExt;
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

/// More parameters than any call has are no parameters.
const MAX_PAIRS: usize = 200;

/// `a=b&c=d`; `+` is a space, unescaped `:` and `/` are fine. Later pairs of one name win.
pub(super) fn pairs(text: &[u8]) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for (n, pair) in text.split(|&b| b == b'&').filter(|p| !p.is_empty()).enumerate() {
        if n >= MAX_PAIRS {
            return Err(Error::new(Code::BadBody, "too many parameters"));
        }
        let at = pair.iter().position(|&b| b == b'=');
        let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        let name = decoded(name).ok_or_else(|| Error::new(Code::BadBody, "a parameter's name is not UTF-8"))?;
        let name = name.trim();
        let value = decoded(value).ok_or_else(|| Error::parameter(&shown(name), "is not UTF-8"))?;
        map.insert(name.to_owned(), Value::String(value));
    }
    Ok(map)
}

/// One parameter's value; the others may be anything.
pub(super) fn value(text: &[u8], name: &str) -> Result<Option<String>> {
    let parts = |pair: &[u8]| {
        let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
        (pair[..at].to_vec(), pair.get(at + 1..).unwrap_or_default().to_vec())
    };
    let mut named = text.split(|&b| b == b'&').map(parts).filter(|(n, _)| decoded(n).is_some_and(|n| n.trim() == name));
    let not_utf8 = || Error::parameter(name, "is not UTF-8");
    named.next_back().map(|(_, value)| decoded(&value).ok_or_else(not_utf8)).transpose()
}

fn decoded(part: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = part.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

/// A parameter's name, short enough for an error text.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// A file part that a call takes.
pub(super) struct Wanted<'a> {
    pub name: &'a str,
    /// Bytes; of a larger one nothing is kept.
    pub limit: usize,
}

/// What came as the wanted file part.
pub(super) enum File {
    None,
    /// Too large, or no room for it.
    Refused(Error),
    Whole(Held),
}

/// The text parts of a multipart body, and one file part of any file name and type; other file parts are dropped.
pub(super) async fn multipart(
    headers: &HeaderMap,
    payload: Payload,
    wanted: Option<Wanted<'_>>,
) -> Result<(Map<String, Value>, File)> {
    let mut map = Map::new();
    let mut file = File::None;
    let mut left = FORM_LIMIT;
    // Of all text parts together.
    let mut room = Room::default();
    // A file that is refused is read to its end, so that the client comes to reading the answer.
    let whole = if wanted.is_some() { body::DRAIN_LIMIT } else { FORM_LIMIT };
    let mut form = Multipart::new(headers, body::limited(payload, whole));
    while let Some(field) = form.next().await {
        let mut field = field.map_err(unreadable)?;
        if map.len() >= MAX_PAIRS {
            return Err(Error::new(Code::BadBody, "too many parameters"));
        }
        let disposition = field.content_disposition();
        let is_file = disposition.is_some_and(|d| d.get_filename().is_some());
        let name = field.name().unwrap_or_default().trim().to_owned();
        let mut value = Vec::new();
        if let Some(wanted) = wanted.as_ref().filter(|w| w.name == name) {
            file = File::Whole(Held::default());
            while let Some(chunk) = field.next().await {
                file.add(&chunk.map_err(unreadable)?, wanted.limit).await;
            }
            continue;
        }
        while let Some(chunk) = field.next().await {
            let chunk = chunk.map_err(unreadable)?;
            left = left.checked_sub(chunk.len()).ok_or(Code::BodyTooLarge)?;
            if !is_file {
                room.take(chunk.len()).await?;
                value.extend_from_slice(&chunk);
            }
        }
        if !is_file && !name.is_empty() {
            let value = String::from_utf8(value).ok().ok_or_else(|| Error::parameter(&shown(&name), "is not UTF-8"))?;
            map.insert(name, Value::String(value));
        }
    }
    Ok((map, file))
}

impl File {
    async fn add(&mut self, chunk: &[u8], limit: usize) {
        if let Self::Whole(content) = self {
            let added = match content.len() + chunk.len() > limit {
                true => Err(Code::BodyTooLarge.into()),
                false => content.push(chunk).await,
            };
            if let Err(e) = added {
                *self = Self::Refused(e);
            }
        }
    }
}

fn unreadable(e: MultipartError) -> Error {
    match e {
        MultipartError::Payload(e) => body::broken(e),
        e => Error::new(Code::BadBody, "the request's body is not a readable form").because(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn queries_are_read_as_the_shipped_clients_write_them() {
        let map = pairs(b"tuser_key=a%20b&name=%E5%BC%A0+x&portrait_uri=http://h:1/p?x&&empty&eq==").unwrap();
        let get = |k: &str| map[k].as_str().unwrap().to_owned();
        assert_eq!(get("tuser_key"), "a b");
        assert_eq!(get("name"), "张 x");
        assert_eq!(get("portrait_uri"), "http://h:1/p?x");
        assert_eq!(get("empty"), "");
        assert_eq!(get("eq"), "=");
    }

    #[test]
    fn one_parameter_is_found_beside_any_others() {
        let query = b"sig=ab%43&useracc=app%2315011097123&fileName=%ff.jpg&flag";
        assert_eq!(value(query, "sig").unwrap().as_deref(), Some("abC"));
        assert_eq!(value(query, "useracc").unwrap().as_deref(), Some("app#15011097123"));
        assert_eq!(value(query, "flag").unwrap().as_deref(), Some(""));
        assert_eq!(value(query, "absent").unwrap(), None);
        assert_eq!(value(query, "fileName").unwrap_err().text(), "fileName: is not UTF-8");
    }

    #[test]
    fn what_is_not_utf8_is_refused_by_name() {
        assert_eq!(pairs(b"name=%ff").unwrap_err().text(), "name: is not UTF-8");
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testkit::fuzz::{parts, target};
    use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
    use actix_web::web::Bytes;
    use form_urlencoded::Serializer;

    #[test]
    fn form() {
        target(env!("CARGO_MANIFEST_DIR"), "form", |input| {
            let Ok(map) = pairs(input) else { return };
            assert!(map.len() <= MAX_PAIRS);
            let standard: Map<String, Value> = form_urlencoded::parse(input)
                .map(|(name, value)| (name.trim().to_owned(), Value::String(value.into_owned())))
                .collect();
            assert_eq!(map, standard, "as everybody reads forms");
            for (name, whole) in map.iter().filter(|(name, _)| !name.is_empty()) {
                assert_eq!(value(input, name).unwrap().as_deref(), whole.as_str(), "{name}: both readers agree");
            }
            let texts = map.iter().map(|(name, value)| (name, value.as_str().unwrap()));
            let again = Serializer::new(String::new()).extend_pairs(texts).finish();
            assert_eq!(pairs(again.as_bytes()).unwrap(), map);
        });
    }

    type Outcome = std::result::Result<(Map<String, Value>, Option<std::result::Result<Bytes, Code>>), Code>;

    /// What comes of a body that arrives in pieces of `size` bytes.
    fn arriving(kind: &HeaderValue, body: &[u8], size: usize) -> Outcome {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.clone());
        let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let pieces = futures_util::stream::iter(pieces);
        let payload: Payload = Payload::Stream { payload: Box::pin(pieces) };
        let wanted = Wanted { name: "portrait", limit: 600 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let read = runtime.block_on(multipart(&headers, payload, Some(wanted)));
        read.map_err(|e| e.code()).map(|(map, file)| {
            let file = match file {
                File::None => None,
                File::Refused(e) => Some(Err(e.code())),
                File::Whole(content) => Some(Ok(content.into_parts().0)),
            };
            (map, file)
        })
    }

    #[test]
    fn multipart_body() {
        target(env!("CARGO_MANIFEST_DIR"), "multipart_body", |input| {
            let [kind, body] = parts(input);
            let Ok(kind) = HeaderValue::from_bytes(kind) else { return };
            let whole = arriving(&kind, body, usize::MAX);
            assert_eq!(whole, arriving(&kind, body, 1 + body.len() % 11), "however it arrives");
            match whole {
                Ok((map, file)) => {
                    let text: usize = map.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
                    let file = file.and_then(|file| file.ok()).map_or(0, |file| file.len());
                    assert!(text + file <= body.len() && file <= 600 && map.len() <= MAX_PAIRS);
                }
                Err(code) => assert!([Code::BadBody, Code::BadParameter, Code::BodyTooLarge].contains(&code)),
            }
        });
    }
}
