//! What is asked for, and what comes of it.

use core::fmt;
use core::net::IpAddr;
use core::net::Ipv4Addr;

use hostcfg::Addressing;
use hostcfg::Bonding;
use hostcfg::Cidr;
use hostcfg::HostConfig;
use hostcfg::InterfaceSelector;
use hostcfg::Mac;
use hostcfg::Route;
use report::Failure;
use report::NicReport;

use crate::connect::Holder;
use crate::network::StaticRoute;

/// How the machine is to get on the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Where addresses and default routes come from.
    pub addressing: Addressing,
    /// Routes beside those by the gateways, with static addressing.
    pub routes: Vec<Route>,
    /// Longest packet in bytes; `None`: what the network says, or else the interface.
    pub mtu: Option<u16>,
    /// Tag of all packets, on each NIC that is tried or on the bond.
    pub vlan: Option<u16>,
    /// DNS servers that replace those of the network. Empty: those of the network.
    pub dns: Vec<IpAddr>,
    /// Domains that replace those of the network. Empty: those of the network.
    pub search: Vec<String>,
    /// NICs to use, all of them. Empty: every Ethernet NIC.
    pub interfaces: Vec<InterfaceSelector>,
    /// Join the selected NICs into one bond, and use that.
    pub bonding: Option<Bonding>,
    /// The NIC that the firmware booted from: it may answer first, the others follow soon.
    pub preferred: Option<Mac>,
    /// If nothing is found, leave addresses and routes where they are: somebody will tell about it
    /// over the network before the machine restarts.
    pub keep_addresses: bool,
}

impl Plan {
    /// All NICs of the machine, and nothing but an addressing.
    #[must_use]
    pub const fn new(addressing: Addressing) -> Self {
        Self {
            addressing,
            routes: Vec::new(),
            mtu: None,
            vlan: None,
            dns: Vec::new(),
            search: Vec::new(),
            interfaces: Vec::new(),
            bonding: None,
            preferred: None,
            keep_addresses: false,
        }
    }

    /// `dhcp`, `static` or `auto`, as the host configuration has it.
    #[must_use]
    pub const fn mode(&self) -> &'static str {
        match self.addressing {
            Addressing::Dhcp => "dhcp",
            Addressing::Static(_) => "static",
            Addressing::Auto => "auto",
        }
    }
}

impl From<&HostConfig> for Plan {
    fn from(config: &HostConfig) -> Self {
        Self {
            addressing: config.network.clone(),
            routes: config.routes.clone(),
            mtu: config.mtu,
            vlan: config.vlan,
            dns: config.dns.clone(),
            search: config.dns_search.clone(),
            interfaces: config.interfaces.clone(),
            bonding: config.bonding.clone(),
            preferred: config.boot_interface,
            keep_addresses: false,
        }
    }
}

/// How an interface got its first address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// From a DHCP server.
    Dhcp,
    /// From a DHCPv6 server.
    Dhcp6,
    /// Made from what a router advertises (RFC 4862).
    Slaac,
    /// From the host configuration.
    Static,
}

impl Method {
    /// `dhcp`, `dhcp6`, `slaac` or `static`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Dhcp6 => "dhcp6",
            Self::Slaac => "slaac",
            Self::Static => "static",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface that has a carrier, addresses and their routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Kernel name. Bind sockets to it: another NIC may have a route to the same place.
    pub interface: String,
    /// Kernel index.
    pub index: u32,
    /// MAC address, such as `52:54:00:12:34:56`.
    pub mac: String,
    /// How it got the first of its addresses.
    pub method: Method,
    /// All its addresses that can be used, with prefix length; IPv4 first. Never empty.
    pub addresses: Vec<Cidr>,
    /// Default gateways, at most one of each family of `addresses`, IPv4 first.
    pub gateways: Vec<IpAddr>,
    /// All routes that the kernel was given.
    pub routes: Vec<StaticRoute>,
    /// DNS servers, at most eight. Those that IPv4 and IPv6 brought take turns, so that the first two
    /// are of both if there are both.
    pub dns: Vec<IpAddr>,
    /// Domains that names without dots are looked up in, at most eight.
    pub search: Vec<String>,
    /// Time servers that the network names, at most eight.
    pub ntp: Vec<IpAddr>,
    /// The server that gave the IPv4 lease.
    pub dhcp_server: Option<Ipv4Addr>,
    /// How long the lease is valid, the IPv4 one if there are two; `u32::MAX` is for ever.
    pub lease_seconds: Option<u32>,
}

impl Link {
    /// The first of the default gateways.
    #[must_use]
    pub fn gateway(&self) -> Option<IpAddr> {
        self.gateways.first().copied()
    }

    /// Whether all that `older` had is still there, so that what is under way over it may go on.
    pub(crate) fn extends(&self, older: &Self) -> bool {
        fn all_in<T: PartialEq>(few: &[T], many: &[T]) -> bool {
            few.iter().all(|one| many.contains(one))
        }
        all_in(&older.addresses, &self.addresses)
            && all_in(&older.gateways, &self.gateways)
            && all_in(&older.dns, &self.dns)
    }

    /// Whether nothing is different that a probe could notice.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.addresses == other.addresses
            && self.gateways == other.gateways
            && self.dns == other.dns
            && self.search == other.search
    }
}

/// Why a probe over a link came to nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProbeError {
    /// May heal: the probe is made again over the same link after a while.
    Transient(Failure),
    /// Will be the same again over this link, whichever server is asked.
    Final(Failure),
}

impl ProbeError {
    /// What went wrong.
    #[must_use]
    pub const fn failure(&self) -> &Failure {
        match self {
            Self::Transient(failure) | Self::Final(failure) => failure,
        }
    }
}

/// A link over which the probe succeeded.
///
/// As long as this lives, leases are renewed and router advertisements heeded in the background of
/// the runtime. Dropping it leaves the interface as it is.
#[derive(Debug)]
pub struct Connected<T> {
    /// The link that is used.
    pub link: Link,
    /// What the probe returned.
    pub answer: T,
    /// What came of every NIC, in the order of their kernel index.
    pub nics: Vec<NicReport>,
    /// What keeps the leases alive.
    pub(crate) holder: Holder,
}

/// No link was found over which the probe succeeds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectError {
    /// The gravest failure.
    pub failure: Failure,
    /// What came of every NIC, in the order of their kernel index.
    pub nics: Vec<NicReport>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.failure, f)
    }
}

impl core::error::Error for ConnectError {}

impl report::Coded for ConnectError {
    fn code(&self) -> report::Code {
        self.failure.code
    }
}
