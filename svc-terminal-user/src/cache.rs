//! Keys of the state store that this service owns. Codes and session ids stand there by hash only, and what is computed
//! of a session id (`domain::sessions`) not at all: who can read the store can use nothing of it.

use sha2::{Digest, Sha256};

/// Lower-case hex.
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A binding code: for whom, and until when.
pub fn code(hash: &str) -> String {
    format!("bind:code:{hash}")
}

/// A session of the binding page; there for as long as a code that it showed may live.
pub fn session(hash: &str) -> String {
    format!("bind:session:{hash}")
}

/// Which code a session's page shows: what with the session's id makes that code, and until when it is good.
pub fn shown_code(session_hash: &str) -> String {
    format!("bind:nonce:{session_hash}")
}
