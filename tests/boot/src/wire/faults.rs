//! What a cable does to the frames that it carries.

use std::time::Duration;

use super::frame::Kind;

/// What happens to DHCP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DhcpFault {
    /// Nothing.
    #[default]
    None,
    /// All of it is dropped.
    Silent,
    /// All of it is dropped until this long after the guest's first message. Counted from there,
    /// because how long a guest boots before it asks differs from host to host.
    SilentFor(Duration),
}

/// Faults of a cable. The default is a good cable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Nothing comes through: a port in a dead VLAN. The guest has a carrier all the same.
    pub drop_all: bool,
    /// What happens to DHCP.
    pub dhcp: DhcpFault,
    /// Address resolution is dropped: there is a lease, but nobody can be reached.
    pub drop_arp: bool,
    /// So many frames in a thousand get lost, at random from a fixed seed.
    pub lost_per_mille: u16,
    /// How long each frame takes, one way.
    pub delay: Duration,
}

/// Judges frames one after the other.
#[derive(Debug)]
pub(super) struct Verdicts {
    faults: Faults,
    first_dhcp: Option<Duration>,
    random: u32,
}

impl Verdicts {
    pub(super) const fn new(faults: Faults) -> Self {
        Self { faults, first_dhcp: None, random: 0x2545_f491 }
    }

    /// `None` to drop the frame that came `at` this time, or how long it is to take.
    pub(super) fn judge(&mut self, at: Duration, kind: Kind) -> Option<Duration> {
        let faults = self.faults;
        let dropped = faults.drop_all
            || match kind {
                Kind::Arp => faults.drop_arp,
                Kind::Dhcp(_) => self.silent(at),
                Kind::Other => false,
            }
            || self.lost();
        (!dropped).then_some(faults.delay)
    }

    fn silent(&mut self, at: Duration) -> bool {
        let first = *self.first_dhcp.get_or_insert(at);
        match self.faults.dhcp {
            DhcpFault::None => false,
            DhcpFault::Silent => true,
            DhcpFault::SilentFor(time) => at.saturating_sub(first) < time,
        }
    }

    fn lost(&mut self) -> bool {
        if self.faults.lost_per_mille == 0 {
            return false;
        }
        // Xorshift: the same frames get lost on every run, as far as the guest sends the same.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random % 1000 < u32::from(self.faults.lost_per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Message;
    use super::*;

    const DISCOVER: Kind = Kind::Dhcp(Message::Discover);

    fn judge_all(faults: Faults, frames: &[(u64, Kind)]) -> Vec<bool> {
        let mut verdicts = Verdicts::new(faults);
        let seconds = Duration::from_secs;
        frames.iter().map(|(at, kind)| verdicts.judge(seconds(*at), *kind).is_some()).collect()
    }

    #[test]
    fn silence_is_counted_from_the_first_message() {
        let faults =
            Faults { dhcp: DhcpFault::SilentFor(Duration::from_secs(40)), ..Faults::default() };
        let frames = [(100, DISCOVER), (101, Kind::Arp), (139, DISCOVER), (140, DISCOVER)];
        assert_eq!(judge_all(faults, &frames), [false, true, false, true]);
    }

    #[test]
    fn a_dead_cable_drops_everything() {
        let faults = Faults { drop_all: true, ..Faults::default() };
        let frames = [(0, DISCOVER), (1, Kind::Arp), (2, Kind::Other)];
        assert_eq!(judge_all(faults, &frames), [false; 3]);
    }

    #[test]
    fn about_the_share_that_was_asked_for_gets_lost() {
        let faults = Faults { lost_per_mille: 100, ..Faults::default() };
        let passed = judge_all(faults, &[(0, Kind::Other); 10_000]);
        let lost = passed.iter().filter(|passed| !**passed).count();
        assert!((800..1200).contains(&lost), "{lost} of 10000");
    }
}
