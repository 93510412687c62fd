//! Who is asked for addresses.

use super::MAX_AVOIDED;
use super::Manager;
use crate::acd;
use crate::backoff::Random;
use crate::configuration::Configuration;
use crate::dhcp;
use crate::dhcp::Target;
use crate::dhcp6;
use crate::network::Nic;
use crate::slaac;
use core::net::IpAddr;
use core::time::Duration;
use hostcfg::Addressing;
use hostcfg::Cidr;
use report::Code;
use report::Failure;
use std::sync::Arc;

impl Manager {
    pub(super) fn start_sources(&mut self) {
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

    pub(super) fn start_dhcp(&mut self, delay: Duration) {
        let Some(target) = self.target() else { return };
        let mut avoid = self.orders.avoid.clone();
        avoid.extend(&self.refused);
        avoid.truncate(MAX_AVOIDED);
        let (network, random) = (Arc::clone(&self.network), self.random());
        self.v4 = Some(dhcp::Session::start(network, target, random, avoid, delay));
    }

    /// Looks for another way, as it was told to.
    pub(super) fn obey(&mut self) {
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

    pub(super) fn start_routers(&mut self) {
        let Some(target) = self.target() else { return };
        let (network, random) = (Arc::clone(&self.network), self.random());
        self.routers = Some(slaac::Session::start(network, target, random));
    }

    /// Asks DHCPv6 servers for what routers say is to be had of them.
    pub(super) fn follow_routers(&mut self) {
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
    pub(super) fn target(&self) -> Option<Target> {
        let Nic { index, name, mac, .. } = &self.nic;
        Some(Target { index: *index, name: name.clone(), mac: (*mac)? })
    }

    pub(super) fn random(&mut self) -> Random {
        Random::seeded(self.random.next_u64())
    }

    /// The hardware addresses of this machine's other NICs.
    pub(super) fn own_macs(&self) -> Vec<[u8; 6]> {
        let links = self.links.borrow();
        let others = links.iter().filter(|nic| nic.index != self.nic.index);
        others.filter_map(|nic| nic.mac).filter(|mac| Some(*mac) != self.nic.mac).collect()
    }
}
