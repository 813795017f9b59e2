//! svc-groups: groups and memberships (group part of document 003), always of the system app.
//!
//! Owns the tables `groups`, `memberships`, `membership_blocks`, `dismissed_groups`, `rekeyings` and its outbox; no
//! keys of the state store.

mod api;
mod domain;
mod handlers;
mod routes;
pub mod server;
mod settings;
mod store;

pub use api::document;
pub use settings::GroupsSettings;
