//! The whole of Kith in one process: the gateway and the four services, each as it runs in production, talking over
//! loopback ports chosen by the system, with one state store and internal secrets made at start.

pub mod cli;
mod outbox;
mod stack;

pub use stack::{Settings, Stack};
