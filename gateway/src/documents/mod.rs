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
use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::oneshot;
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

type Failure = Box<dyn Error + Send + Sync>;

/// A service's document as it was last seen.
#[derive(Default)]
struct Known {
    etag: String,
    document: Option<Document>,
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
        let (upstreams, routes) = (upstreams.to_vec(), Arc::new(routes));
        let mut known: Vec<Known> = upstreams.iter().map(|_| Known::default()).collect();
        let first = async {
            look(&upstreams, &routes, &mut known).await;
        };
        let _ = timeout(FIRST, first).await;
        self.show(&upstreams, &routes, &known).await;
        let this = Arc::clone(self);
        Keeper(tokio::spawn(async move {
            loop {
                let complete = known.iter().all(|known| known.document.is_some());
                sleep(if complete { LOOK } else { LOOK_FOR_MISSING }).await;
                if look(&upstreams, &routes, &mut known).await {
                    this.show(&upstreams, &routes, &known).await;
                }
            }
        }))
    }

    async fn show(&self, upstreams: &[Arc<Upstream>], routes: &Arc<Routes>, known: &[Known]) {
        let parts: Vec<(String, Option<Document>)> =
            upstreams.iter().zip(known).map(|(u, known)| (u.name.clone(), known.document.clone())).collect();
        let routes = Arc::clone(routes);
        if let Ok(document) = apart(move || merged(&parts, &routes)).await {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = document;
        }
    }
}

/// Asks all services; whether anything is new.
async fn look(upstreams: &[Arc<Upstream>], routes: &Arc<Routes>, known: &mut [Known]) -> bool {
    let mut is_new = false;
    for (n, (upstream, known)) in upstreams.iter().zip(known).enumerate() {
        let found = async {
            let Fetched::New { etag, body } = fetch(upstream, &known.etag).await? else { return Ok(None) };
            let routes = Arc::clone(routes);
            let document = apart(move || routed(&body, |path| routes.find(path) == Some(n))).await??;
            Ok::<_, Failure>(Some(Known { etag, document: Some(document) }))
        };
        match found.await {
            Ok(None) => {}
            Ok(Some(new)) => {
                *known = new;
                is_new = true;
            }
            Err(why) => log::debug!("{}: no API document: {why}", upstream.name),
        }
    }
    is_new
}

/// Runs on a thread that ends with it, and with the thread its memory: documents are half a megabyte of text and several
/// of parts. And no worker that serves requests is held up.
async fn apart<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let (caller, done) = oneshot::channel();
    let run = move || drop(caller.send(job()));
    std::thread::Builder::new().name("kith-documents".into()).spawn(run)?;
    Ok(done.await?)
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
