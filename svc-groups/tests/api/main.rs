//! What is internal to svc-groups; the contract's clauses are tested through the gateway (`standalone/tests`).
#![expect(clippy::unwrap_used, reason = "tests")]

mod helpers;
mod members;
mod plans;
mod rekey;
