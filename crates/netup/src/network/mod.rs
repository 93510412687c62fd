//! The seam between bring-up and the network of a machine.
//!
//! Everything that [`connect()`](crate::connect()) does to links, and every packet that it sends
//! or receives, goes through a [`Network`]. There are two: the kernel's, and whatever a test makes
//! up. With a made-up one, tokio's clock paused on a current-thread runtime and a fixed
//! [`Network::seed`], a run is the same every time: nothing here asks the operating system for
//! time or randomness.

mod interface;

use core::fmt;
use core::net::IpAddr;
use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hostcfg::Bonding;
use tokio::sync::watch;

pub use self::interface::AddressState;
pub use self::interface::Kind;
pub use self::interface::Lacp;
pub use self::interface::Nic;
pub use self::interface::NicAddress;
pub use crate::configuration::Configuration;
pub use crate::configuration::StaticRoute;

/// All interfaces, as of the last change, the loopback included.
pub type Links = watch::Receiver<Arc<Vec<Nic>>>;

/// The outcome of a request that changes something.
pub type Done<'a, T = ()> = BoxFuture<'a, Result<T, NetworkError>>;

/// The network of a machine: its links, and ways to send packets over them.
///
/// Requests are answered soon: within a second or so even if a driver is slow. Whoever asks keeps no
/// time limit of its own. Interfaces are named by the kernel's index, which is never used twice.
pub trait Network: fmt::Debug + Send + Sync {
    /// What all randomness of one bring-up comes from: jitter and transaction ids, no keys.
    fn seed(&self) -> u64;

    /// The interfaces, kept up to date. Changes to links that [`Network::up`] and the others make
    /// are seen here, maybe a moment later.
    fn links(&self) -> Links;

    /// Called once for each NIC that is worked on, before it is switched on. With `quiet_ipv6`
    /// the system itself must not take addresses and routes from router advertisements.
    fn prepare(&self, nic: &Nic, quiet_ipv6: bool);

    /// Switches a link on. There may be no carrier yet.
    fn up(&self, index: u32) -> Done<'_>;

    /// Switches a link off. Its addresses of IPv6 and all its routes go.
    fn down(&self, index: u32) -> Done<'_>;

    /// Sets the longest packet of a link. Some NICs restart their link for it, so that it is
    /// called only where the value is another and the link is off.
    fn set_mtu(&self, index: u32, mtu: u32) -> Done<'_>;

    /// Makes addresses and routes of a link exactly these; those that are there already stay
    /// untouched, others that were applied before are removed. An IPv6 address becomes usable later,
    /// when [`NicAddress::state`] says so; if it does not, somebody else has it.
    ///
    /// On error some of them may be there: see [`Network::flush`].
    fn apply<'a>(&'a self, index: u32, configuration: &'a Configuration) -> Done<'a>;

    /// Removes what [`Network::apply`] adds, and all other IPv4 addresses. Best effort.
    fn flush(&self, index: u32) -> BoxFuture<'_, ()>;

    /// Makes a bond, switched on, and returns its index. One of that name that is as it should be is
    /// kept with its members, any other bond of that name is replaced; another kind of interface of
    /// that name is an error.
    fn make_bond<'a>(&'a self, bonding: &'a Bonding, mtu: Option<u32>) -> Done<'a, u32>;

    /// Makes a link a member of a bond. `primary`: it is the one that is preferred.
    fn join_bond(&self, bond: u32, nic: u32, primary: bool) -> Done<'_>;

    /// Makes a link for the packets of `parent` that have this VLAN tag, and returns its index. If
    /// there is one already, it is that.
    fn make_vlan(&self, parent: u32, id: u16) -> Done<'_, u32>;

    /// Removes a link that was made by [`Network::make_bond`] or [`Network::make_vlan`].
    fn remove(&self, index: u32) -> Done<'_>;

    /// Opens a way for the packets of one protocol over one link.
    ///
    /// # Errors
    ///
    /// If the link is gone or the kernel does not have that; it is tried again after a while.
    fn port(&self, nic: &Nic, protocol: Protocol) -> io::Result<Box<dyn Port>>;
}

/// What a [`Port`] is for, and so what its messages look like.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// DHCP: payloads of UDP, from port 68 to port 67 and back. To all: 255.255.255.255, also
    /// while the link has no address.
    Dhcp4,
    /// DHCPv6: payloads of UDP from port 546 to port 547 and back. To all: ff02::1:2.
    Dhcp6,
    /// ICMPv6 from its type on: router solicitations go out, router advertisements come in; no
    /// other type does. To all: ff02::2. [`Received::hop_limit`] is set.
    RouterDiscovery,
    /// Whole Ethernet frames of ARP, both ways; `to` of [`Port::send`] means nothing.
    Arp,
}

/// A way for the packets of one protocol over one link.
///
/// Any method may fail, for example while the link is off: the port is then given up and opened
/// again after a while.
pub trait Port: fmt::Debug + Send + Sync {
    /// Sends a message to one address, or to all that the protocol is for.
    fn send<'a>(&'a self, to: Option<IpAddr>, message: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;

    /// Waits for a message. What does not fit into the buffer is lost. Nothing is lost if the
    /// future is dropped before it is ready.
    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<Received>>;
}

/// A message that came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// How many bytes of the buffer it is.
    pub length: usize,
    /// Who sent it, where the protocol is about addresses of IP.
    pub from: Option<IpAddr>,
    /// The hop limit it came with, where that matters: 255 for what was sent on this very link.
    pub hop_limit: Option<u8>,
}

/// A request to the network was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct NetworkError {
    what: String,
    reason: String,
}

impl NetworkError {
    /// `what` was to be done, such as `switching the link on`, and why it was not.
    pub fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into() }
    }
}
