//! How the machine gets on the network.

use core::net::IpAddr;

use crate::address::Cidr;
use crate::mac::Mac;

/// Where addresses and default routes come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Addressing {
    /// Ask a DHCP server for an IPv4 address.
    Dhcp,
    /// Use these.
    Static(StaticAddressing),
    /// Whatever the network has: DHCPv4, DHCPv6 and router advertisements side by side.
    Auto,
}

/// Addresses and gateways that the configuration itself holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaticAddressing {
    /// Addresses of the machine, at least one, none twice: `host_ip` first, then `addresses`.
    pub addresses: Vec<Cidr>,
    /// Default gateways, at most one of each family: `gateway` first, then `gateways`. Empty if
    /// nothing but the networks of the addresses and the routes is to be reached.
    pub gateways: Vec<IpAddr>,
}

/// A route of a static configuration beside those by the gateways.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Route {
    /// Where to, without host bits.
    pub to: Cidr,
    /// The router, of the same family; `None` if the network is on the link itself.
    pub via: Option<IpAddr>,
}

/// Which interfaces are meant. At least one field is set.
///
/// An entry is about a NIC if its MAC address is that NIC's; without a MAC address, if name, PCI
/// path and driver, as far as they are given, are all that NIC's. An entry by driver may be about
/// several NICs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InterfaceSelector {
    /// Kernel name, such as `eth0`. Never empty.
    pub name: Option<String>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// Place on the PCI bus, as sysfs writes it: `0000:00:03.0`, in lower case.
    pub pci_path: Option<String>,
    /// Kernel driver, as sysfs writes it: `virtio_net`. Never empty.
    pub driver: Option<String>,
}
