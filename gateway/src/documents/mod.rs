//! The API document of all services: fetched from them, merged, kept.
//!
//! Fetched and not built in: the gateway links no service, its table may name services that are none of ours, and
//! while versions change the document is that of what runs. A service that is away keeps its last known document; one
//! that was never seen is left out, and the document says so.

mod fetch;
mod own;

use crate::routes::Routes;
use crate::upstream::Upstream;
use fetch::{Fetched, fetch};
use serde_json::{Value, json};
use service_kit::openapi::{Document, Merged, merge};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How often services are asked whether their documents are still the same.
const LOOK: Duration = Duration::from_secs(60);
/// The same while one has never been seen.
const LOOK_FOR_MISSING: Duration = Duration::from_secs(2);
/// The start waits so long for the documents; later ones are found as they come.
const FIRST: Duration = Duration::from_secs(1);

/// The document as it is now.
pub struct Documents(RwLock<Document>);

/// The task that keeps it; it ends with this.
pub struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A service's document as it was last seen.
#[derive(Default)]
struct Known {
    etag: String,
    document: Option<Value>,
}

impl Documents {
    pub fn new() -> Self {
        Self(RwLock::new(Document::new(Value::Null)))
    }

    pub fn current(&self) -> Document {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches all documents once, then goes on in the background.
    pub async fn keep(self: &Arc<Self>, upstreams: &[Arc<Upstream>], routes: Routes) -> Keeper {
        let mut known: Vec<Known> = upstreams.iter().map(|_| Known::default()).collect();
        let first = async {
            self.look(upstreams, &routes, &mut known).await;
        };
        let _ = timeout(FIRST, first).await;
        self.show(upstreams, &routes, &known);
        let (this, upstreams) = (Arc::clone(self), upstreams.to_vec());
        Keeper(tokio::spawn(async move {
            loop {
                let complete = known.iter().all(|known| known.document.is_some());
                sleep(if complete { LOOK } else { LOOK_FOR_MISSING }).await;
                if this.look(&upstreams, &routes, &mut known).await {
                    this.show(&upstreams, &routes, &known);
                }
            }
        }))
    }

    /// Asks all services; whether anything is new.
    async fn look(&self, upstreams: &[Arc<Upstream>], routes: &Routes, known: &mut [Known]) -> bool {
        let mut is_new = false;
        for (n, (upstream, known)) in upstreams.iter().zip(known).enumerate() {
            match fetch(upstream, &known.etag).await {
                Ok(Fetched::Same) => {}
                Ok(Fetched::New { etag, mut document }) => {
                    keep_routed(&mut document, |path| routes.find(path) == Some(n));
                    *known = Known { etag, document: Some(document) };
                    is_new = true;
                }
                Err(why) => log::debug!("{}: no API document: {why}", upstream.name),
            }
        }
        is_new
    }

    fn show(&self, upstreams: &[Arc<Upstream>], routes: &Routes, known: &[Known]) {
        let own = own::document();
        let mut parts = vec![("gateway", own.value())];
        let mut missing = Vec::new();
        for (upstream, known) in upstreams.iter().zip(known) {
            match &known.document {
                Some(document) => parts.push((upstream.name.as_str(), document)),
                None if routes.lead_to(&upstream.name) => missing.push(upstream.name.as_str()),
                None => {}
            }
        }
        let Merged { mut document, clashes } = merge(own::info(&missing), &parts);
        for clash in clashes {
            log::warn!("API documents: claimed by several: {clash}");
        }
        if !missing.is_empty() {
            document["x-kith-missing"] = json!(missing);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Document::new(document);
    }
}

/// Leaves only the paths that lead there from here.
fn keep_routed(document: &mut Value, leads: impl Fn(&str) -> bool) {
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        paths.retain(|path, _| leads(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_counts_for_the_paths_that_are_routed_to_its_service() {
        let mut document = json!({"paths": {"/im/{group_id}/group_join/": {}, "/healthz": {}}});
        keep_routed(&mut document, |path| path.starts_with("/im"));
        assert_eq!(document, json!({"paths": {"/im/{group_id}/group_join/": {}}}));
    }

    #[test]
    fn who_was_never_seen_is_named() {
        let info = own::info(&["friends", "groups"]);
        assert!(info["description"].as_str().is_some_and(|text| text.contains("friends, groups")), "{info}");
    }
}
