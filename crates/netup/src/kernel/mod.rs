//! The network of this machine, through the kernel.

mod arp;
mod bond;
mod icmp6;
mod interface;
mod netlink;
mod ports;
mod sysctl;
mod sysfs;
mod udp;
mod vlan;
mod watch;

use std::io;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hostcfg::Bonding;
use hostcfg::Cidr;
use rtnetlink::LinkUnspec;

pub(crate) use self::netlink::Netlink;
use crate::backoff::Random;
use crate::configuration::Configuration;
use crate::network::Done;
use crate::network::Links;
use crate::network::Network;
use crate::network::Nic;
use crate::network::Port;
use crate::network::Protocol;
use crate::task::Task;

/// The network of this machine. Works until it is dropped.
#[derive(Debug)]
pub(crate) struct Kernel {
    netlink: Netlink,
    links: Links,
    _connection: Task,
    _following: [Task; 2],
}

impl Kernel {
    /// Opens the connections to the kernel.
    pub(crate) fn open() -> io::Result<Self> {
        let (netlink, connection) = Netlink::open()?;
        let (links, following) = watch::follow(netlink.clone())?;
        sysctl::prepare_machine();
        Ok(Self { netlink, links, _connection: connection, _following: following })
    }

    fn name(&self, index: u32) -> Option<String> {
        let links = self.links.borrow();
        links.iter().find(|nic| nic.index == index).map(|nic| nic.name.clone())
    }

    /// Addresses of IPv6 that another NIC of this machine has.
    fn elsewhere(&self, index: u32, configuration: &Configuration) -> Vec<Cidr> {
        let links = self.links.borrow();
        let others = links.iter().filter(|nic| nic.index != index);
        let known = others.flat_map(|nic| &nic.addresses).map(|known| known.address.address());
        let known: Vec<_> = known.collect();
        let mut addresses = configuration.addresses.clone();
        addresses.retain(|own| known.contains(&own.address()));
        addresses
    }
}

impl Network for Kernel {
    fn seed(&self) -> u64 {
        Random::from_system().next_u64()
    }

    fn links(&self) -> Links {
        self.links.clone()
    }

    fn prepare(&self, nic: &Nic, quiet_ipv6: bool) {
        sysctl::prepare_nic(&nic.name, quiet_ipv6);
    }

    fn up(&self, index: u32) -> Done<'_> {
        self.netlink.up(index).boxed()
    }

    fn down(&self, index: u32) -> Done<'_> {
        self.netlink.down(index).boxed()
    }

    fn set_mtu(&self, index: u32, mtu: u32) -> Done<'_> {
        let message = LinkUnspec::new_with_index(index).mtu(mtu).build();
        async move { self.netlink.change(message, &format!("setting the MTU to {mtu}")).await }
            .boxed()
    }

    fn apply<'a>(&'a self, index: u32, configuration: &'a Configuration) -> Done<'a> {
        async move {
            if configuration.addresses.iter().any(|address| address.address().is_ipv6())
                && let Some(name) = self.name(index)
            {
                sysctl::look_for_duplicates(&name);
            }
            let elsewhere = self.elsewhere(index, configuration);
            self.netlink.apply(index, configuration, &elsewhere).await
        }
        .boxed()
    }

    fn flush(&self, index: u32) -> BoxFuture<'_, ()> {
        self.netlink.flush(index).boxed()
    }

    fn make_bond<'a>(&'a self, bonding: &'a Bonding, mtu: Option<u32>) -> Done<'a, u32> {
        bond::make(&self.netlink, bonding, mtu).boxed()
    }

    fn join_bond(&self, bond: u32, nic: u32, primary: bool) -> Done<'_> {
        bond::join(&self.netlink, bond, nic, primary).boxed()
    }

    fn make_vlan(&self, parent: u32, id: u16) -> Done<'_, u32> {
        vlan::make(&self.netlink, parent, id).boxed()
    }

    fn remove(&self, index: u32) -> Done<'_> {
        self.netlink.delete(index, "removing the link").boxed()
    }

    fn port(&self, nic: &Nic, protocol: Protocol) -> io::Result<Box<dyn Port>> {
        ports::open(nic, protocol)
    }
}
