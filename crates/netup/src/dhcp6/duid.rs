//! What clients and servers are known by (RFC 8415, 11).

use core::fmt;

/// The longest that there is: a type of two bytes and 128 more.
const MAX: usize = 130;

/// An identifier, opaque but for our own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Duid(Vec<u8>);

impl Duid {
    /// `None` if it is empty or too long.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        (3..=MAX).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// That of the Ethernet interface with this MAC address (DUID-LL; RFC 8415, 11.4). It is the
    /// same at every boot, and needs nothing to be kept.
    pub(crate) fn of_mac(mac: [u8; 6]) -> Self {
        Self([&[0, 3, 0, 1], &mac[..]].concat())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Duid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}
