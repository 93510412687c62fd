//! Router solicitations and advertisements (RFC 4861; options of RFC 4191 and RFC 8106): what is
//! sent, and what of an advertisement is believed.
//!
//! As in the DHCP readers, everything is bounded here, and an option that makes no sense is left out
//! without losing those behind it. Only a length that leads nowhere rejects the whole message.

use core::net::Ipv6Addr;

use crate::names::Form;
use crate::names::MAX_SEARCH;
use crate::names::search_list;
use crate::v6::is_host;
use crate::v6::is_server;
use crate::v6::network;

/// Longest message that is read, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1500;
/// Most prefixes, routes and DNS servers that are taken of one message, and kept of all.
pub(crate) const MAX_EACH: usize = 8;
/// Lifetime that never ends.
pub(crate) const INFINITE: u32 = u32::MAX;

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// What a router's hop limit must still be: packets of other networks have less.
const HOP_LIMIT: u8 = 255;
/// The smallest MTU that IPv6 knows.
const MIN_MTU: u32 = 1280;

mod option {
    pub(super) const SOURCE_LINK_LAYER: u8 = 1;
    pub(super) const PREFIX: u8 = 3;
    pub(super) const MTU: u8 = 5;
    pub(super) const ROUTE: u8 = 24;
    pub(super) const DNS: u8 = 25;
    pub(super) const SEARCH: u8 = 31;
}

/// The message that asks routers to speak. The kernel puts the checksum in.
pub(crate) const fn solicitation(mac: [u8; 6]) -> [u8; 16] {
    let [a, b, c, d, e, f] = mac;
    [SOLICITATION, 0, 0, 0, 0, 0, 0, 0, option::SOURCE_LINK_LAYER, 1, a, b, c, d, e, f]
}

/// How much a router recommends itself (RFC 4191, 2.1). The least comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Preference {
    Low,
    Medium,
    High,
}

impl Preference {
    const fn from_flags(flags: u8) -> Self {
        match flags >> 3 & 3 {
            1 => Self::High,
            3 => Self::Low,
            _ => Self::Medium,
        }
    }
}

/// A network that is on the link, or from which hosts make addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PrefixInfo {
    /// Host bits zero.
    pub(crate) network: Ipv6Addr,
    pub(crate) prefix_len: u8,
    pub(crate) on_link: bool,
    /// Hosts may make an address of it; only with a length of 64.
    pub(crate) autonomous: bool,
    /// In seconds, as the next.
    pub(crate) valid: u32,
    /// No longer than `valid`.
    pub(crate) preferred: u32,
}

/// A network behind the router that says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RouteInfo {
    pub(crate) destination: Ipv6Addr,
    pub(crate) prefix_len: u8,
    pub(crate) seconds: u32,
}

/// What a router says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Advertisement {
    /// In seconds; 0: it is no router for everything.
    pub(crate) lifetime: u16,
    pub(crate) preference: Preference,
    /// Addresses are to be had by DHCPv6.
    pub(crate) managed: bool,
    /// Other things are.
    pub(crate) other: bool,
    pub(crate) mtu: Option<u32>,
    pub(crate) prefixes: Vec<PrefixInfo>,
    pub(crate) routes: Vec<RouteInfo>,
    /// With lifetimes in seconds.
    pub(crate) dns: Vec<(Ipv6Addr, u32)>,
    /// With lifetimes in seconds.
    pub(crate) search: Vec<(String, u32)>,
}

/// Why a packet is not an advertisement that counts (RFC 4861, 6.1.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("from beyond the link")]
    NotOfTheLink,
    #[error("not 16 to {MAX_MESSAGE} bytes long")]
    Length,
    #[error("not a router advertisement")]
    Type,
    #[error("its options do not parse")]
    Options,
}

impl Advertisement {
    /// Reads an ICMPv6 message whose checksum the kernel has checked.
    pub(crate) fn parse(bytes: &[u8], source: Ipv6Addr, hop_limit: u8) -> Result<Self, Rejected> {
        if hop_limit != HOP_LIMIT || !source.is_unicast_link_local() {
            return Err(Rejected::NotOfTheLink);
        }
        if bytes.len() > MAX_MESSAGE {
            return Err(Rejected::Length);
        }
        let (fixed, mut options) = bytes.split_first_chunk::<16>().ok_or(Rejected::Length)?;
        let [ADVERTISEMENT, 0, _, _, _, flags, life_a, life_b, ..] = *fixed else {
            return Err(Rejected::Type);
        };
        let mut advertisement = Self {
            lifetime: u16::from_be_bytes([life_a, life_b]),
            preference: Preference::from_flags(flags),
            managed: flags & 0x80 != 0,
            other: flags & 0x40 != 0,
            mtu: None,
            prefixes: Vec::new(),
            routes: Vec::new(),
            dns: Vec::new(),
            search: Vec::new(),
        };
        while let [code, eights, ..] = *options {
            let length = usize::from(eights) * 8;
            let (option, rest) = options.split_at_checked(length).ok_or(Rejected::Options)?;
            // Also an option of length 0 ends here: it has no room for its own header.
            let data = option.get(2..).ok_or(Rejected::Options)?;
            advertisement.take(code, data);
            options = rest;
        }
        if options.is_empty() { Ok(advertisement) } else { Err(Rejected::Options) }
    }

    fn take(&mut self, code: u8, data: &[u8]) {
        match code {
            option::MTU => {
                let mtu = seconds(data, 2).filter(|mtu| (MIN_MTU..=u16::MAX.into()).contains(mtu));
                self.mtu = mtu.or(self.mtu);
            }
            option::PREFIX if self.prefixes.len() < MAX_EACH => self.prefixes.extend(prefix(data)),
            option::ROUTE if self.routes.len() < MAX_EACH => self.routes.extend(route(data)),
            option::DNS => {
                let Some(lifetime) = seconds(data, 2) else { return };
                let (addresses, _) = data.get(6..).unwrap_or_default().as_chunks::<16>();
                let servers = addresses.iter().map(|octets| Ipv6Addr::from(*octets));
                let room = MAX_EACH.saturating_sub(self.dns.len());
                let servers = servers.filter(|server| is_server(*server)).take(room);
                self.dns.extend(servers.map(|server| (server, lifetime)));
            }
            option::SEARCH => {
                let Some(lifetime) = seconds(data, 2) else { return };
                let names = search_list(data.get(6..).unwrap_or_default(), Form::Plain);
                let room = MAX_SEARCH.saturating_sub(self.search.len());
                self.search.extend(names.into_iter().take(room).map(|name| (name, lifetime)));
            }
            _ => {}
        }
    }
}

/// Reads a number of four bytes.
fn seconds(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

fn prefix(data: &[u8]) -> Option<PrefixInfo> {
    let data: &[u8; 30] = data.try_into().ok()?;
    let [prefix_len @ 0..=128, flags, ..] = *data else { return None };
    let (valid, preferred) = (seconds(data, 2)?, seconds(data, 6)?);
    let octets: [u8; 16] = *data.get(14..)?.first_chunk()?;
    let network = network(Ipv6Addr::from(octets), prefix_len);
    // A prefix of everything, of link-local or of multicast addresses is not for routers to give.
    (prefix_len >= 3 && is_host(network) && preferred <= valid).then_some(PrefixInfo {
        network,
        prefix_len,
        on_link: flags & 0x80 != 0,
        autonomous: flags & 0x40 != 0 && prefix_len == 64,
        valid,
        preferred,
    })
}

fn route(data: &[u8]) -> Option<RouteInfo> {
    let [prefix_len @ 0..=128, flags, ..] = *data else { return None };
    let lifetime = seconds(data, 2)?;
    let given = data.get(6..)?;
    // As many bytes as the prefix has, in eights; more are allowed.
    if given.len() * 8 < usize::from(prefix_len) || flags >> 3 & 3 == 2 {
        return None;
    }
    let mut octets = [0; 16];
    for (to, from) in octets.iter_mut().zip(given) {
        *to = *from;
    }
    let destination = network(Ipv6Addr::from(octets), prefix_len);
    (prefix_len == 0 || is_host(destination)).then_some(RouteInfo {
        destination,
        prefix_len,
        seconds: lifetime,
    })
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
