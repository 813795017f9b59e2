//! Tests of svc-terminal-user from within, on the run's database (`KITH_TEST_STACK`): one binary, one file per area.
#![expect(clippy::unwrap_used, reason = "tests")]

mod binding;
mod chains;
mod following;
mod limits;
mod model;
mod replacement;
mod world;
