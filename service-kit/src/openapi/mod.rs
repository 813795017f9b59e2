//! API documents, OpenAPI 3.1 (design §7).
//!
//! The annotations of a service's handlers say what is particular to each call: parameters, payload, reasons to fail,
//! examples. What all calls of a family have in common is added here, once: the envelope, the failures that the
//! gateway answers itself, headers, and the other method of calls that take two. So a call cannot forget any of it,
//! and the numbers come from the table that the answers come from (`wire/`).
//!
//! Extensions that annotations use and that do not get into the document:
//! - `x-fails`: names of the reasons ([`Code`]) for which the call itself fails, beyond those of its family;
//! - `x-bare`: the answer wears no envelope;
//! - `x-failures`: of an answer without an envelope, by status: the reasons for which it is a failure in one;
//! - `x-file`: the file part of a multipart form.

mod answers;
mod complete;
mod family;
mod merge;
mod methods;
mod seal;

pub use merge::{Merged, merge};

use crate::error::Code;
use crate::wire::Call;
use actix_web::web::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Where a service serves its document, and the gateway that of all.
pub const PATH: &str = "/openapi.json";

/// The methods that operations are listed under.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// A finished document. Cheap to clone.
#[derive(Clone)]
pub struct Document(Arc<Parts>);

/// As text: read into its parts it is several times as large, and only asked for where it is merged.
struct Parts {
    body: Bytes,
    etag: String,
}

impl Document {
    /// The document of a service, from what its annotations say.
    pub fn of_service(api: &utoipa::openapi::OpenApi) -> Self {
        // What utoipa builds out of its own types is JSON.
        Self::complete(serde_json::to_value(api).unwrap_or_default())
    }

    /// A document that says of its calls what annotations say, with what their families have in common.
    pub fn complete(mut value: Value) -> Self {
        complete::complete(&mut value);
        Self::new(value)
    }

    /// A finished document.
    pub fn new(value: Value) -> Self {
        let body = serde_json::to_vec(&value).unwrap_or_default();
        let etag = Sha256::digest(&body).iter().take(8).map(|b| format!("{b:02x}")).collect::<String>();
        Self(Arc::new(Parts { body: body.into(), etag: format!("\"{etag}\"") }))
    }

    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.0.body).unwrap_or_default()
    }

    pub fn body(&self) -> Bytes {
        self.0.body.clone()
    }

    pub fn etag(&self) -> &str {
        &self.0.etag
    }
}

/// Runs what makes documents on a thread that ends with it, and with the thread its memory: documents are half a
/// megabyte of text and several of parts. And no worker that serves requests is held up. Fails if there is no thread.
pub async fn apart<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (caller, done) = oneshot::channel();
    let run = move || drop(caller.send(job()));
    std::thread::Builder::new().name("kith-documents".into()).spawn(run)?;
    done.await.map_err(io::Error::other)
}

/// Where a route table and a document differ, one line each; both ways.
pub fn differences(calls: &[Call], document: &Document) -> Vec<String> {
    let mut routed = BTreeSet::new();
    for call in calls {
        // HEAD is GET without the body; documents do not list it.
        for method in call.methods().iter().filter(|method| **method != "HEAD") {
            routed.insert(format!("{method} {}", plain(call.path())));
        }
    }
    let documented: BTreeSet<String> = operations(&document.value())
        .map(|(path, method, _)| format!("{} {}", method.to_uppercase(), plain(path)))
        .collect();
    let undocumented = routed.difference(&documented).map(|call| format!("in no document: {call}"));
    let unrouted = documented.difference(&routed).map(|call| format!("routed nowhere: {call}"));
    undocumented.chain(unrouted).collect()
}

/// A path with its parameters nameless and no slash at the end.
fn plain(path: &str) -> String {
    let segments = path.trim_end_matches('/').split('/').map(|s| if s.starts_with('{') { "{}" } else { s });
    segments.collect::<Vec<_>>().join("/")
}

/// Path, method and operation of all that a document lists.
pub fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| Some((path.as_str(), *method, item.get(*method)?)))
    })
}

/// Reasons by their names; what is no reason is a mistake in an annotation and shows in the document.
fn codes(names: &Value) -> Vec<Code> {
    let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| Code::from_name(name).unwrap_or(Code::Internal)).collect()
}
