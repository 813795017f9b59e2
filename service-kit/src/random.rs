//! Random names and secrets, from the operating system's generator; and chance.

use rand::Rng;
use std::time::Duration;

/// `bytes` random bytes as lower-case hex digits.
pub fn hex(bytes: usize) -> String {
    let mut raw = vec![0u8; bytes];
    rand::rng().fill_bytes(&mut raw);
    raw.iter().map(|b| format!("{b:02x}")).collect()
}

/// The time, or up to a quarter less: what was all copied in one burst must not all be looked up again in another.
pub fn shortened(time: Duration) -> Duration {
    time.mul_f64(rand::random_range(0.75..=1.0))
}
