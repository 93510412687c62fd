//! How long to wait before the next try, and randomness for it.

use core::hash::BuildHasher;
use core::time::Duration;
use std::collections::hash_map::RandomState;

/// Random numbers for jitter and transaction ids (SplitMix64). Not for keys.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by the standard library's own hash keys. Those come from the kernel without waiting
    /// for its entropy pool: a machine that has just started must not stall here.
    pub(crate) fn from_system() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next_u64() >> 32).unwrap_or_default()
    }
}

/// The pause after the `tries`th try, counted from 1: 2, 4, 8 and then always 16 seconds, each one
/// second more or less. Never under a second, so that nothing can become a busy loop.
pub(crate) fn pause(tries: u32, random: &mut Random) -> Duration {
    let base = Duration::from_secs(1 << tries.clamp(1, 4));
    let jitter = Duration::from_millis(random.next_u64() % 2001);
    base.saturating_sub(Duration::from_secs(1)) + jitter
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::Random;
    use super::pause;

    proptest! {
        #[test]
        fn pauses_grow_and_stay_within_bounds(tries in any::<u32>(), seed in any::<u64>()) {
            let pause = pause(tries, &mut Random::seeded(seed));
            prop_assert!(pause >= Duration::from_secs(1));
            prop_assert!(pause <= Duration::from_secs(17));
            if tries >= 4 {
                prop_assert!(pause >= Duration::from_secs(15));
            }
        }
    }

    #[test]
    fn two_machines_do_not_march_in_step() {
        let mut one = Random::from_system();
        let mut other = Random::from_system();
        assert_ne!(one.next_u64(), other.next_u64());
    }
}
