//! The contract, clause by clause, through the gateway of a running Kith; one file per section.
//!
//! `KITH_TEST_STACK=sqlite` (default): one `kith` process on SQLite and in-memory state. `postgres`: the gateway and
//! the four services as processes of their own on PostgreSQL and Redis. `scripts/test.sh` runs both.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client;
mod contract_0;
mod contract_2;
mod contract_2_socket;
mod contract_3_groups;
mod contract_3_identity;
mod contract_3_rongcloud;
mod durability;
mod faults;
mod groups;
mod groups_large;
mod groups_races;
mod lockout;
mod operations;
mod presence;
mod process;
mod socket;
mod stack;
mod tokens;
