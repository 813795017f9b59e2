//! svc-groups: groups and memberships (document 003).

mod routes;
pub mod server;
mod settings;

pub use settings::GroupsSettings;
