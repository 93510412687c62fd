//! Finds the smallest memory that does, with as few boots as possible: a refusal says how much is
//! missing, and that is tried next.

use std::collections::BTreeMap;

use anyhow::Result;
use anyhow::bail;

/// How finely it is searched for, in MiB.
pub(in crate::bench) const STEP: u32 = 8;

/// The first try, in MiB: a kernel comes up in it, a package does not.
const FIRST: u32 = 128;

/// No package that is measured needs more, in MiB.
const MOST: u32 = 4096;

/// What came of one try.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Tried<V> {
    pub(in crate::bench) boots: bool,
    /// MiB that were said to be missing.
    pub(in crate::bench) missing: Option<u64>,
    pub(in crate::bench) verdict: V,
}

/// What was found.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Found<V> {
    /// Least memory that boots, in MiB.
    pub(in crate::bench) least: u32,
    /// Everything that was tried, by memory.
    pub(in crate::bench) tried: BTreeMap<u32, V>,
}

impl<V> Found<V> {
    /// What came of one step less.
    pub(in crate::bench) fn below(&self) -> Option<&V> {
        self.tried.get(&(self.least - STEP))
    }
}

/// The least memory that boots, with what came of one step less known as well.
///
/// # Errors
///
/// A try could not be made, or none boots.
pub(in crate::bench) fn least<V>(
    mut try_with: impl FnMut(u32) -> Result<Tried<V>>,
) -> Result<Found<V>> {
    let mut tried = BTreeMap::new();
    // In steps: what is known to be too little, and what is known to do.
    let (mut too_little, mut enough) = (0, None);
    let mut next = FIRST / STEP;
    let mut hinted = false;
    loop {
        let result = try_with(next * STEP)?;
        tried.insert(next * STEP, result.verdict);
        if result.boots {
            enough = Some(next);
        } else {
            too_little = next;
        }
        next = match enough {
            Some(enough) if enough - too_little <= 1 => {
                return Ok(Found { least: enough * STEP, tried });
            }
            // What was asked for by name is likely to be exact.
            Some(enough) if result.boots && hinted => enough - 1,
            Some(enough) => {
                hinted = false;
                too_little + (enough - too_little) / 2
            }
            None => {
                let missing = result.missing.map(|missing| steps(missing).max(1));
                hinted = missing.is_some();
                too_little + missing.unwrap_or_else(|| (too_little / 4).max(1))
            }
        };
        if next > MOST / STEP {
            bail!("it does not boot with {} MiB", too_little * STEP);
        }
    }
}

/// Steps that make up at least this many MiB; absurd amounts are more than [`MOST`].
fn steps(mebibytes: u64) -> u32 {
    u32::try_from(mebibytes.div_ceil(u64::from(STEP))).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::FIRST;
    use super::Tried;
    use super::least;

    /// A machine that boots from `wanted` on, and says below `honest` what is missing of `claimed`.
    fn search(wanted: u32, honest: u32, claimed: u32) -> (u32, usize) {
        let found = least(|mebibytes| {
            let missing =
                (mebibytes < honest).then(|| u64::from(claimed.saturating_sub(mebibytes)));
            Ok(Tried { boots: mebibytes >= wanted, missing, verdict: mebibytes >= wanted })
        })
        .unwrap();
        assert!(!found.below().unwrap());
        (found.least, found.tried.len())
    }

    #[test]
    fn an_exact_claim_takes_three_tries() {
        assert_eq!(search(400, 400, 400), (400, 3));
    }

    #[test]
    fn claims_that_are_off_lead_there_as_well() {
        assert_eq!(search(400, 400, 300).0, 400);
        assert_eq!(search(400, 400, 600).0, 400);
        assert_eq!(search(1000, 400, 400).0, 1000);
        assert_eq!(search(1000, 0, 0).0, 1000);
        assert_eq!(search(FIRST, 0, 0).0, FIRST);
        assert_eq!(search(16, 0, 0).0, 16);
    }

    #[test]
    fn what_never_boots_is_an_error() {
        least(|_| Ok(Tried { boots: false, missing: Some(u64::MAX), verdict: () })).unwrap_err();
        least(|_| Ok(Tried { boots: false, missing: None, verdict: () })).unwrap_err();
    }
}
