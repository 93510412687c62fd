//! The task that puts together what all sources say, and applies it.

mod applying;
mod sources;

use core::future::pending;
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
use crate::configuration::Configuration;
use crate::dhcp;
use crate::dhcp6;
use crate::network::Links;
use crate::network::Network;
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
