//! Keys of the state store that this service owns. Codes and session ids stand there by hash only: who can read the
//! store can use neither.

use sha2::{Digest, Sha256};

/// Lower-case hex.
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A binding code: for whom, and until when.
pub fn code(hash: &str) -> String {
    format!("bind:code:{hash}")
}

/// A session of the binding page.
pub fn session(hash: &str) -> String {
    format!("bind:session:{hash}")
}

/// The code that a session's page shows.
pub fn shown_code(session_hash: &str) -> String {
    format!("bind:shown:{session_hash}")
}
