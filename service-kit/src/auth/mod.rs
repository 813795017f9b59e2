//! Who a caller is, by password or token (design §5.4).

mod credentials;
mod lockout;
mod password;
mod signed;
mod tokens;

pub use credentials::{Credential, Credentials, Verifier};
pub use lockout::{Lockout, network_of};
pub use password::Passwords;
pub use signed::{NoMore, Signed};
pub use tokens::{LIVE, token_state_key};
