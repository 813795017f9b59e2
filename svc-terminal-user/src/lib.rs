//! svc-terminal-user: terminal users, RongCloud sync, course validity, QR binding, key replacement (documents 000 and
//! 001), and the binding page.
//!
//! Owns the tables `terminal_users`, `introductions`, `mappings`, `used_codes`, `validities`, `records`,
//! `replacements`, `newest_keys`, `replaced_rows` and its outbox; in the state store the keys of `cache`. Names, icons,
//! tokens and passwords are svc-im-auth's, memberships svc-groups': both are asked over the internal API.

mod api;
mod cache;
pub mod domain;
mod handlers;
mod routes;
pub mod server;
mod settings;
pub mod store;

pub use api::document;
pub use settings::TerminalUserSettings;
