//! The API document of all services: fetched from them, merged, kept.
//!
//! Fetched and not built in: the gateway links no service, its table may name services that are none of ours, and
//! while versions change the document is that of what runs. Only when somebody asks: most gateways are never asked, and
//! documents take megabytes to put together. A service that is away keeps its last known document; one that was never
//! seen is left out, and the document says so.

mod fetch;
mod own;

use crate::routes::Routes;
use crate::upstream::Upstream;
use fetch::{Fetched, fetch};
use futures_util::future::join_all;
use serde_json::{Value, json};
use service_kit::openapi::{Document, Merged, apart, merge};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long documents count as still the same.
const FRESH: Duration = Duration::from_secs(60);
/// The same while one has never been seen.
const FRESH_WITHOUT_ALL: Duration = Duration::from_secs(2);

/// The document as it is when somebody asks. Cheap to clone.
#[derive(Clone)]
pub struct Documents {
    upstreams: Arc<[Arc<Upstream>]>,
    routes: Arc<Routes>,
    /// Whoever asks while another looks waits for what he finds.
    seen: Arc<Mutex<Seen>>,
}

/// What was last seen.
struct Seen {
    /// Of each upstream.
    parts: Vec<Known>,
    /// Of all parts, and when it was looked for.
    whole: Option<(Instant, Document)>,
}

type Failure = Box<dyn Error + Send + Sync>;

/// A service's document as it was last seen.
#[derive(Clone, Default)]
struct Known {
    etag: String,
    document: Option<Document>,
}

impl Documents {
    pub fn new(upstreams: &[Arc<Upstream>], routes: Routes) -> Self {
        let seen = Seen { parts: vec![Known::default(); upstreams.len()], whole: None };
        Self { upstreams: upstreams.into(), routes: Arc::new(routes), seen: Arc::new(Mutex::new(seen)) }
    }

    /// Takes as long as the slowest service, two seconds at most, when it was last asked a while ago.
    pub async fn current(&self) -> Result<Document, Failure> {
        let seen = Arc::clone(&self.seen).lock_owned().await;
        let fresh = if seen.parts.iter().all(|part| part.document.is_some()) { FRESH } else { FRESH_WITHOUT_ALL };
        match &seen.whole {
            Some((at, whole)) if at.elapsed() < fresh => Ok(whole.clone()),
            // Whoever asked may leave; the others who wait want it all the same.
            _ => tokio::spawn(self.clone().look_at_all(seen)).await?,
        }
    }

    async fn look_at_all(self, mut seen: OwnedMutexGuard<Seen>) -> Result<Document, Failure> {
        let looks = self.upstreams.iter().zip(&seen.parts).enumerate().map(|(n, (upstream, part))| {
            let this = &self;
            async move {
                this.look(n, upstream, part).await.unwrap_or_else(|why| {
                    log::debug!("{}: no API document: {why}", upstream.name);
                    None
                })
            }
        });
        let found = join_all(looks).await;
        let is_new = found.iter().any(Option::is_some);
        for (part, found) in seen.parts.iter_mut().zip(found) {
            if let Some(found) = found {
                *part = found;
            }
        }
        let known = seen.whole.take().map(|(_, whole)| whole);
        let whole = match known {
            Some(known) if !is_new => known,
            known => match (self.merged(&seen.parts).await, known) {
                (Ok(whole), _) => whole,
                (Err(why), None) => return Err(why),
                (Err(why), Some(known)) => {
                    log::error!("API documents: the last one stays: {why}");
                    known
                }
            },
        };
        seen.whole = Some((Instant::now(), whole.clone()));
        Ok(whole)
    }

    /// What upstream number `n` has that is new.
    async fn look(&self, n: usize, upstream: &Upstream, part: &Known) -> Result<Option<Known>, Failure> {
        let Fetched::New { etag, body } = fetch(upstream, &part.etag).await? else { return Ok(None) };
        let routes = Arc::clone(&self.routes);
        let document = apart(move || routed(&body, |path| routes.find(path) == Some(n))).await??;
        Ok(Some(Known { etag, document: Some(document) }))
    }

    async fn merged(&self, parts: &[Known]) -> Result<Document, Failure> {
        let names = self.upstreams.iter().map(|upstream| upstream.name.clone());
        let parts: Vec<_> = names.zip(parts.iter().map(|part| part.document.clone())).collect();
        let routes = Arc::clone(&self.routes);
        Ok(apart(move || merged(&parts, &routes)).await?)
    }
}

/// A service's document without the paths that lead elsewhere from here.
fn routed(body: &[u8], leads: impl Fn(&str) -> bool) -> Result<Document, Failure> {
    let mut document: Value = serde_json::from_slice(body)?;
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).ok_or("not an API document")?;
    paths.retain(|path, _| leads(path));
    Ok(Document::new(document))
}

fn merged(parts: &[(String, Option<Document>)], routes: &Routes) -> Document {
    let missing: Vec<&str> =
        parts.iter().filter(|(name, known)| known.is_none() && routes.lead_to(name)).map(|(n, _)| n.as_str()).collect();
    let own = own::document();
    let known = parts.iter().filter_map(|(name, known)| Some((name.as_str(), known.as_ref()?)));
    let all = std::iter::once(("gateway", &own)).chain(known).map(|(name, document)| (name, document.value()));
    let Merged { mut document, clashes } = merge(own::info(&missing), all);
    for clash in clashes {
        log::warn!("API documents: claimed by several: {clash}");
    }
    if !missing.is_empty() {
        document["x-kith-missing"] = json!(missing);
    }
    Document::new(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_counts_for_the_paths_that_are_routed_to_its_service() {
        let body = r#"{"paths": {"/im/{group_id}/group_join/": {}, "/healthz": {}}}"#;
        let document = routed(body.as_bytes(), |path| path.starts_with("/im")).map_err(|e| e.to_string());
        assert_eq!(document.map(|d| d.value()), Ok(json!({"paths": {"/im/{group_id}/group_join/": {}}})));
        for other in ["", "[]", "{}", r#"{"paths": []}"#] {
            assert!(routed(other.as_bytes(), |_| true).is_err(), "{other}");
        }
    }

    #[test]
    fn who_was_never_seen_is_named() {
        let info = own::info(&["friends", "groups"]);
        assert!(info["description"].as_str().is_some_and(|text| text.contains("friends, groups")), "{info}");
    }
}
