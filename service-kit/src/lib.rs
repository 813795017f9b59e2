//! What every Kith service needs to run: settings, errors and the four envelopes, the database door, the state
//! store, server assembly, internal clients, credentials, the profile directory, health and metrics.
//!
//! Knows no service and no table of theirs.

pub mod clock;
pub mod error;
pub mod presence;
pub mod random;
pub mod secret;
pub mod settings;
pub mod state;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod wire;

pub use error::{Code, Error, Kind, Result};
pub use secret::Secret;
