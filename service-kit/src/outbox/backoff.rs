//! Pauses between attempts: doubled each time, up to a limit, and spread, so that what failed together does not
//! come back together.

use super::Options;
use std::time::Duration;

/// The pause after so many failures in a row.
pub(super) fn pause(options: &Options, failures: u32) -> Duration {
    let doubled = options.first_pause.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(options.longest_pause).mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_with_jitter() {
        let options = Options::default();
        for (failures, whole) in [(1, 1.0), (2, 2.0), (5, 16.0), (7, 60.0), (33, 60.0), (4000, 60.0)] {
            for _ in 0..50 {
                let p = pause(&options, failures).as_secs_f64();
                assert!((whole / 2.0..=whole).contains(&p), "{failures}: {p}");
            }
        }
        let mut some: Vec<_> = (0..20).map(|_| pause(&options, 7)).collect();
        some.dedup();
        assert!(some.len() > 10);
    }
}
