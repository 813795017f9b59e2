//! A gateway, services and a client, all over real sockets.

mod client;
mod gate;
mod toy;

pub use client::{Client, get, post, request};
pub use gate::Gate;
pub use toy::{Reply, Toy};

use std::time::{Duration, Instant};

pub const A: &str = "/tu_rc_get_urt_from_hp.action";
pub const B: &str = "/auth/user_token";
pub const C: &str = "/im/11/group_join/";
pub const D: &str = "/2013-12-26/Application/20150314/IM/getFriends";

pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "never: {what}");
        tokio::time::sleep(millis(5)).await;
    }
}
