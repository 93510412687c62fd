//! Which mirror failed over which interface, and for how long that counts.

use std::collections::HashMap;

use report::Class;
use report::Failure;

/// A mirror, by its position in the host configuration, over an interface.
type Key = (String, usize);

/// What is held against mirrors in this boot.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last: HashMap<Key, Failure>,
    latest: Option<Failure>,
}

impl Ledger {
    /// Notes a failure.
    pub(crate) fn note(&mut self, interface: &str, mirror: usize, failure: &Failure) {
        self.last.insert((interface.to_owned(), mirror), failure.clone());
        self.latest = Some(failure.clone());
    }

    /// Whether this mirror did not fail in this way last time.
    pub(crate) fn is_news(&self, interface: &str, mirror: usize, failure: &Failure) -> bool {
        let before = self.last.get(&(interface.to_owned(), mirror));
        before.is_none_or(|before| before.code != failure.code)
    }

    /// The failure that was noted last.
    pub(crate) const fn latest(&self) -> Option<&Failure> {
        self.latest.as_ref()
    }

    /// Whether this mirror is not asked again over this interface: its failure cannot heal, or it
    /// served what must not run.
    pub(crate) fn is_dropped(&self, interface: &str, mirror: usize) -> bool {
        self.last
            .get(&(interface.to_owned(), mirror))
            .is_some_and(|failure| failure.class != Class::Transient)
    }

    /// The failure that says most about why nothing could be booted over this interface: attacks
    /// before what cannot heal before what may heal; the first mirror's among equals.
    pub(crate) fn gravest(&self, interface: &str) -> Option<&Failure> {
        let mut failures: Vec<(&Key, &Failure)> =
            self.last.iter().filter(|((name, _), _)| name == interface).collect();
        failures.sort_by_key(|((_, mirror), failure)| (core::cmp::Reverse(failure.class), *mirror));
        failures.first().map(|(_, failure)| *failure)
    }

    /// The gravest failure that may still heal.
    pub(crate) fn last_transient(&self, interface: &str) -> Option<&Failure> {
        self.last
            .iter()
            .filter(|((name, _), failure)| name == interface && failure.class == Class::Transient)
            .min_by_key(|((_, mirror), _)| *mirror)
            .map(|(_, failure)| failure)
    }
}

#[cfg(test)]
mod tests {
    use report::Code;
    use report::Failure;

    use super::Ledger;

    fn failure(code: Code) -> Failure {
        Failure::new(code, "test")
    }

    #[test]
    fn a_mirror_is_dropped_for_what_cannot_heal_on_that_interface_only() {
        let mut ledger = Ledger::default();
        ledger.note("eth0", 0, &failure(Code::ConnectFailed));
        assert!(!ledger.is_dropped("eth0", 0));
        assert!(!ledger.is_news("eth0", 0, &failure(Code::ConnectFailed)));
        assert!(ledger.is_news("eth0", 0, &failure(Code::ServerError)));
        ledger.note("eth0", 0, &failure(Code::SignatureWrong));
        assert_eq!(ledger.latest().unwrap().code, Code::SignatureWrong);
        assert!(ledger.is_dropped("eth0", 0));
        assert!(!ledger.is_dropped("eth1", 0));
        assert!(!ledger.is_dropped("eth0", 1));
    }

    #[test]
    fn attacks_are_told_before_everything_else() {
        let mut ledger = Ledger::default();
        ledger.note("eth0", 0, &failure(Code::ConnectFailed));
        ledger.note("eth0", 1, &failure(Code::NotFound));
        ledger.note("eth0", 2, &failure(Code::SignatureWrong));
        ledger.note("eth1", 0, &failure(Code::TlsUntrusted));
        assert_eq!(ledger.gravest("eth0").unwrap().code, Code::SignatureWrong);
        assert_eq!(ledger.last_transient("eth0").unwrap().code, Code::ConnectFailed);
    }
}
