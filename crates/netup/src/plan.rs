//! What is asked for, and what comes of it.

use core::fmt;
use core::net::IpAddr;
use core::net::Ipv4Addr;

use hostcfg::Addressing;
use hostcfg::Bonding;
use hostcfg::Cidr;
use hostcfg::HostConfig;
use hostcfg::InterfaceSelector;
use report::Failure;
use report::NicReport;

use crate::connect::Holder;

/// How the machine is to get on the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Where address and default route come from.
    pub addressing: Addressing,
    /// DNS servers that replace those of a lease. Empty: those of the lease.
    pub dns: Vec<IpAddr>,
    /// NICs to use, all of them. Empty: every Ethernet NIC.
    pub interfaces: Vec<InterfaceSelector>,
    /// Join the selected NICs into one bond, and use that.
    pub bonding: Option<Bonding>,
}

impl From<&HostConfig> for Plan {
    fn from(config: &HostConfig) -> Self {
        Self {
            addressing: config.network.clone(),
            dns: config.dns.clone(),
            interfaces: config.interfaces.clone(),
            bonding: config.bonding.clone(),
        }
    }
}

/// How an interface got its address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    /// From a DHCP server.
    Dhcp,
    /// From the host configuration.
    Static,
}

impl Method {
    /// `dhcp` or `static`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Static => "static",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface that has a carrier, an address and its routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Kernel name. Bind sockets to it: another NIC may have a route to the same place.
    pub interface: String,
    /// Kernel index.
    pub index: u32,
    /// MAC address, such as `52:54:00:12:34:56`.
    pub mac: String,
    /// How it got its address.
    pub method: Method,
    /// Its addresses with prefix length.
    pub addresses: Vec<Cidr>,
    /// Default gateway, if there is one.
    pub gateway: Option<IpAddr>,
    /// DNS servers, at most eight.
    pub dns: Vec<IpAddr>,
    /// The server that gave the lease.
    pub dhcp_server: Option<Ipv4Addr>,
    /// How long the lease is valid; `u32::MAX` is for ever.
    pub lease_seconds: Option<u32>,
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
/// As long as this lives, a DHCP lease is renewed in the background of the runtime. Dropping it
/// leaves the interface as it is.
#[derive(Debug)]
pub struct Connected<T> {
    /// The link that is used.
    pub link: Link,
    /// What the probe returned.
    pub answer: T,
    /// What came of every NIC, in the order of their kernel index.
    pub nics: Vec<NicReport>,
    /// What keeps the lease alive.
    pub(crate) _holder: Holder,
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
