//! The signature of a request: lower-case hex SHA1(app secret + nonce + timestamp).

use crate::secret::Secret;
use sha1::{Digest, Sha1};
use shared_models::Stamp;

pub(super) struct Signature {
    pub nonce: String,
    /// Milliseconds; at most 18 digits, as the document has it.
    pub timestamp: String,
    pub text: String,
}

pub(super) fn sign(app_secret: &Secret, nonce: &str, Stamp(now): Stamp) -> Signature {
    let timestamp = now.to_string();
    let mut sha = Sha1::new();
    for part in [app_secret.expose(), nonce, &timestamp] {
        sha.update(part.as_bytes());
    }
    let text = sha.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Signature { nonce: nonce.to_owned(), timestamp, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf s3cretn0nce1408706337000 | sha1sum`
    #[test]
    fn the_signature_is_the_sha1_of_secret_nonce_and_time() {
        let signature = sign(&Secret::new("s3cret"), "n0nce", Stamp(1_408_706_337_000));
        assert_eq!(signature.timestamp, "1408706337000");
        assert_eq!(signature.text, "7c27f5842e8007dcf7bbe6d09720329c403df79d");
    }
}
