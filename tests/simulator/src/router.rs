//! Routers that advertise themselves (RFC 4861).

use core::net::Ipv6Addr;
use core::time::Duration;

/// The network that routers forward for, other than in the wrong direction.
pub(crate) const GOOD_NETWORK: [u16; 4] = [0x2001, 0xdb8, 1, 0];

/// A router of IPv6.
#[derive(Clone, Debug)]
pub struct Router {
    /// Its address on the link.
    pub address: Ipv6Addr,
    /// The prefix, of 64 bits, that addresses are made of.
    pub prefix: Ipv6Addr,
    /// When it is there.
    pub there: (Duration, Duration),
    /// How often it says so without being asked.
    pub every: Duration,
    /// For how many seconds it is a default router.
    pub lifetime: u16,
    /// Whether its options say that they are longer than they are.
    pub lies: bool,
    /// Whether it says that addresses are to be had of DHCPv6 servers: its prefix is for none then.
    pub managed: bool,
    /// Whether it says that what goes with addresses is.
    pub other: bool,
}

impl Router {
    /// What it says, from the ICMPv6 type on; `None` while it is not there.
    pub(crate) fn advertisement(&self, now: Duration) -> Option<Vec<u8>> {
        const LIFETIME: u32 = 86_400;
        if now < self.there.0 || now >= self.there.1 {
            return None;
        }
        let flags = u8::from(self.managed) << 7 | u8::from(self.other) << 6;
        let mut message = vec![134, 0, 0, 0, 64, flags];
        message.extend_from_slice(&self.lifetime.to_be_bytes());
        message.extend_from_slice(&[0; 8]);
        // Prefix information: on the link, and for addresses that hosts make themselves.
        message.extend_from_slice(&[3, 4, 64, if self.managed { 0x80 } else { 0xc0 }]);
        message.extend_from_slice(&LIFETIME.to_be_bytes());
        message.extend_from_slice(&LIFETIME.to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&self.prefix.octets());
        // A DNS server: the router itself (RFC 8106).
        message.extend_from_slice(&[25, if self.lies { 200 } else { 3 }, 0, 0]);
        message.extend_from_slice(&LIFETIME.to_be_bytes());
        message.extend_from_slice(&self.address.octets());
        Some(message)
    }
}
