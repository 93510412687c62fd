//! What the kernel says of an interface.

use hostcfg::Cidr;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::address::AddressFlags;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::BondAdInfo;
use rtnetlink::packet_route::link::InfoBond;
use rtnetlink::packet_route::link::InfoBondPort;
use rtnetlink::packet_route::link::InfoData;
use rtnetlink::packet_route::link::InfoKind;
use rtnetlink::packet_route::link::InfoPortData;
use rtnetlink::packet_route::link::InfoVlan;
use rtnetlink::packet_route::link::LacpState;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::link::LinkFlags;
use rtnetlink::packet_route::link::LinkInfo;
use rtnetlink::packet_route::link::LinkLayerType;
use rtnetlink::packet_route::link::LinkMessage;

use crate::network::AddressState;
use crate::network::Kind;
use crate::network::Lacp;
use crate::network::Nic;
use crate::network::NicAddress;

/// An interface as the kernel's message describes it; without addresses.
pub(super) fn nic(message: &LinkMessage) -> Nic {
    let flags = message.header.flags;
    let mut nic = Nic {
        index: message.header.index,
        loopback: flags.contains(LinkFlags::Loopback),
        up: flags.contains(LinkFlags::Up),
        ..Nic::default()
    };
    let mut sends = flags.contains(LinkFlags::Running);
    let mut parent = None;
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => nic.name.clone_from(name),
            LinkAttribute::Address(mac) if ethernet => nic.mac = ethernet_mac(mac),
            LinkAttribute::PermAddress(mac) if ethernet => {
                nic.permanent_mac = ethernet_mac(mac);
            }
            LinkAttribute::Controller(index) => nic.controller = Some(*index),
            LinkAttribute::Link(index) => parent = Some(*index),
            LinkAttribute::Mtu(mtu) => nic.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => {
                nic.kind = kind(infos);
                nic.lacp = lacp(infos);
            }
            // The kernel says "running" up to a second after a NIC can send. What tells at
            // once is the queue: "noop" drops everything until there is a carrier.
            LinkAttribute::Qdisc(queue) => sends |= queue != "noop",
            _ => {}
        }
    }
    if let Kind::Vlan { parent: index, .. } = &mut nic.kind {
        *index = parent.unwrap_or_default();
    }
    nic.carrier = sends && flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
    nic
}

fn ethernet_mac(bytes: &[u8]) -> Option<[u8; 6]> {
    bytes.try_into().ok().filter(|mac| *mac != [0; 6])
}

fn kind(infos: &[LinkInfo]) -> Kind {
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(data) => Some(data),
        _ => None,
    });
    let kind = infos.iter().find_map(|info| match info {
        LinkInfo::Kind(InfoKind::Bond) => Some(Kind::Bond { partner: partner(data) }),
        LinkInfo::Kind(InfoKind::Vlan) => Some(Kind::Vlan { id: vlan_id(data), parent: 0 }),
        LinkInfo::Kind(InfoKind::Veth) => Some(Kind::Device),
        LinkInfo::Kind(_) => Some(Kind::OtherVirtual),
        _ => None,
    });
    kind.unwrap_or_default()
}

fn partner(data: Option<&InfoData>) -> Option<[u8; 6]> {
    let Some(InfoData::Bond(infos)) = data else { return None };
    let info = infos.iter().find_map(|info| match info {
        InfoBond::AdInfo(info) => Some(info),
        _ => None,
    })?;
    info.iter().find_map(|info| match info {
        BondAdInfo::PartnerMac(mac) => Some(*mac).filter(|mac| *mac != [0; 6]),
        _ => None,
    })
}

fn vlan_id(data: Option<&InfoData>) -> u16 {
    let Some(InfoData::Vlan(infos)) = data else { return 0 };
    let id = infos.iter().find_map(|info| match info {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    });
    id.unwrap_or_default()
}

fn lacp(infos: &[LinkInfo]) -> Option<Lacp> {
    let port = infos.iter().find_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BondPort(port)) => Some(port),
        _ => None,
    })?;
    let state = port.iter().find_map(|info| match info {
        InfoBondPort::AdActorOperPortState(state) => Some(*state),
        _ => None,
    })?;
    // Without a partner the driver goes through the same states by itself, with this flag.
    let agreed = LacpState::SYNCHRONIZATION | LacpState::COLLECTING | LacpState::DISTRIBUTING;
    Some(Lacp { ready: state.contains(agreed) && !state.contains(LacpState::DEFAULTED) })
}

/// The interface's index and the address.
pub(super) fn address(message: &AddressMessage) -> Option<(u32, NicAddress)> {
    // With a peer, "address" is the peer's.
    let of = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    let address = Cidr::new(of(true).or_else(|| of(false))?, message.header.prefix_len).ok()?;
    let flags = address_flags(message);
    let state = if flags.contains(AddressFlags::Dadfailed) {
        AddressState::Duplicate
    } else if flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic) {
        AddressState::Tentative
    } else {
        AddressState::Ready
    };
    Some((message.header.index, NicAddress { address, state }))
}

pub(super) fn address_flags(message: &AddressMessage) -> AddressFlags {
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    flags.unwrap_or(AddressFlags::empty())
}
