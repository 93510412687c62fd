//! IP addresses with prefix length.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use serde::Serialize;
use serde::Serializer;

/// An interface address with its prefix length, such as `192.0.2.7/24`. Host bits are kept.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Cidr {
    address: IpAddr,
    prefix_len: u8,
}

/// The text is not an address with a prefix length.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an IP address with prefix length such as 192.0.2.7/24")]
pub struct CidrError;

impl Cidr {
    /// An address and the length of its network part in bits: at most 32, or 128 for IPv6.
    ///
    /// # Errors
    ///
    /// [`CidrError`] if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix_len: u8) -> Result<Self, CidrError> {
        if prefix_len <= bits(address) { Ok(Self { address, prefix_len }) } else { Err(CidrError) }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Length of the network part in bits.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// The network that the address is in: the same with host bits zero.
    #[must_use]
    pub fn network(&self) -> Self {
        let host_bits = u32::from(bits(self.address) - self.prefix_len);
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Self { address, prefix_len: self.prefix_len }
    }

    /// Whether an address lies in the same network. Never true across address families.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        if bits(self.address) != bits(other) {
            return false;
        }
        let differing = to_u128(self.address) ^ to_u128(other);
        let host_bits = u32::from(bits(self.address) - self.prefix_len);
        differing.checked_shr(host_bits).unwrap_or(0) == 0
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn to_u128(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Reads an address without zone. Leading zeros are refused: they are octal to some readers and
/// decimal to others. An IPv4 address in IPv6 notation is that IPv4 address.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').ok_or(CidrError)?;
        // `u8::from_str` would take a sign.
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CidrError);
        }
        let address: IpAddr = address.parse().map_err(|_| CidrError)?;
        let prefix_len: u8 = prefix.parse().map_err(|_| CidrError)?;
        let written = Self::new(address, prefix_len)?;
        match (address.to_canonical(), prefix_len.checked_sub(96)) {
            (v4 @ IpAddr::V4(_), Some(v4_prefix)) if address.is_ipv6() => Self::new(v4, v4_prefix),
            _ => Ok(written),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use proptest::prelude::*;

    use super::Cidr;
    use super::CidrError;
    use super::parse_ip;

    #[test]
    fn both_families_are_read() {
        let v4: Cidr = "10.0.2.15/24".parse().unwrap();
        assert_eq!((v4.address().to_string().as_str(), v4.prefix_len()), ("10.0.2.15", 24));
        assert_eq!(v4.to_string(), "10.0.2.15/24");
        let v6: Cidr = "2001:db8::7/64".parse().unwrap();
        assert_eq!(v6.to_string(), "2001:db8::7/64");
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        assert_eq!("::ffff:10.0.2.15/120".parse::<Cidr>(), "10.0.2.15/24".parse());
        assert_eq!(parse_ip("::ffff:10.0.2.2"), parse_ip("10.0.2.2"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "10.0.2.15",
            "10.0.2.15/",
            "10.0.2.15/33",
            "10.0.2.15/+4",
            "10.0.2.15/-1",
            "10.0.2.15/24/8",
            "010.0.2.15/24",
            "10.0.2/24",
            "fe80::1%eth0/64",
            "2001:db8::7/129",
            "10.0.2.15/999",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError), "{text:?}");
        }
    }

    #[test]
    fn the_network_has_no_host_bits() {
        for (address, network) in [
            ("10.0.2.15/24", "10.0.2.0/24"),
            ("10.0.2.15/0", "0.0.0.0/0"),
            ("10.0.2.15/32", "10.0.2.15/32"),
            ("2001:db8::7/32", "2001:db8::/32"),
            ("2001:db8::7/0", "::/0"),
        ] {
            let address: Cidr = address.parse().unwrap();
            assert_eq!(address.network().to_string(), network);
        }
    }

    #[test]
    fn containment_follows_the_prefix() {
        let network: Cidr = "10.0.2.15/24".parse().unwrap();
        assert!(network.contains(parse_ip("10.0.2.2").unwrap()));
        assert!(!network.contains(parse_ip("10.0.3.2").unwrap()));
        assert!(!network.contains(parse_ip("2001:db8::1").unwrap()));
        let everything: Cidr = "::/0".parse().unwrap();
        assert!(everything.contains(parse_ip("2001:db8::1").unwrap()));
        let one: Cidr = "10.0.2.15/32".parse().unwrap();
        assert!(!one.contains(parse_ip("10.0.2.14").unwrap()));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = text.parse::<Cidr>();
            let _ = parse_ip(&text);
        }

        #[test]
        fn printing_and_reading_agree(address in any::<u32>(), prefix in 0_u8..=32) {
            let cidr = Cidr::new(IpAddr::V4(address.into()), prefix).unwrap();
            prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
        }
    }
}
