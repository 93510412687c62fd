//! Advertisements for tests, written as RFC 4861 draws them.

use core::net::Ipv6Addr;

/// An advertisement with these options.
pub(crate) fn router(lifetime: u16, flags: u8, options: &[u8]) -> Vec<u8> {
    let [a, b] = lifetime.to_be_bytes();
    [&[134, 0, 0, 0, 64, flags, a, b, 0, 0, 0, 0, 0, 0, 0, 0], options].concat()
}

/// A prefix information option; 0x80 is on-link, 0x40 autonomous.
pub(crate) fn prefix(
    network: &str,
    prefix_len: u8,
    flags: u8,
    valid: u32,
    preferred: u32,
) -> Vec<u8> {
    let network: Ipv6Addr = network.parse().unwrap();
    let mut option = vec![3, 4, prefix_len, flags];
    option.extend_from_slice(&valid.to_be_bytes());
    option.extend_from_slice(&preferred.to_be_bytes());
    option.extend_from_slice(&[0; 4]);
    option.extend_from_slice(&network.octets());
    option
}

/// A recursive DNS server option.
pub(crate) fn dns(servers: &[&str], seconds: u32) -> Vec<u8> {
    let eights = u8::try_from(1 + 2 * servers.len()).unwrap();
    let mut option = vec![25, eights, 0, 0];
    option.extend_from_slice(&seconds.to_be_bytes());
    for server in servers {
        option.extend_from_slice(&server.parse::<Ipv6Addr>().unwrap().octets());
    }
    option
}

/// Everything at once.
pub(crate) fn full() -> Vec<u8> {
    let mut options = vec![1, 1, 0x52, 0x54, 0, 0, 0, 1, 5, 1, 0, 0, 0, 0, 5, 120];
    options.extend(prefix("2001:db8:7::", 64, 0xc0, 86400, 14400));
    options.extend([24, 2, 48, 0, 0, 0, 2, 88, 0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0]);
    options.extend(dns(&["2001:db8:7::53", "fe80::53"], 300));
    options.extend([31, 4, 0, 0, 0, 0, 1, 44]);
    options.extend(b"\x03lab\x07example\x03net\x00\x00\x00\x00\x00\x00\x00\x00");
    router(1800, 0xc8, &options)
}
