//! What one search for a link teaches the next one.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::dhcp6::Duid;
use crate::session::Status;

/// Most NICs that anything is remembered of.
const MAX_NICS: usize = 64;

/// Who led nowhere, so that a search that begins anew does not begin with the same again: a link that
/// serves badly may win time after time, and the others must get on meanwhile.
///
/// Clones share what they know. Two are always equal: what was learnt makes no plan another one.
#[derive(Clone, Debug, Default)]
pub struct Lessons(Arc<Mutex<BTreeMap<u32, Lesson>>>);

impl PartialEq for Lessons {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lessons {}

impl Lessons {
    /// What is known of the NIC with this kernel index.
    pub(crate) fn of(&self, nic: u32) -> Lesson {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&nic).cloned().unwrap_or_default()
    }

    /// Adds to it.
    pub(crate) fn learn(&self, nic: u32, change: impl FnOnce(&mut Lesson)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_NICS || known.contains_key(&nic) {
            change(known.entry(nic).or_default());
        }
    }
}

/// What is known of one NIC.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lesson {
    /// How often the next router of IPv6 was taken.
    pub(crate) routers: u32,
    /// Whether long packets may be swallowed.
    pub(crate) narrow: bool,
    /// DHCP servers over whose leases a probe failed.
    pub(crate) v4: Useless<Ipv4Addr>,
    /// The same of DHCPv6.
    pub(crate) v6: Useless<Duid>,
}

impl Lesson {
    /// A probe failed while things were so.
    pub(crate) fn note(&mut self, status: &Status) {
        if let Some(server) = status.link.as_ref().and_then(|link| link.dhcp_server) {
            self.v4.failed(&server);
        }
        if let Some(server) = &status.v6_server {
            self.v6.failed(server);
        }
    }

    /// Probes have failed several times in a row, or for good: which servers' leases are to be given
    /// up. `v4` gave the one that they were over; `status` is as of now.
    pub(crate) fn given_up(
        &mut self,
        v4: Option<Ipv4Addr>,
        status: &Status,
        for_good: bool,
    ) -> Again {
        let v4 = v4.is_some_and(|server| self.v4.given_up(&server, for_good, &status.servers));
        let v6 = status.v6_server.as_ref();
        let v6 = v6.is_some_and(|server| self.v6.given_up(server, for_good, &status.v6_servers));
        Again { v4, v6 }
    }

    /// What seemed hopeless may be so no more.
    pub(crate) fn forgive(&mut self) {
        self.v4.hopeless.clear();
        self.v6.hopeless.clear();
    }
}

/// Which leases are to be asked for again, of other servers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Again {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

impl Again {
    /// Than whom, as the end of a sentence.
    pub(crate) fn describe(self, v4: Option<Ipv4Addr>) -> String {
        match v4.filter(|_| self.v4) {
            Some(server) if self.v6 => format!(" than {server}, and another one of DHCPv6"),
            Some(server) => format!(" than {server}"),
            None => " of IPv6".to_owned(),
        }
    }
}

/// Most servers that are remembered.
const MAX_SERVERS: usize = 8;

/// Servers whose leases led nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Useless<S> {
    /// For good.
    hopeless: Vec<S>,
    /// Until one of them had to be taken again: then it begins anew with that one.
    tiring: Vec<S>,
}

impl<S> Default for Useless<S> {
    fn default() -> Self {
        Self { hopeless: Vec::new(), tiring: Vec::new() }
    }
}

impl<S: Clone + PartialEq> Useless<S> {
    /// Whom others are to be preferred to.
    pub(crate) fn avoided(&self) -> Vec<S> {
        let mut all = self.hopeless.clone();
        all.extend(self.tiring.iter().filter(|server| !self.hopeless.contains(server)).cloned());
        all
    }

    /// A probe over a lease of this server failed. The same again and again counts once.
    pub(crate) fn failed(&mut self, server: &S) {
        if self.tiring.last() == Some(server) {
            return;
        }
        if self.tiring.contains(server) || self.tiring.len() >= MAX_SERVERS {
            self.tiring.clear();
        }
        self.tiring.push(server.clone());
    }

    /// Probes over a lease of this server have failed several times in a row, or for good. Returns
    /// whether others are to be asked for: who leads nowhere may have been quicker than everybody
    /// else, or the first to be there. Once if it is for good, unless somebody else in `known`
    /// has made an offer; else each time.
    pub(crate) fn given_up(&mut self, server: &S, for_good: bool, known: &[S]) -> bool {
        let new = !self.hopeless.contains(server);
        let is_other = |other: &S| other != server && !self.hopeless.contains(other);
        let ask_others = !for_good || new || known.iter().any(is_other);
        if for_good && new && self.hopeless.len() < MAX_SERVERS {
            self.hopeless.push(server.clone());
        }
        if ask_others {
            self.failed(server);
        }
        ask_others
    }
}

#[cfg(test)]
mod tests {
    use super::Lessons;
    use super::Useless;

    #[test]
    fn servers_are_avoided_until_there_is_nobody_else() {
        let mut useless = Useless::default();
        for server in [1, 1, 2, 1, 1] {
            useless.failed(&server);
        }
        assert_eq!(useless.avoided(), [1], "the second time round it begins anew");
        useless.failed(&2);
        assert_eq!(useless.avoided(), [1, 2]);
        for server in 0..100 {
            useless.failed(&server);
        }
        assert!(useless.avoided().len() <= 8);
    }

    #[test]
    fn who_fails_for_good_is_given_up_once() {
        let mut useless = Useless::default();
        assert!(useless.given_up(&1, true, &[1]));
        assert!(!useless.given_up(&1, true, &[1]), "there is nobody else");
        assert!(useless.given_up(&1, true, &[1, 2]));
        assert!(useless.given_up(&2, true, &[1, 2]));
        assert!(!useless.given_up(&1, true, &[1, 2]), "both are known to be no good");
        assert!(useless.given_up(&1, false, &[1, 2]), "it may heal");
        useless.hopeless.clear();
        assert!(useless.given_up(&1, true, &[1]));
    }

    #[test]
    fn clones_learn_from_each_other_and_nics_do_not() {
        let lessons = Lessons::default();
        let clone = lessons.clone();
        clone.learn(2, |lesson| lesson.routers += 1);
        assert_eq!((lessons.of(2).routers, lessons.of(3).routers), (1, 0));
    }
}
