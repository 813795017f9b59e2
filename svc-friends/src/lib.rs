//! svc-friends: friend relations, requests, privacy, avatars (document 004).
//!
//! Owns the tables `constants`, `owners`, `friends` and `requests`; icons belong to the accounts of svc-im-auth.

mod api;
mod domain;
mod handlers;
mod routes;
pub mod server;
mod settings;
mod store;

pub use api::document;
pub use settings::FriendsSettings;
