//! How the machine gets on the network.

use core::fmt;
use core::net::IpAddr;

use serde::Serialize;
use serde::Serializer;

use crate::address::Cidr;
use crate::mac::Mac;

/// Where address and default route come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Addressing {
    /// Ask a DHCP server.
    Dhcp,
    /// Use these.
    Static {
        /// Address of the machine with its prefix length.
        address: Cidr,
        /// Default gateway.
        gateway: IpAddr,
    },
}

/// Which interface is meant.
///
/// An entry is about a NIC if its MAC address is that NIC's; without a MAC address, if its name is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceSelector {
    /// Kernel name, such as `eth0`. Never empty.
    pub name: Option<String>,
    /// Hardware address.
    pub mac: Option<Mac>,
}

/// Several interfaces used as one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bonding {
    /// How the members share the traffic.
    pub mode: BondMode,
    /// Kernel name of the bond. Never empty.
    pub name: String,
}

/// How the members of a bond share the traffic, by the names of the Linux bonding driver.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BondMode {
    /// Round robin.
    BalanceRr,
    /// One member at a time.
    ActiveBackup,
    /// By a hash of the addresses.
    BalanceXor,
    /// Everything on every member.
    Broadcast,
    /// LACP.
    Ieee8023ad,
    /// By load, outgoing.
    BalanceTlb,
    /// By load, both ways.
    BalanceAlb,
}

impl BondMode {
    /// Every mode, in the order of the kernel's numbers.
    pub const ALL: [Self; 7] = [
        Self::BalanceRr,
        Self::ActiveBackup,
        Self::BalanceXor,
        Self::Broadcast,
        Self::Ieee8023ad,
        Self::BalanceTlb,
        Self::BalanceAlb,
    ];

    /// The name as configuration files and the kernel write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BalanceRr => "balance-rr",
            Self::ActiveBackup => "active-backup",
            Self::BalanceXor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::Ieee8023ad => "802.3ad",
            Self::BalanceTlb => "balance-tlb",
            Self::BalanceAlb => "balance-alb",
        }
    }

    /// The mode of this name; names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for BondMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for BondMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::BondMode;

    #[test]
    fn every_mode_is_found_by_its_name() {
        for mode in BondMode::ALL {
            assert_eq!(BondMode::from_name(mode.name()), Some(mode));
        }
        assert_eq!(BondMode::from_name("802.3AD"), None);
        assert_eq!(BondMode::from_name(""), None);
    }
}
