//! What is known of one NIC, for the report and for the decision to go on.

use core::time::Duration;

use report::Class;
use report::Code;
use report::Failure;
use report::NicReport;
use tokio::time::Instant;

use crate::network::Nic;
use crate::plan::Link;
use crate::session::Status;

/// How long a NIC without carrier is waited for when all others have come to their end. Some NICs
/// and switches take half a minute to agree.
pub(crate) const CARRIER_PATIENCE: Duration = Duration::from_secs(45);

/// What is known of one NIC.
#[derive(Clone, Debug)]
pub(crate) struct NicState {
    nic: Nic,
    /// `dhcp`, `static` or `auto`.
    mode: &'static str,
    /// Since when there is no carrier; `None` while there is one.
    without_carrier: Option<Instant>,
    /// As of when there was an address last.
    link: Option<Link>,
    /// Whether there is an address now.
    has_link: bool,
    failure: Option<Failure>,
    /// Whether `failure` is a probe's.
    by_probe: bool,
    /// Probes that failed in a row since there was a carrier.
    probes: u32,
    /// Times that DHCP servers were asked in vain.
    rounds: u32,
    finished: bool,
}

impl NicState {
    pub(crate) const fn new(nic: Nic, mode: &'static str, now: Instant) -> Self {
        Self {
            nic,
            mode,
            without_carrier: Some(now),
            link: None,
            has_link: false,
            failure: None,
            by_probe: false,
            probes: 0,
            rounds: 0,
            finished: false,
        }
    }

    pub(crate) const fn index(&self) -> u32 {
        self.nic.index
    }

    pub(crate) fn name(&self) -> &str {
        &self.nic.name
    }

    pub(crate) const fn probes(&self) -> u32 {
        self.probes
    }

    /// Returns how long it took.
    pub(crate) fn carrier_found(&mut self, nic: &Nic, now: Instant) -> Duration {
        self.nic = nic.clone();
        self.without_carrier.take().map_or(Duration::ZERO, |since| now - since)
    }

    pub(crate) fn carrier_lost(&mut self, now: Instant) {
        self.without_carrier = Some(now);
        self.link = None;
        self.has_link = false;
        self.probes = 0;
        self.rounds = 0;
        self.finished = false;
    }

    /// How the search for addresses goes.
    pub(crate) fn news(&mut self, status: &Status) {
        self.rounds = status.rounds;
        self.has_link = status.link.is_some();
        if let Some(link) = &status.link {
            self.link = Some(link.clone());
        }
        if !self.by_probe {
            let silent = !self.has_link && status.rounds > 1;
            self.failure = status.failure.clone().or_else(|| silent.then(|| self.silence()));
        }
    }

    fn silence(&self) -> Failure {
        let asked = match self.rounds {
            0 => return self.no_lease("the search for an address had only just begun"),
            1 => "asked once".to_owned(),
            rounds => format!("asked {rounds} times"),
        };
        let who = if self.mode == "auto" { ", neither by DHCP nor of a router" } else { "" };
        self.no_lease(&format!("{asked}, no usable answer{who}"))
    }

    fn no_lease(&self, why: &str) -> Failure {
        Failure::new(Code::NoLease, format!("{}: {why}", self.nic.name))
    }

    /// Something other than a probe failed.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.by_probe = false;
    }

    pub(crate) fn probe_failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.by_probe = true;
        self.probes = self.probes.saturating_add(1);
    }

    /// Whether the last probe that failed waited for something that did not come.
    pub(crate) fn got_nothing(&self) -> bool {
        self.by_probe && self.failure.as_ref().is_some_and(|it| it.code == Code::Stalled)
    }

    /// Returns whether that is new.
    pub(crate) const fn finish(&mut self) -> bool {
        !core::mem::replace(&mut self.finished, true)
    }

    /// Returns whether it had finished.
    pub(crate) const fn resumed(&mut self) -> bool {
        let had_finished = core::mem::replace(&mut self.finished, false);
        if had_finished {
            self.probes = 0;
        }
        had_finished
    }

    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether nothing can be expected of this NIC soon.
    pub(crate) fn is_hopeless(&self, now: Instant) -> bool {
        self.finished || self.without_carrier.is_some_and(|since| now - since >= CARRIER_PATIENCE)
    }

    /// Why it does not serve, as of now.
    pub(crate) fn verdict(&self, now: Instant) -> Failure {
        let name = &self.nic.name;
        match (&self.failure, self.without_carrier) {
            (Some(failure), _) if self.by_probe => failure.clone(),
            (_, Some(since)) => {
                let seconds = (now - since).as_secs();
                Failure::new(Code::NoCarrier, format!("{name}: no carrier for {seconds} s"))
            }
            (Some(failure), None) => failure.clone(),
            (None, None) if !self.has_link && self.mode != "static" => self.silence(),
            (None, None) => Failure::new(
                Code::DeadlineReached,
                format!("{name}: no provisioning server had answered yet"),
            ),
        }
    }

    /// How near to success it came and how grave that is: the greatest is what is shown.
    pub(crate) fn gravity(&self, now: Instant) -> (bool, Class, Code) {
        let verdict = self.verdict(now);
        (self.by_probe, verdict.class, verdict.code)
    }

    /// The report; with a verdict if there is `at`, else with what was noted.
    pub(crate) fn report(&self, used: bool, at: Option<Instant>) -> NicReport {
        let failure = at.map(|now| self.verdict(now)).or_else(|| self.failure.clone());
        let link = self.link.as_ref();
        NicReport {
            interface: self.nic.name.clone(),
            mac: self.nic.mac_text(),
            carrier: self.without_carrier.is_none(),
            method: link.map_or(self.mode, |link| link.method.name()).to_owned(),
            addresses: texts(link.map(|link| &*link.addresses)),
            gateway: link.and_then(Link::gateway).map(|gateway| gateway.to_string()),
            routes: texts(link.map(|link| &*link.routes)),
            dns: texts(link.map(|link| &*link.dns)),
            search: texts(link.map(|link| &*link.search)),
            ntp: texts(link.map(|link| &*link.ntp)),
            mtu: Some(self.nic.mtu).filter(|mtu| *mtu > 0),
            pci_path: self.nic.pci_path.clone(),
            driver: self.nic.driver.clone(),
            dhcp_server: link.and_then(|link| link.dhcp_server).map(|server| server.to_string()),
            used,
            failure: failure.filter(|_| !used),
        }
    }
}

fn texts<T: ToString>(all: Option<&[T]>) -> Vec<String> {
    all.unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use report::Code;
    use report::Failure;
    use tokio::time::Instant;

    use super::CARRIER_PATIENCE;
    use super::NicState;
    use crate::network::Nic;
    use crate::session::Status;

    fn state(now: Instant) -> (NicState, Nic) {
        let nic = Nic { up: true, carrier: true, ..Nic::ethernet(2, "eth0", [2; 6]) };
        (NicState::new(nic.clone(), "dhcp", now), nic)
    }

    fn failure(code: Code) -> Failure {
        Failure::new(code, "test")
    }

    #[test]
    fn a_nic_without_carrier_is_given_some_time() {
        let now = Instant::now();
        let (mut state, nic) = state(now);
        assert!(!state.is_hopeless(now + CARRIER_PATIENCE - Duration::from_secs(1)));
        assert!(state.is_hopeless(now + CARRIER_PATIENCE));
        assert_eq!(state.verdict(now).code, Code::NoCarrier);
        state.carrier_found(&nic, now + Duration::from_secs(30));
        assert!(!state.is_hopeless(now + Duration::from_secs(500)), "it has a carrier now");
        assert_eq!(state.verdict(now).code, Code::NoLease);
    }

    #[test]
    fn silence_is_told_with_how_often_was_asked() {
        let now = Instant::now();
        let (mut state, nic) = state(now);
        state.carrier_found(&nic, now);
        for (rounds, said) in [
            (0, "eth0: the search for an address had only just begun"),
            (1, "eth0: asked once, no usable answer"),
            (2, "eth0: asked 2 times, no usable answer"),
        ] {
            state.news(&Status { rounds, ..Status::default() });
            assert_eq!(state.verdict(now).detail, said);
        }
    }

    #[test]
    fn what_a_probe_said_outranks_what_follows() {
        let now = Instant::now();
        let (mut state, nic) = state(now);
        state.carrier_found(&nic, now);
        state.probe_failed(failure(Code::TlsUntrusted));
        let failed = Some(failure(Code::NoLease));
        state.news(&Status { rounds: 9, failure: failed, ..Status::default() });
        assert_eq!(state.verdict(now).code, Code::TlsUntrusted);
        state.carrier_lost(now);
        assert_eq!(state.verdict(now).code, Code::TlsUntrusted);
    }

    #[test]
    fn the_gravest_is_a_probes_then_by_class() {
        let now = Instant::now();
        let of = |code: Code, by_probe: bool| {
            let (mut state, nic) = state(now);
            state.carrier_found(&nic, now);
            if by_probe {
                state.probe_failed(failure(code))
            } else {
                state.failed(failure(code))
            }
            state.gravity(now)
        };
        assert!(of(Code::BelowThreshold, true) > of(Code::NotFound, true));
        assert!(of(Code::NotFound, true) > of(Code::Stalled, true));
        assert!(of(Code::ConnectFailed, true) > of(Code::AddressSetup, false));
        assert!(of(Code::AddressSetup, false) > of(Code::NoLease, false));
    }

    #[test]
    fn a_new_carrier_is_a_new_chance() {
        let now = Instant::now();
        let (mut state, nic) = state(now);
        state.carrier_found(&nic, now);
        state.finish();
        assert!(state.is_hopeless(now));
        state.carrier_lost(now);
        assert!(!state.is_finished() && !state.is_hopeless(now));
    }
}
