//! ARP packets of IPv4 over Ethernet (RFC 826, RFC 5227), in their frames.

use core::net::Ipv4Addr;

/// Longest part of a frame that is read, in bytes.
pub(crate) const MAX_FRAME: usize = 64;
/// Header of Ethernet and ARP packet.
const LEN: usize = 42;
/// What is shorter is no Ethernet frame; the rest is padding.
const MIN_SENT: usize = 60;
const BROADCAST: [u8; 6] = [0xff; 6];
/// EtherType of ARP, Ethernet, IPv4, and the lengths of their addresses.
const KIND: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4];

/// What an ARP packet says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Packet {
    /// A question; else an answer.
    pub(crate) request: bool,
    pub(crate) sender_mac: [u8; 6],
    /// Unspecified in a probe.
    pub(crate) sender: Ipv4Addr,
    pub(crate) target_mac: [u8; 6],
    pub(crate) target: Ipv4Addr,
}

impl Packet {
    /// Asks whether somebody has this address, without claiming it (RFC 5227, 2.1.1).
    pub(crate) const fn probe(mac: [u8; 6], address: Ipv4Addr) -> Self {
        Self {
            request: true,
            sender_mac: mac,
            sender: Ipv4Addr::UNSPECIFIED,
            target_mac: [0; 6],
            target: address,
        }
    }

    /// Says that this address is ours (RFC 5227, 2.3).
    pub(crate) const fn announcement(mac: [u8; 6], address: Ipv4Addr) -> Self {
        Self { sender: address, ..Self::probe(mac, address) }
    }

    /// The frame, to everybody on the link.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(MIN_SENT);
        frame.extend_from_slice(&BROADCAST);
        frame.extend_from_slice(&self.sender_mac);
        frame.extend_from_slice(&KIND);
        frame.extend_from_slice(&[0, if self.request { 1 } else { 2 }]);
        frame.extend_from_slice(&self.sender_mac);
        frame.extend_from_slice(&self.sender.octets());
        frame.extend_from_slice(&self.target_mac);
        frame.extend_from_slice(&self.target.octets());
        frame.resize(MIN_SENT, 0);
        frame
    }

    /// Reads a frame; `None` if it is not a question or an answer about IPv4 over Ethernet, or
    /// comes from an address that no single machine has.
    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        let frame: &[u8; LEN] = frame.first_chunk()?;
        let (kind, rest) = frame.get(12..)?.split_first_chunk::<8>()?;
        let (operation, rest) = rest.split_first_chunk::<2>()?;
        let (sender_mac, rest) = rest.split_first_chunk::<6>()?;
        let (sender, rest) = rest.split_first_chunk::<4>()?;
        let (target_mac, rest) = rest.split_first_chunk::<6>()?;
        let target = rest.first_chunk::<4>()?;
        let request = match operation {
            [0, 1] => true,
            [0, 2] => false,
            _ => return None,
        };
        let single = sender_mac[0] & 1 == 0 && *sender_mac != [0; 6];
        (*kind == KIND && single).then_some(Self {
            request,
            sender_mac: *sender_mac,
            sender: Ipv4Addr::from(*sender),
            target_mac: *target_mac,
            target: Ipv4Addr::from(*target),
        })
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::Packet;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    #[test]
    fn a_probe_claims_nothing() {
        let frame = Packet::probe(MAC, Ipv4Addr::new(192, 0, 2, 9)).encode();
        let mut expected = vec![
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0,
            6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2,
            9,
        ];
        expected.resize(60, 0);
        assert_eq!(frame, expected);
    }

    #[test]
    fn frames_of_something_else_are_none() {
        let frame = Packet::announcement(MAC, Ipv4Addr::new(192, 0, 2, 9)).encode();
        assert!(Packet::parse(&frame).is_some());
        assert!(Packet::parse(&frame[..42]).is_some());
        assert_eq!(Packet::parse(&frame[..41]), None);
        for (at, value) in [(13, 0), (15, 6), (16, 0), (18, 8), (19, 16), (21, 3), (22, 0x53)] {
            let mut broken = frame.clone();
            broken[at] = value;
            assert_eq!(Packet::parse(&broken), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            request in any::<bool>(),
            macs in any::<([u8; 6], [u8; 6])>(),
            addresses in any::<([u8; 4], [u8; 4])>(),
        ) {
            let mut sender_mac = macs.0;
            sender_mac[0] &= 0xfe;
            sender_mac[5] |= 1;
            let packet = Packet {
                request,
                sender_mac,
                sender: addresses.0.into(),
                target_mac: macs.1,
                target: addresses.1.into(),
            };
            prop_assert_eq!(Packet::parse(&packet.encode()), Some(packet));
        }

        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            Packet::parse(&bytes);
        }
    }
}
