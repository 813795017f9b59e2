//! Keys of the state store that this service owns. Copies there last 5 s (`service_kit::copies`).

/// State of a token, by its id; the credential check of every service looks there too.
pub fn token_state(id: &str) -> String {
    service_kit::auth::token_state_key(id)
}
