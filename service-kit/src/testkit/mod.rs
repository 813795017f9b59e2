//! What tests of Kith's crates share. Panics where it cannot do its work: that is a failed test, never a skip.

pub mod fuzz;
#[cfg(feature = "db")]
pub mod postgres;
pub mod redis;
pub mod rongcloud;
