//! What is internal to svc-groups; the contract's clauses are tested through the gateway (`standalone/tests`).
#![expect(clippy::unwrap_used, reason = "tests")]

mod helpers;
mod limits;
mod members;
mod plans;
mod provider;
mod rekey;
mod rekey_large;
mod rush;
