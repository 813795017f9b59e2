//! Keys of the state store that this service owns, and how long they last.

use std::time::Duration;

/// A token's state is copied for so long: none is ever staler than this, whatever happens to the store.
pub const TOKEN_STATE_TTL: Duration = Duration::from_secs(5);

/// State of a token, by its id; the credential check of every service looks there too.
pub fn token_state(id: &str) -> String {
    service_kit::auth::token_state_key(id)
}
