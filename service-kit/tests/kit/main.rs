//! What the kit does against real servers.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod rongcloud;
mod state;
