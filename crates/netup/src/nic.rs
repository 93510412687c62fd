//! The life of one NIC: carrier, address, probe, and again.

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::Future;
use core::net::IpAddr;
use core::net::Ipv4Addr;
use std::sync::Arc;

use hostcfg::Addressing;
use report::Code;
use report::Failure;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Random;
use crate::backoff::pause;
use crate::configuration::Configuration;
use crate::dhcp;
use crate::dhcp::Lease;
use crate::dhcp::Session;
use crate::dhcp::Target;
use crate::network::Links;
use crate::network::Network;
use crate::network::Nic;
use crate::plan::Link;
use crate::plan::Method;
use crate::plan::Plan;
use crate::plan::ProbeError;
use crate::state::NicState;

/// After so many failures in a row that may heal, another DHCP server's offer is preferred.
const TIRED_AFTER: u32 = 3;
/// How often the kernel is asked to take a static address before that is taken for final.
const STATIC_TRIES: u32 = 3;
/// Most DNS servers of a link.
const MAX_DNS: usize = 8;

/// What all NICs share.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) links: Links,
    /// What the randomness of every task is derived from.
    pub(crate) random: RefCell<Random>,
    /// Told when a NIC has come to its end.
    pub(crate) finished: Notify,
}

impl Context<'_> {
    /// Randomness of its own for a task.
    pub(crate) fn random(&self) -> Random {
        Random::seeded(self.random.borrow_mut().next_u64())
    }
}

/// A NIC over which the probe succeeded.
#[derive(Debug)]
pub(crate) struct Won<T> {
    pub(crate) link: Link,
    pub(crate) answer: T,
    pub(crate) session: Option<Session>,
}

/// What came of probing a link.
enum Probed<T> {
    Answer(T),
    /// It will not get better over this link.
    Final,
    /// It failed several times in a row.
    Tired,
}

/// One NIC at work.
pub(crate) struct Life<'a, P> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) state: &'a RefCell<NicState>,
    pub(crate) index: u32,
    pub(crate) probe: &'a P,
}

impl<P> Life<'_, P> {
    /// Works until the probe succeeds; `None` if the NIC has gone away.
    pub(crate) async fn run<T, F>(&self) -> Option<Won<T>>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>>,
    {
        self.switch_on().await?;
        loop {
            let nic = self.carrier(true).await?;
            let waited = self.state.borrow_mut().carrier_found(&nic, Instant::now());
            tracing::info!("{}: carrier after {:.1} s", nic.name, waited.as_secs_f64());
            let gone = tokio::select! {
                biased;
                won = self.with_carrier(&nic) => return Some(won),
                without = self.carrier(false) => without.is_none(),
            };
            if gone {
                return None;
            }
            tracing::warn!("{}: carrier lost", nic.name);
            self.state.borrow_mut().carrier_lost(Instant::now());
            self.context.network.flush(self.index).await;
        }
    }

    /// Some drivers fail at first, for example until their firmware has been loaded.
    async fn switch_on(&self) -> Option<()> {
        let mut random = self.context.random();
        let mut tries = 0;
        loop {
            let nic = find(&self.context.links, self.index)?;
            if nic.up {
                break;
            }
            match self.context.network.up(self.index).await {
                Ok(()) => break,
                Err(error) => {
                    let detail = format!("{}: {error}", nic.name);
                    tracing::warn!("{detail}");
                    let failure = Failure::new(Code::AddressSetup, detail);
                    self.state.borrow_mut().failed(failure);
                }
            }
            tries += 1;
            tokio::time::sleep(pause(tries, &mut random)).await;
        }
        // What an earlier attempt or the kernel's own `ip=` may have left.
        self.context.network.flush(self.index).await;
        Some(())
    }

    /// Waits until there is a carrier, or none; `None` if the NIC has gone away.
    async fn carrier(&self, wanted: bool) -> Option<Nic> {
        let mut links = self.context.links.clone();
        loop {
            let nic = find(&links, self.index)?;
            if nic.carrier == wanted {
                return Some(nic);
            }
            links.changed().await.ok()?;
        }
    }

    async fn with_carrier<T, F>(&self, nic: &Nic) -> Won<T>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>>,
    {
        match &self.context.plan.addressing {
            Addressing::Static(own) => {
                self.with_static(nic, &Configuration::from_static(own, &[])).await
            }
            Addressing::Dhcp | Addressing::Auto => self.with_dhcp(nic).await,
        }
    }

    async fn with_static<T, F>(&self, nic: &Nic, configuration: &Configuration) -> Won<T>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>>,
    {
        let network = &self.context.network;
        let mut random = self.context.random();
        let mut tries = 0;
        while let Err(error) = network.apply(self.index, configuration).await {
            network.flush(self.index).await;
            let detail = format!("{}: {error}", nic.name);
            tracing::warn!("{detail}");
            self.state.borrow_mut().failed(Failure::new(Code::AddressSetup, detail));
            tries += 1;
            if tries == STATIC_TRIES {
                match self.finish().await {}
            }
            tokio::time::sleep(pause(tries, &mut random)).await;
        }
        let link = self.link(nic, Method::Static, configuration, &[], None);
        tracing::info!("{}: address {}, {}", nic.name, addresses(&link), gateway(&link));
        self.state.borrow_mut().configured(&link);
        loop {
            match self.probe_link(&link).await {
                Probed::Answer(answer) => return Won { link, answer, session: None },
                Probed::Final => match self.finish().await {},
                Probed::Tired => {}
            }
        }
    }

    async fn with_dhcp<T, F>(&self, nic: &Nic) -> Won<T>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>>,
    {
        // Over whose leases the probe failed for good.
        let mut hopeless: Vec<Ipv4Addr> = Vec::new();
        let mut avoid: Vec<Ipv4Addr> = Vec::new();
        loop {
            let Some(mac) = nic.mac else { match self.finish().await {} };
            let target = Target { index: self.index, name: nic.name.clone(), mac };
            let network = Arc::clone(&self.context.network);
            let mut session =
                Session::start(Arc::clone(&network), target, self.context.random(), avoid);
            loop {
                let lease = self.lease(&nic.name, &mut session.status).await;
                let configuration = dhcp::configuration(&lease);
                let link = self.link(nic, Method::Dhcp, &configuration, &lease.dns, Some(&lease));
                self.state.borrow_mut().configured(&link);
                let mut status = session.status.clone();
                let probed = tokio::select! {
                    biased;
                    probed = self.probe_link(&link) => probed,
                    () = lease_changed(&mut status, &configuration) => continue,
                };
                match probed {
                    Probed::Answer(answer) => {
                        return Won { link, answer, session: Some(session) };
                    }
                    Probed::Final => hopeless.push(lease.server),
                    Probed::Tired => {}
                }
                let is_other =
                    |server: &Ipv4Addr| *server != lease.server && !hopeless.contains(server);
                if session.status.borrow().servers.iter().any(is_other) {
                    tracing::info!(
                        "{}: trying another DHCP server than {}",
                        nic.name,
                        lease.server
                    );
                    avoid = hopeless.clone();
                    avoid.push(lease.server);
                    break;
                }
                if matches!(probed, Probed::Final) {
                    // Another network would be another chance.
                    tokio::select! {
                        biased;
                        never = self.finish() => match never {},
                        () = lease_changed(&mut status, &configuration) => {}
                    }
                    self.state.borrow_mut().resumed();
                    hopeless.clear();
                }
            }
            drop(session);
            network.flush(self.index).await;
        }
    }

    /// Waits for a lease, noting what happens meanwhile.
    async fn lease(&self, name: &str, status: &mut watch::Receiver<dhcp::Status>) -> Lease {
        loop {
            let now = status.borrow_and_update().clone();
            self.state.borrow_mut().asking(name, now.rounds, now.failure);
            if let Some(lease) = now.lease {
                return lease;
            }
            if status.changed().await.is_err() {
                // The session's task never ends by itself.
                core::future::pending::<()>().await;
            }
        }
    }

    /// Probes a link until it answers, is hopeless, or has failed several times in a row.
    async fn probe_link<T, F>(&self, link: &Link) -> Probed<T>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<T, ProbeError>>,
    {
        let mut random = self.context.random();
        for tries in 1..=TIRED_AFTER {
            match (self.probe)(link.clone()).await {
                Ok(answer) => return Probed::Answer(answer),
                Err(ProbeError::Final(failure)) => {
                    tracing::debug!("{}: {failure}", link.interface);
                    self.state.borrow_mut().probe_failed(failure);
                    return Probed::Final;
                }
                Err(ProbeError::Transient(failure)) => {
                    tracing::debug!("{}: try {tries}: {failure}", link.interface);
                    self.state.borrow_mut().probe_failed(failure);
                }
            }
            let rounds = self.state.borrow().probes();
            tokio::time::sleep(pause(rounds, &mut random)).await;
        }
        Probed::Tired
    }

    /// Says that nothing more can be hoped for, and waits for the others.
    async fn finish(&self) -> Infallible {
        self.state.borrow_mut().finish();
        self.context.finished.notify_one();
        core::future::pending().await
    }

    fn link(
        &self,
        nic: &Nic,
        method: Method,
        configuration: &Configuration,
        dns: &[Ipv4Addr],
        lease: Option<&Lease>,
    ) -> Link {
        let own: Vec<IpAddr> = dns.iter().copied().map(IpAddr::V4).collect();
        let dns = if self.context.plan.dns.is_empty() { &own } else { &self.context.plan.dns };
        Link {
            interface: nic.name.clone(),
            index: self.index,
            mac: nic.mac_text(),
            method,
            addresses: configuration.addresses.clone(),
            gateway: configuration.default_gateways().first().copied(),
            dns: dns.iter().copied().take(MAX_DNS).collect(),
            dhcp_server: lease.map(|lease| lease.server),
            lease_seconds: lease.map(|lease| lease.seconds),
        }
    }
}

fn find(links: &Links, index: u32) -> Option<Nic> {
    links.borrow().iter().find(|nic| nic.index == index).cloned()
}

/// Waits until the lease is gone or means something else.
async fn lease_changed(status: &mut watch::Receiver<dhcp::Status>, before: &Configuration) {
    let other = |status: &dhcp::Status| {
        status.lease.as_ref().map(dhcp::configuration).as_ref() != Some(before)
    };
    if status.wait_for(other).await.is_err() {
        core::future::pending::<()>().await;
    }
}

/// The addresses of a link as text.
pub(crate) fn addresses(link: &Link) -> String {
    link.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn gateway(link: &Link) -> String {
    link.gateway.map_or_else(|| "no gateway".to_owned(), |gateway| format!("gateway {gateway}"))
}
