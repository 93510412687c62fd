//! The task that puts together what all sources say, and applies it.

use core::future::pending;
use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use hostcfg::Addressing;
use hostcfg::Cidr;
use hostcfg::Mac;
use report::Code;
use report::Failure;
use tokio::sync::watch;
use tokio::time::Instant;

use super::LEAST_MTU;
use super::Orders;
use super::Status;
use super::facts::Facts;
use super::facts::Share;
use super::shares;
use super::waiting::news;
use super::waiting::news_of_any;
use crate::acd;
use crate::backoff::Random;
use crate::backoff::pause;
use crate::configuration::Configuration;
use crate::dhcp;
use crate::dhcp::Target;
use crate::dhcp6;
use crate::network::AddressState;
use crate::network::Links;
use crate::network::Network;
use crate::network::NetworkError;
use crate::network::Nic;
use crate::plan::Method;
use crate::plan::Plan;
use crate::slaac;
use crate::task::sleep_until_instant;

/// How often the kernel is asked to take a static configuration before that is taken for final.
const STATIC_TRIES: u32 = 3;
/// How long to wait before an address that somebody else has is tried again.
const AFTER_DUPLICATE: Duration = Duration::from_secs(10);
/// The same if that is another NIC of this machine.
const AFTER_OWN: Duration = Duration::from_millis(100);
/// Most DHCP servers that are avoided.
const MAX_AVOIDED: usize = 8;

/// Puts together what all sources say of one interface, and applies it.
pub(super) struct Manager {
    network: Arc<dyn Network>,
    plan: Arc<Plan>,
    /// As of when the carrier was found.
    nic: Nic,
    links: Links,
    random: Random,
    sender: watch::Sender<Status>,
    received: watch::Receiver<Orders>,
    /// The orders that were carried out.
    orders: Orders,
    /// DHCP servers whose leases the kernel refused.
    refused: Vec<Ipv4Addr>,
    v4: Option<dhcp::Session>,
    routers: Option<slaac::Session>,
    v6: Option<(dhcp6::Mode, dhcp6::Session)>,
    /// The checks of static IPv4 addresses.
    checks: Vec<(Cidr, acd::Session)>,
    /// Static addresses that somebody else has, and when to try again.
    duplicates: BTreeMap<Cidr, Instant>,
    /// Addresses that their sources were told to be somebody else's.
    reported: BTreeSet<Cidr>,
    applied: Option<Configuration>,
    /// What the kernel refused as a whole, so that it is not asked over and over again.
    refusal: Option<(Configuration, Instant)>,
    refusal_failure: Option<Failure>,
    conflict: Option<Failure>,
    /// How often in a row nothing was taken.
    tries: u32,
    stuck: bool,
}

impl Manager {
    pub(super) fn new(
        network: Arc<dyn Network>,
        plan: Arc<Plan>,
        nic: Nic,
        random: Random,
        sender: watch::Sender<Status>,
        received: watch::Receiver<Orders>,
    ) -> Self {
        let links = network.links();
        let orders = received.borrow().clone();
        Self {
            network,
            plan,
            nic,
            links,
            random,
            sender,
            received,
            orders,
            refused: Vec::new(),
            v4: None,
            routers: None,
            v6: None,
            checks: Vec::new(),
            duplicates: BTreeMap::new(),
            reported: BTreeSet::new(),
            applied: None,
            refusal: None,
            refusal_failure: None,
            conflict: None,
            tries: 0,
            stuck: false,
        }
    }

    pub(super) async fn run(mut self) {
        self.start_sources();
        if self.stuck {
            self.publish(&Facts::default());
            pending::<()>().await;
        }
        loop {
            self.look_for_duplicates();
            self.follow_routers();
            let mut facts = self.facts();
            self.apply(&mut facts).await;
            self.publish(&facts);
            self.changed().await;
        }
    }

    fn start_sources(&mut self) {
        match &self.plan.addressing {
            Addressing::Dhcp => self.start_dhcp(Duration::ZERO),
            Addressing::Auto => {
                self.start_dhcp(Duration::ZERO);
                self.start_routers();
            }
            Addressing::Static(own) => {
                let configuration = Configuration::from_static(own, &self.plan.routes);
                if let Some(detail) = configuration.contradiction() {
                    let detail = format!("{}: {detail}", self.nic.name);
                    tracing::warn!("{detail}");
                    self.refusal_failure = Some(Failure::new(Code::AddressSetup, detail));
                    self.stuck = true;
                }
                let own: Vec<Cidr> = own.addresses.clone();
                let macs = self.own_macs();
                for address in own {
                    let IpAddr::V4(v4) = address.address() else { continue };
                    let Some(target) = self.target() else { continue };
                    let (network, random) = (Arc::clone(&self.network), self.random());
                    let check = acd::Session::start(network, target, v4, macs.clone(), random);
                    self.checks.push((address, check));
                }
            }
        }
    }

    fn start_dhcp(&mut self, delay: Duration) {
        let Some(target) = self.target() else { return };
        let mut avoid = self.orders.avoid.clone();
        avoid.extend(&self.refused);
        avoid.truncate(MAX_AVOIDED);
        let (network, random) = (Arc::clone(&self.network), self.random());
        self.v4 = Some(dhcp::Session::start(network, target, random, avoid, delay));
    }

    /// Looks for another way, as it was told to.
    fn obey(&mut self) {
        let before =
            core::mem::replace(&mut self.orders, self.received.borrow_and_update().clone());
        if before.leases != self.orders.leases {
            self.start_dhcp(Duration::ZERO);
        }
        if before.leases_v6 != self.orders.leases_v6 {
            // It is started again where routers are followed.
            self.v6 = None;
        }
    }

    fn start_routers(&mut self) {
        let Some(target) = self.target() else { return };
        let (network, random) = (Arc::clone(&self.network), self.random());
        self.routers = Some(slaac::Session::start(network, target, random));
    }

    /// Asks DHCPv6 servers for what routers say is to be had of them.
    fn follow_routers(&mut self) {
        let Some(routers) = &self.routers else { return };
        let mode = match &routers.status.borrow().settings {
            slaac::Settings { managed: true, .. } => dhcp6::Mode::Stateful,
            slaac::Settings { other: true, .. } => dhcp6::Mode::Stateless,
            _ => return,
        };
        if self.v6.as_ref().is_some_and(|(running, _)| *running == mode) {
            return;
        }
        let Some(target) = self.target() else { return };
        let (network, random) = (Arc::clone(&self.network), self.random());
        // Two of them would take each other's answers.
        self.v6 = None;
        let avoid = self.orders.avoid_v6.clone();
        let session = dhcp6::Session::start(network, target, mode, random, avoid);
        self.v6 = Some((mode, session));
    }

    /// `None` if it is no Ethernet interface.
    fn target(&self) -> Option<Target> {
        let Nic { index, name, mac, .. } = &self.nic;
        Some(Target { index: *index, name: name.clone(), mac: (*mac)? })
    }

    fn random(&mut self) -> Random {
        Random::seeded(self.random.next_u64())
    }

    /// The hardware addresses of this machine's other NICs.
    fn own_macs(&self) -> Vec<[u8; 6]> {
        let links = self.links.borrow();
        let others = links.iter().filter(|nic| nic.index != self.nic.index);
        others.filter_map(|nic| nic.mac).filter(|mac| Some(*mac) != self.nic.mac).collect()
    }

    /// Everything that the sources say now, and that may be used.
    fn facts(&mut self) -> Facts {
        let mut facts = Facts::default();
        if let Some(v4) = &mut self.v4
            && let Some(lease) = &v4.status.borrow_and_update().lease
        {
            facts.dhcp_server = Some(lease.server);
            facts.lease_seconds = Some(lease.seconds);
            facts.add(Method::Dhcp, shares::of_lease(lease));
        }
        if let Some((_, v6)) = &mut self.v6
            && let Some(lease) = &v6.status.borrow_and_update().lease
        {
            facts.lease_seconds.get_or_insert(lease.seconds);
            facts.add(Method::Dhcp6, shares::of_v6_lease(lease));
        }
        if let Some(routers) = &mut self.routers {
            let settings = &routers.status.borrow_and_update().settings;
            facts.add(Method::Slaac, shares::of_routers(settings, self.orders.routers));
        }
        if let Addressing::Static(own) = &self.plan.addressing {
            let configuration = Configuration::from_static(own, &self.plan.routes);
            facts.add(Method::Static, Share { configuration, ..Share::default() });
            let mut not_yet: Vec<Cidr> = self.duplicates.keys().copied().collect();
            for (address, check) in &mut self.checks {
                let status = *check.status.borrow_and_update();
                if status != acd::Status::Free {
                    not_yet.push(*address);
                }
                if let acd::Status::Conflict(mac) = status {
                    self.conflict = Some(conflict(&self.nic.name, address, Some(mac)));
                }
            }
            facts.retain(|address| !not_yet.contains(address));
        }
        if let Some(mtu) = self.plan.mtu {
            facts.configuration.mtu = Some(mtu.into());
        }
        if self.orders.narrow {
            let mtu = facts.configuration.mtu;
            facts.configuration.mtu = Some(mtu.map_or(LEAST_MTU, |mtu| mtu.min(LEAST_MTU)));
        }
        facts.prune(&self.nic);
        facts
    }

    /// Finds out which addresses the kernel has found to be somebody else's.
    fn look_for_duplicates(&mut self) {
        let now = Instant::now();
        self.duplicates.retain(|_, again_at| now < *again_at);
        let links = Arc::clone(&self.links.borrow_and_update());
        let Some(nic) = links.iter().find(|nic| nic.index == self.nic.index) else { return };
        let applied = self.applied.iter().flat_map(|applied| &applied.addresses);
        self.reported.retain(|address| nic.address_state(*address).is_some());
        for address in applied {
            if nic.address_state(*address) != Some(AddressState::Duplicate) {
                continue;
            }
            if let (Some(routers), IpAddr::V6(v6)) = (&self.routers, address.address()) {
                if self.reported.insert(*address) {
                    // Each knows its own.
                    routers.duplicate(v6);
                    if let Some((_, session)) = &self.v6 {
                        session.duplicate(v6);
                    }
                }
                continue;
            }
            let elsewhere = links.iter().filter(|other| other.index != nic.index).any(|other| {
                other.addresses.iter().any(|own| own.address.address() == address.address())
            });
            // Our own other NIC has answered: next time it is not asked.
            let pause = if elsewhere { AFTER_OWN } else { AFTER_DUPLICATE };
            if self.duplicates.insert(*address, now + pause).is_none() && !elsewhere {
                let failure = conflict(&nic.name, address, None);
                tracing::warn!("{failure}");
                self.conflict = Some(failure);
            }
        }
    }

    /// Brings it to the kernel, and leaves out what that refuses.
    async fn apply(&mut self, facts: &mut Facts) {
        let wanted = facts.configuration.clone();
        self.refusal.take_if(|(refused, _)| *refused != wanted);
        let refused = self.refusal.as_ref().is_some_and(|(_, again_at)| Instant::now() < *again_at);
        if self.applied.as_ref() == Some(&wanted) {
            self.refusal = None;
        } else if !refused {
            match self.network.apply(self.nic.index, &wanted).await {
                Ok(()) => {
                    // That nothing at all is taken does not mean that what was refused is good.
                    if !wanted.addresses.is_empty() {
                        self.tries = 0;
                        self.refusal_failure = None;
                    }
                    self.applied = Some(wanted);
                    self.refusal = None;
                }
                Err(error) => self.apply_parts(wanted, error).await,
            }
        }
        let applied = self.applied.as_ref();
        facts.retain(|address| applied.is_some_and(|applied| applied.addresses.contains(address)));
    }

    /// What one family brings must not keep the other one from working.
    async fn apply_parts(&mut self, wanted: Configuration, mut error: NetworkError) {
        let mut kept = Configuration::default();
        for v4 in [true, false] {
            let part = wanted.family(v4);
            if part.addresses.is_empty() {
                continue;
            }
            let mut attempt = kept.clone();
            attempt.addresses.extend(part.addresses);
            attempt.routes.extend(part.routes);
            attempt.mtu = part.mtu;
            // The error is known already if there is nothing else.
            let whole = attempt == wanted;
            let result = if whole {
                Err(error.clone())
            } else {
                self.network.apply(self.nic.index, &attempt).await
            };
            match result {
                Ok(()) => kept = attempt,
                Err(refusal) => {
                    error = refusal;
                    self.is_refused(v4, &error);
                }
            }
        }
        if kept.addresses.is_empty() {
            self.network.flush(self.nic.index).await;
            self.tries += 1;
            let fixed = matches!(self.plan.addressing, Addressing::Static(_));
            self.stuck = fixed && self.tries >= STATIC_TRIES;
        } else if let Err(error) = self.network.apply(self.nic.index, &kept).await {
            tracing::debug!("{}: {error}", self.nic.name);
        }
        self.applied = Some(kept);
        let again_at = Instant::now() + pause(self.tries.max(1), &mut self.random);
        self.refusal = Some((wanted, again_at));
    }

    fn is_refused(&mut self, v4: bool, error: &NetworkError) {
        let name = &self.nic.name;
        let lease = self.v4.as_ref().and_then(|v4| v4.status.borrow().lease.clone());
        let detail = match lease.filter(|_| v4) {
            Some(lease) => {
                if !self.refused.contains(&lease.server) && self.refused.len() < MAX_AVOIDED {
                    self.refused.push(lease.server);
                }
                format!("{name}: the lease of {}: {error}", lease.server)
            }
            None => format!("{name}: {error}"),
        };
        tracing::warn!("{detail}");
        self.refusal_failure = Some(Failure::new(Code::AddressSetup, detail));
        if v4 && self.v4.is_some() {
            // The kernel does not take what this server gives: another one may give something else.
            let delay = pause(4, &mut self.random);
            self.start_dhcp(delay);
        }
    }

    fn publish(&mut self, facts: &Facts) {
        let links = Arc::clone(&self.links.borrow());
        let nic = links.iter().find(|nic| nic.index == self.nic.index).unwrap_or(&self.nic);
        let link = facts.link(nic, &self.plan);
        if let Addressing::Static(own) = &self.plan.addressing
            && link.as_ref().is_some_and(|link| link.addresses.len() == own.addresses.len())
        {
            self.conflict = None;
        }
        let mut status =
            Status { link, orders: self.orders.count(), stuck: self.stuck, ..Status::default() };
        let mut failure = self.refusal_failure.clone().or_else(|| self.conflict.clone());
        if let Some(v4) = &self.v4 {
            let v4 = v4.status.borrow();
            status.rounds = v4.rounds;
            status.servers.clone_from(&v4.servers);
            failure = failure.or_else(|| v4.failure.clone());
        }
        if let Some(routers) = &self.routers {
            let routers = routers.status.borrow();
            status.rounds = status.rounds.max(routers.solicitations);
            status.routers = routers.settings.routers.len();
            failure = failure.or_else(|| routers.failure.clone());
        }
        if let Some((_, v6)) = &self.v6 {
            let v6 = v6.status.borrow();
            status.rounds = status.rounds.max(v6.rounds);
            status.v6_server = v6.lease.as_ref().map(|lease| lease.server.clone());
            status.v6_servers.clone_from(&v6.servers);
            failure = failure.or_else(|| v6.failure.clone());
        }
        status.failure = failure;
        self.sender.send_if_modified(|known| {
            let changed = *known != status;
            if changed {
                *known = status;
            }
            changed
        });
    }

    /// Waits until there may be something to do.
    async fn changed(&mut self) {
        let again = self.refusal.as_ref().map(|(_, again_at)| *again_at);
        let again = self.duplicates.values().copied().chain(again).min();
        let mut checks: Vec<_> =
            self.checks.iter_mut().map(|(_, check)| &mut check.status).collect();
        tokio::select! {
            biased;
            () = news(self.v4.as_mut().map(|v4| &mut v4.status)) => {}
            () = news(self.routers.as_mut().map(|routers| &mut routers.status)) => {}
            () = news(self.v6.as_mut().map(|(_, v6)| &mut v6.status)) => {}
            () = news_of_any(&mut checks) => {}
            () = news(Some(&mut self.links)) => {}
            () = sleep_until_instant(again) => {}
            () = news(Some(&mut self.received)) => self.obey(),
        }
    }
}

fn conflict(name: &str, address: &Cidr, mac: Option<[u8; 6]>) -> Failure {
    let who = mac.map_or_else(String::new, |mac| format!(" ({})", Mac::ethernet(mac)));
    let detail = format!("{name}: another machine{who} has the address {address}");
    Failure::new(Code::AddressConflict, detail)
}
