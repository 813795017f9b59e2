//! svc-im-auth, the identity core: accounts, passwords, tokens, presence (document 002, identity part of 003).
//!
//! Owns the tables `accounts`, `tokens`, `provider_users`, `operations`, `outbox` and `outbox_lanes`, and of the state
//! store the keys of `cache` and those of presence (`service_kit::presence`).

mod api;
mod cache;
mod domain;
mod handlers;
mod metrics;
mod routes;
pub mod server;
mod settings;
mod sockets;
mod store;

pub use api::document;
pub use domain::{Admin, ListedAccount};
pub use settings::ImAuthSettings;
