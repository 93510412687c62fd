//! Which IPv6 addresses make sense where.

use core::net::Ipv6Addr;

/// Whether a host can have this address beyond its own link.
pub(crate) const fn is_host(address: Ipv6Addr) -> bool {
    is_server(address) && !address.is_unicast_link_local()
}

/// Whether a server can be asked at this address, which may be of the link only.
pub(crate) const fn is_server(address: Ipv6Addr) -> bool {
    // ::/16 holds what is unspecified, our own, or IPv4 in disguise.
    !matches!(address.segments()[0], 0 | 0xff00..)
}

/// The first `prefix_len` bits of an address, the others zero.
pub(crate) fn network(address: Ipv6Addr, prefix_len: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix_len.into())).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// The lower half of an address that follows from a MAC address (RFC 4291, appendix A).
pub(crate) const fn eui64(mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::eui64;
    use super::is_host;
    use super::is_server;
    use super::network;

    #[test]
    fn only_addresses_of_hosts_are_taken() {
        for text in ["2001:db8::1", "fd00::1", "64:ff9b::c000:201"] {
            assert!(is_host(text.parse().unwrap()), "{text}");
        }
        for text in ["::", "::1", "::ffff:192.0.2.1", "ff02::1", "fe80::1"] {
            assert!(!is_host(text.parse().unwrap()), "{text}");
        }
        assert!(is_server("fe80::1".parse().unwrap()));
    }

    #[test]
    fn prefixes_and_identifiers() {
        let address = "2001:db8:ffff:ffff::1".parse().unwrap();
        assert_eq!(network(address, 36).to_string(), "2001:db8:f000::");
        assert_eq!(network(address, 0).to_string(), "::");
        assert_eq!(network(address, 128), address);
        assert_eq!(eui64([0x52, 0x54, 0, 0x12, 0x34, 0x56]), 0x5054_00ff_fe12_3456);
    }
}
