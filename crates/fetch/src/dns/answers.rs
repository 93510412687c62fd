//! Which addresses names had, for people; and in which order they are worth trying.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Most addresses of one name that are told: what a DNS server answers is not authenticated.
const MAX_TOLD: usize = 4;

/// Most names whose addresses are kept; a redirect may name any.
const MAX_NAMES: usize = 64;

/// Of which families the addresses of a link are, leaving out those that lead nowhere else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Families {
    /// It has an IPv4 address.
    pub v4: bool,
    /// It has an IPv6 address.
    pub v6: bool,
}

impl Families {
    /// Where it is not known: neither goes before the other.
    pub const BOTH: Self = Self { v4: true, v6: true };

    /// The families of these addresses. Those that are valid on their link alone do not count.
    #[must_use]
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut families = Self { v4: false, v6: false };
        for address in addresses {
            match address {
                IpAddr::V4(address) => families.v4 |= !address.is_link_local(),
                IpAddr::V6(address) => families.v6 |= !address.is_unicast_link_local(),
            }
        }
        families
    }

    const fn has(self, address: &IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }

    /// Puts addresses first that a machine with these families can have a route to. None is left out: the
    /// link may get the other family a moment later.
    pub(super) fn sort(self, addresses: &mut [IpAddr]) {
        addresses.sort_by_key(|address| !self.has(address));
    }
}

/// The last answer for each name. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>);

impl Answers {
    /// Keeps what a name has, nothing included; whether that is another answer than the last one.
    pub(super) fn keep(&self, host: &str, addresses: &[IpAddr]) -> bool {
        // Servers turn their list from answer to answer.
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_TOLD);
        let mut names = self.names();
        if names.get(host) == Some(&addresses) {
            return false;
        }
        if names.len() < MAX_NAMES || names.contains_key(host) {
            names.insert(host.to_owned(), addresses);
        }
        true
    }

    /// What the name had when it was last looked up, [`MAX_TOLD`] at most.
    pub(super) fn of(&self, host: &str) -> Vec<IpAddr> {
        self.names().get(host).cloned().unwrap_or_default()
    }

    /// Never dead-locks: nothing that panics or waits runs while it is held.
    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Vec<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses in a line for people.
pub(crate) fn in_words(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;
    use core::net::Ipv4Addr;

    use super::Answers;
    use super::Families;
    use super::MAX_NAMES;
    use super::MAX_TOLD;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_without_a_route_come_last_and_none_is_lost() {
        let both = [ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1")];
        let sorted = |families: Families| {
            let mut addresses = both;
            families.sort(&mut addresses);
            addresses
        };
        let v6 = Families::of([ip("2001:db8::7"), ip("fe80::1"), ip("169.254.1.1")]);
        assert_eq!(sorted(v6), [both[2], both[0], both[1]]);
        let v4 = Families::of([ip("192.0.2.7"), ip("fe80::1")]);
        assert_eq!(v4, Families { v4: true, v6: false });
        assert_eq!(sorted(v4), both);
        assert_eq!(sorted(Families::BOTH), both);
        assert_eq!(sorted(Families::of([])), both);
    }

    #[test]
    fn answers_are_bounded_and_told_once() {
        let many: Vec<IpAddr> = (1..=9).map(|n| Ipv4Addr::new(192, 0, 2, n).into()).collect();
        let answers = Answers::default();
        assert!(answers.keep("a.example", &many));
        assert_eq!(answers.of("a.example"), many[..MAX_TOLD]);
        let turned: Vec<IpAddr> = many.iter().rev().copied().collect();
        assert!(!answers.keep("a.example", &turned), "the same in another order");
        for n in 0..2 * MAX_NAMES {
            answers.keep(&format!("{n}.example"), &many);
        }
        assert_eq!(answers.names().len(), MAX_NAMES);
        assert!(answers.keep("a.example", &[]), "what is not there any more is not told");
        assert_eq!(answers.of("a.example"), [] as [IpAddr; 0]);
    }
}
