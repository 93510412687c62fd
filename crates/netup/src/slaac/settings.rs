//! What an interface is to have, by what routers say.

use core::net::Ipv6Addr;

/// An address that we made. It has no prefix length of its own (so 128): which network is on the
/// link is said by [`Settings::on_link`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Address {
    pub(crate) address: Ipv6Addr,
    /// Not to be used for new connections where there is another one (RFC 4862, 5.5.4).
    pub(crate) deprecated: bool,
}

/// A network whose hosts are reached without router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Prefix {
    /// Host bits zero.
    pub(crate) network: Ipv6Addr,
    pub(crate) prefix_len: u8,
}

/// A network behind a router of the link (RFC 4191).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Route {
    /// Host bits zero.
    pub(crate) destination: Ipv6Addr,
    pub(crate) prefix_len: u8,
    /// A link-local address.
    pub(crate) gateway: Ipv6Addr,
}

/// Everything that holds at a time: what is not in it any more is to be taken away.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Settings {
    /// Best first: those that are not deprecated, in the order in which they were made.
    pub(crate) addresses: Vec<Address>,
    pub(crate) on_link: Vec<Prefix>,
    /// Routers to everywhere, link-local, best first.
    pub(crate) routers: Vec<Ipv6Addr>,
    pub(crate) routes: Vec<Route>,
    /// May be link-local.
    pub(crate) dns: Vec<Ipv6Addr>,
    pub(crate) search: Vec<String>,
    /// From 1280 to 65535.
    pub(crate) mtu: Option<u32>,
    /// Addresses are to be had by DHCPv6; a router has said so once.
    pub(crate) managed: bool,
    /// DNS servers and such are to be had by DHCPv6; a router has said so once.
    pub(crate) other: bool,
    /// Whether any router has spoken at all.
    pub(crate) heard: bool,
}
