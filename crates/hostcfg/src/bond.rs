//! Several interfaces used as one.

use core::fmt;

use serde::Serialize;
use serde::Serializer;

/// Several interfaces used as one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bonding {
    /// How the members share the traffic.
    pub mode: BondMode,
    /// Kernel name of the bond. Never empty.
    pub name: String,
    /// Settings of the bonding driver.
    pub options: BondOptions,
}

/// Settings of the bonding driver. What is `None` is left to the caller's default.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct BondOptions {
    /// How often the members' links are looked at, in milliseconds; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miimon: Option<u32>,
    /// How long a link must be there before it is used, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updelay: Option<u32>,
    /// How long a link must be gone before it is given up, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downdelay: Option<u32>,
    /// How often the partner is asked to send LACP frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacp_rate: Option<LacpRate>,
    /// What chooses the member that a packet leaves by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xmit_hash_policy: Option<XmitHashPolicy>,
    /// How many links must be active for the bond to have a carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_links: Option<u32>,
    /// Kernel name of the member that is used whenever it has a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
}

/// An enumeration whose values have the names that the Linux bonding driver gives them.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $count:literal: $($(#[$value_doc:meta])* $value:ident = $name:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $type {
            $($(#[$value_doc])* $value,)+
        }

        impl $type {
            /// Every value, in the order of the kernel's numbers.
            pub const ALL: [Self; $count] = [$(Self::$value),+];

            /// The name as configuration files and the kernel write it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            /// The value of this name; names are case-sensitive.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.name() == name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

named! {
    /// How the members of a bond share the traffic, by the names of the Linux bonding driver.
    BondMode, 7:
    /// Round robin.
    BalanceRr = "balance-rr",
    /// One member at a time.
    ActiveBackup = "active-backup",
    /// By a hash of the addresses.
    BalanceXor = "balance-xor",
    /// Everything on every member.
    Broadcast = "broadcast",
    /// LACP.
    Ieee8023ad = "802.3ad",
    /// By load, outgoing.
    BalanceTlb = "balance-tlb",
    /// By load, both ways.
    BalanceAlb = "balance-alb",
}

named! {
    /// How often the partner is asked to send LACP frames.
    LacpRate, 2:
    /// Every 30 seconds.
    Slow = "slow",
    /// Every second.
    Fast = "fast",
}

named! {
    /// What chooses the member that a packet leaves by.
    XmitHashPolicy, 6:
    /// MAC addresses.
    Layer2 = "layer2",
    /// IP addresses and ports.
    Layer34 = "layer3+4",
    /// MAC and IP addresses.
    Layer23 = "layer2+3",
    /// MAC and IP addresses, of the inner packet where there is a tunnel.
    Encap23 = "encap2+3",
    /// IP addresses and ports, of the inner packet where there is a tunnel.
    Encap34 = "encap3+4",
    /// VLAN and source MAC address.
    VlanSrcMac = "vlan+srcmac",
}

impl BondMode {
    /// Whether `lacp_rate` and `min_links` have a meaning.
    #[must_use]
    pub const fn speaks_lacp(self) -> bool {
        matches!(self, Self::Ieee8023ad)
    }

    /// Whether `xmit_hash_policy` has a meaning.
    #[must_use]
    pub const fn hashes(self) -> bool {
        matches!(self, Self::Ieee8023ad | Self::BalanceXor | Self::BalanceTlb)
    }

    /// Whether `primary` has a meaning.
    #[must_use]
    pub const fn has_primary(self) -> bool {
        matches!(self, Self::ActiveBackup | Self::BalanceTlb | Self::BalanceAlb)
    }
}

#[cfg(test)]
mod tests {
    use super::BondMode;
    use super::LacpRate;
    use super::XmitHashPolicy;

    #[test]
    fn every_value_is_found_by_its_name() {
        for mode in BondMode::ALL {
            assert_eq!(BondMode::from_name(mode.name()), Some(mode));
        }
        for rate in LacpRate::ALL {
            assert_eq!(LacpRate::from_name(rate.name()), Some(rate));
        }
        for policy in XmitHashPolicy::ALL {
            assert_eq!(XmitHashPolicy::from_name(policy.name()), Some(policy));
        }
        assert_eq!(BondMode::from_name("802.3AD"), None);
        assert_eq!(BondMode::from_name(""), None);
    }
}
