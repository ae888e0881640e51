//! This module computes the wait before the next attempt (pure). It doubles up to a limit, with jitter so that the relays of
//! many nodes do not retry at once.

use std::time::Duration;

/// The first wait is between half of this and all of it.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait that Elasticsearch did not request.
const LONGEST: Duration = Duration::from_secs(5);

/// `tries`: attempts made so far, at least one. `random` is in 0..1.
pub fn wait(tries: u32, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST);
    doubled.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_within_their_jitter() {
        for (tries, longest) in [(1, 200), (2, 400), (3, 800), (5, 3_200), (6, 5_000), (40, 5_000), (u32::MAX, 5_000)] {
            let longest = Duration::from_millis(longest);
            assert_eq!(wait(tries, 1.0), longest);
            assert_eq!(wait(tries, 0.0), longest / 2);
            assert!(wait(tries, 0.3) > longest / 2 && wait(tries, 0.3) < longest);
        }
    }
}
