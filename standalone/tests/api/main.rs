//! The contract, clause by clause, through the gateway of a running Kith; one file per section.
//!
//! `KITH_TEST_STACK=sqlite` (default): one `kith` process on SQLite and in-memory state. `postgres`: the gateway and
//! the four services as processes of their own on PostgreSQL and Redis. `scripts/test.sh` runs both.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod abuse;
mod admin;
mod browser;
mod client;
mod cluster;
mod contract_0;
mod contract_1_basics;
mod contract_1_binding;
mod contract_1_faults;
mod contract_1_info;
mod contract_1_page;
mod contract_1_replace;
mod contract_1_secrets;
mod contract_1_sessions;
mod contract_2;
mod contract_2_kicks;
mod contract_2_socket;
mod contract_3_group_credentials;
mod contract_3_group_lists;
mod contract_3_groups;
mod contract_3_identity;
mod contract_3_rongcloud;
mod contract_3_rongcloud_groups;
mod contract_4_avatars;
mod contract_4_imports;
mod contract_4_lists;
mod contract_4_people;
mod contract_4_relations;
mod contract_4_requests;
mod contract_4_signature;
mod cross_app;
mod document;
mod durability;
mod examples;
mod faults;
mod friends;
mod groups;
mod groups_large;
mod groups_races;
mod hostile;
mod limits;
mod load;
mod lockout;
mod metrics;
mod operations;
mod presence;
mod presence_random;
mod presence_redis;
mod process;
mod profiles;
mod rongcloud;
mod s3;
mod schema;
mod settings;
mod socket;
mod stack;
mod together;
mod tokens;
mod tokens_many;
mod tusers;
