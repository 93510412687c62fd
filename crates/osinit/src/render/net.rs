//! Networks as nftables and unbound want them: without host bits, each once, none inside another.

use core::fmt;
use core::net::IpAddr;

use hostcfg::Cidr;

/// A network: an address whose bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Network {
    address: IpAddr,
    prefix_len: u8,
}

impl Network {
    /// The network that an address lies in.
    #[must_use]
    pub fn of(cidr: Cidr) -> Self {
        let length = u32::from(cidr.prefix_len());
        let address = match cidr.address() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        };
        Self { address, prefix_len: cidr.prefix_len() }
    }

    /// Whether it is IPv4.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix_len <= other.prefix_len
            && Cidr::new(self.address, self.prefix_len)
                .is_ok_and(|network| network.contains(other.address))
    }

    /// Of these addresses, sorted, without what lies inside another.
    #[must_use]
    pub fn all_of<'a>(cidrs: impl IntoIterator<Item = &'a Cidr>) -> Vec<Self> {
        let mut networks: Vec<Self> = cidrs.into_iter().copied().map(Self::of).collect();
        // A network comes before those inside it: one pass is enough.
        networks.sort();
        networks.dedup();
        let mut kept: Vec<Self> = Vec::new();
        for network in networks {
            if !kept.last().is_some_and(|last| last.covers(&network)) {
                kept.push(network);
            }
        }
        kept
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

#[cfg(test)]
mod tests {
    use hostcfg::Cidr;

    use super::Network;

    #[test]
    fn networks_lose_host_bits_and_those_inside_another() {
        let cidrs: Vec<Cidr> = [
            "10.64.0.1/24",
            "10.64.0.9/32",
            "10.0.0.0/8",
            "fd00::1/64",
            "10.64.0.0/24",
            "0.0.0.0/0",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let text = |cidrs: &[Cidr]| {
            Network::all_of(cidrs).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(text(&cidrs[..2]), ["10.64.0.0/24"]);
        assert_eq!(text(&cidrs[..5]), ["10.0.0.0/8", "fd00::/64"]);
        assert_eq!(text(&cidrs), ["0.0.0.0/0", "fd00::/64"]);
    }
}
