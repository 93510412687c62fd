//! Randomness for jitter.

use core::hash::BuildHasher;
use core::time::Duration;
use std::collections::hash_map::RandomState;

/// A number below `bound`, not for keys.
pub(crate) fn below(bound: u64) -> u64 {
    RandomState::new().hash_one(0_u8).checked_rem(bound).unwrap_or(0)
}

/// Half to one and a half times `duration`: machines and services must not march in step.
pub(crate) fn jitter(duration: Duration) -> Duration {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis / 2 + below(millis.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::jitter;

    #[test]
    fn jitter_stays_around_the_middle() {
        for _ in 0..200 {
            let some = jitter(Duration::from_secs(4));
            assert!((Duration::from_secs(2)..=Duration::from_secs(6)).contains(&some), "{some:?}");
        }
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }
}
