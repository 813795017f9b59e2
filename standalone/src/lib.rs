//! The whole of Kith in one process: the gateway and the four services, each as it runs in production, talking over
//! loopback ports chosen by the system, with one state store and internal secrets made at start.

mod admin;
pub mod cli;
mod migrate;
mod outbox;
mod reference;
mod stack;

pub use stack::{Settings, Stack};
