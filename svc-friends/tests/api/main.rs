//! What only svc-friends by itself can show: the clock held, lists against a model, concurrency, size. The contract
//! clause by clause is in `standalone/tests`.
//!
//! `KITH_TEST_STACK=sqlite` (default) or `postgres`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod concurrency;
mod follower;
mod helpers;
mod imports;
mod lists;
mod model;
mod properties;
mod replicas;
mod scale;
mod start;
