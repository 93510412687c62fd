//! Pauses between two messages of one exchange (RFC 8415, 15).

use core::time::Duration;

use crate::backoff::Random;

/// The first pause and the longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    first: Duration,
    longest: Duration,
}

impl Pace {
    const fn new(first: u64, longest: u64) -> Self {
        Self { first: Duration::from_secs(first), longest: Duration::from_secs(longest) }
    }
}

/// The RFC lets hosts sleep for an hour when nobody answers; a machine that cannot boot without an
/// answer asks twice a minute.
pub(super) const SOLICIT: Pace = Pace::new(1, 30);
pub(super) const INFORM: Pace = Pace::new(1, 30);
pub(super) const REQUEST: Pace = Pace::new(1, 30);
pub(super) const DECLINE: Pace = Pace::new(1, 30);
/// For renewing and rebinding, as in the RFC.
pub(super) const EXTEND: Pace = Pace::new(10, 600);

/// How far an exchange is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pace: Pace,
    last: Option<Duration>,
    sent: u32,
}

impl Retry {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, last: None, sent: 0 }
    }

    /// Messages that were sent.
    pub(super) const fn sent(&self) -> u32 {
        self.sent
    }

    /// Counts a message, and says how long to wait for an answer: about as long as the first pause,
    /// then about twice as long as the last time, up to about the longest; about is a tenth more or
    /// less, at first only more.
    pub(super) fn next(&mut self, random: &mut Random) -> Duration {
        self.sent = self.sent.saturating_add(1);
        let base = self.last.map_or(self.pace.first, |last| (last * 2).min(self.pace.longest));
        let tenth = u64::try_from(base.as_millis() / 10).unwrap_or(0);
        let pause = match self.last {
            None => base + Duration::from_millis(random.next_u64() % (tenth + 1)),
            Some(_) => {
                let spread = Duration::from_millis(random.next_u64() % (2 * tenth + 1));
                base.saturating_sub(Duration::from_millis(tenth)) + spread
            }
        };
        self.last = Some(pause);
        pause
    }

    /// The last message did not go out: it does not count, and the pauses begin anew.
    pub(super) const fn unsent(&mut self) {
        self.sent = self.sent.saturating_sub(1);
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::EXTEND;
    use super::Retry;
    use super::SOLICIT;
    use crate::backoff::Random;

    proptest! {
        #[test]
        fn pauses_double_to_the_longest(seed in any::<u64>(), extend in any::<bool>()) {
            let pace = if extend { EXTEND } else { SOLICIT };
            let mut retry = Retry::new(pace);
            let mut random = Random::seeded(seed);
            let mut last = retry.next(&mut random);
            prop_assert!(last >= pace.first && last <= pace.first * 11 / 10);
            for _ in 0..20 {
                let next = retry.next(&mut random);
                prop_assert!(next <= pace.longest * 11 / 10);
                prop_assert!(next * 10 >= (last * 2).min(pace.longest) * 9);
                prop_assert!(next * 10 <= (last * 2).min(pace.longest) * 11);
                last = next;
            }
        }
    }
}
