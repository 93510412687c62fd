//! The readers of what strangers send, for fuzzing: each takes any bytes, also runs the machine
//! behind the reader, and says whether the bytes were believed. Not part of the interface.

use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::time::Duration;

use crate::acd;
use crate::backoff::Random;
use crate::dhcp;
use crate::dhcp6;
use crate::slaac;

/// The client that DHCP answers are for.
pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// The address association that DHCPv6 answers are for.
pub const IAID: u32 = 7;
/// What ARP packets are about.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// How often a machine is woken after what it was told.
const WAKE_UPS: usize = 20;

/// A DHCPv4 answer, to whichever request it names.
#[must_use]
pub fn dhcp4(bytes: &[u8]) -> bool {
    dhcp::fuzz(bytes, MAC)
}

/// A DHCPv6 answer to [`MAC`] and [`IAID`], to whichever request it names.
#[must_use]
pub fn dhcp6(bytes: &[u8]) -> bool {
    dhcp6::fuzz(bytes, MAC, IAID)
}

/// An ICMPv6 message of a router on the link.
#[must_use]
pub fn router_advertisement(bytes: &[u8]) -> bool {
    slaac::fuzz(bytes, MAC, ROUTER)
}

/// An Ethernet frame with an ARP packet.
#[must_use]
pub fn arp(bytes: &[u8]) -> bool {
    acd::fuzz(bytes, MAC, ADDRESS)
}

/// Lets time pass: calls `wake` at each time that `at` names, a few times.
pub(crate) fn run<T>(
    machine: &mut T,
    at: impl Fn(&T) -> Option<Duration>,
    wake: impl Fn(&mut T, Duration),
) {
    for _ in 0..WAKE_UPS {
        let Some(now) = at(machine) else { return };
        wake(machine, now);
    }
}

pub(crate) const fn random() -> Random {
    Random::seeded(1)
}
