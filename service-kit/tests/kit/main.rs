//! Tests of service-kit against real servers: one binary, one file per part.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod copies;
mod credentials;
mod db;
mod db_ends;
mod db_gathered;
mod db_outages;
mod db_sqlite;
mod directory;
mod directory_crowd;
mod lockout;
mod media;
mod outbox;
mod presence;
mod presence_nodes;
mod rongcloud;
mod state;
