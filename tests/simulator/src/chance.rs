//! Chance that comes from a seed.

use core::time::Duration;

use fastrand::Rng;

/// Any time between two, to the millisecond.
pub(crate) fn between(rng: &mut Rng, from: Duration, to: Duration) -> Duration {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.u64(millis(from)..=millis(to)))
}

/// Whole seconds between two.
pub(crate) fn seconds(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_secs(rng.u64(from..=to))
}

/// One of several.
pub(crate) fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> Option<&'a T> {
    if all.is_empty() { None } else { all.get(rng.usize(..all.len())) }
}

/// Whether something happens that happens so often, from 0 to 1.
pub(crate) fn happens(rng: &mut Rng, how_often: f64) -> bool {
    rng.f64() < how_often
}
