//! What every Kith service needs to run: settings, errors and the four envelopes, the database door, the state
//! store, server assembly, internal clients, credentials, the profile directory, health and metrics.
//!
//! Knows no service and no table of theirs.

pub mod auth;
pub mod client;
pub mod clock;
pub mod copies;
#[cfg(feature = "db")]
pub mod db;
pub mod directory;
pub mod error;
pub mod gather;
pub mod health;
mod http;
pub mod internal;
pub mod links;
pub mod log;
#[cfg(feature = "media")]
pub mod media;
pub mod metrics;
pub mod openapi;
#[cfg(feature = "db")]
pub mod outbox;
pub mod params;
pub mod presence;
pub mod process;
pub mod random;
pub mod rate;
#[cfg(feature = "rongcloud")]
pub mod rongcloud;
pub mod secret;
pub mod server;
#[cfg(feature = "db")]
pub mod service;
pub mod settings;
pub mod state;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod turns;
pub mod wire;

pub use error::{Code, Error, Kind, Result};
pub use secret::Secret;
