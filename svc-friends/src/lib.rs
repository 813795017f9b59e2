//! svc-friends: friend relations, requests, privacy, avatars (document 004).

mod routes;
pub mod server;
mod settings;

pub use settings::FriendsSettings;
