//! An interface as it is seen from outside.

use hostcfg::Cidr;
use hostcfg::Mac;

/// What an interface is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// Backed by a device, or one end of a virtual cable.
    #[default]
    Device,
    /// Several links as one.
    Bond {
        /// MAC address of the switch at the other end, once it has answered by LACP.
        partner: Option<[u8; 6]>,
    },
    /// The packets of another link that have a tag.
    Vlan {
        /// The tag.
        id: u16,
        /// Index of the other link.
        parent: u32,
    },
    /// Anything else that is made of software.
    OtherVirtual,
}

/// Whether an address can be used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AddressState {
    /// It is being asked whether somebody else has it.
    Tentative,
    /// It can be used.
    Ready,
    /// Somebody else has it.
    Duplicate,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NicAddress {
    /// The address with its prefix length.
    pub address: Cidr,
    /// Whether it can be used.
    pub state: AddressState,
}

/// How far a member of a bond is with its partner.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lacp {
    /// Both sides have agreed: packets can be sent and received over this member.
    pub ready: bool,
}

/// An interface as it is seen from outside.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Nic {
    /// Number of the interface.
    pub index: u32,
    /// Name, such as `eth0`.
    pub name: String,
    /// Present if it is Ethernet with an address that is not all zero.
    pub mac: Option<[u8; 6]>,
    /// The address that is burnt in; a bond's members carry the bond's as `mac`.
    pub permanent_mac: Option<[u8; 6]>,
    /// Whether it leads nowhere but to the machine itself.
    pub loopback: bool,
    /// What it is.
    pub kind: Kind,
    /// Index of the bond or bridge that it is a part of.
    pub controller: Option<u32>,
    /// As a member of an 802.3ad bond.
    pub lacp: Option<Lacp>,
    /// Switched on.
    pub up: bool,
    /// Up, with a signal on the wire, and ready to send.
    pub carrier: bool,
    /// Longest packet, in bytes.
    pub mtu: u32,
    /// Where its device is on the PCI bus, such as `0000:00:03.0`.
    pub pci_path: Option<String>,
    /// Its device's driver, such as `virtio_net`.
    pub driver: Option<String>,
    /// Addresses, those that the system made itself included.
    pub addresses: Vec<NicAddress>,
}

impl Nic {
    /// An Ethernet NIC that is switched off.
    #[must_use]
    pub fn ethernet(index: u32, name: &str, mac: [u8; 6]) -> Self {
        Self { index, name: name.to_owned(), mac: Some(mac), mtu: 1500, ..Self::default() }
    }

    /// Whether it is one that a machine is connected by.
    #[must_use]
    pub(crate) fn is_usable(&self) -> bool {
        !self.loopback && self.mac.is_some() && self.kind == Kind::Device
    }

    /// Whether a configured hardware address is this one's.
    #[must_use]
    pub(crate) fn has_mac(&self, mac: &Mac) -> bool {
        [self.mac, self.permanent_mac].iter().flatten().any(|own| own == mac.as_bytes())
    }

    /// The hardware address as text; empty if there is none.
    #[must_use]
    pub(crate) fn mac_text(&self) -> String {
        self.mac.map(|mac| Mac::ethernet(mac).to_string()).unwrap_or_default()
    }

    /// What is known of one of its addresses.
    #[must_use]
    pub(crate) fn address_state(&self, address: Cidr) -> Option<AddressState> {
        self.addresses.iter().find(|known| known.address == address).map(|known| known.state)
    }
}
