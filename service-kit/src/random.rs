//! Random names and secrets, from the operating system's generator.

use rand::Rng;

/// `bytes` random bytes as lower-case hex digits.
pub fn hex(bytes: usize) -> String {
    let mut raw = vec![0u8; bytes];
    rand::rng().fill_bytes(&mut raw);
    raw.iter().map(|b| format!("{b:02x}")).collect()
}
