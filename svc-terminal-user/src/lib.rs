//! svc-terminal-user: terminal users, RongCloud sync, course validity, QR binding, key replacement (documents 000 and 001).

mod routes;
pub mod server;
mod settings;

pub use settings::TerminalUserSettings;
