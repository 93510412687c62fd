//! Just enough of Ethernet, IPv4, UDP and DHCP to tell the frames apart that a cable treats
//! differently. Total: any bytes give an answer.

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const PROTOCOL_UDP: u8 = 17;
const DHCP_SERVER_PORT: u16 = 67;
const DHCP_CLIENT_PORT: u16 = 68;
const DHCP_FIXED_LEN: usize = 236;
const DHCP_MAGIC: [u8; 4] = [99, 130, 83, 99];
const DHCP_OPTION_PAD: u8 = 0;
const DHCP_OPTION_MESSAGE_TYPE: u8 = 53;
const DHCP_OPTION_END: u8 = 255;

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Address resolution.
    Arp,
    /// A DHCPv4 message of this type.
    Dhcp(Message),
    /// Everything else.
    Other,
}

/// Type of a DHCP message (RFC 2132, section 9.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// A client looks for servers.
    Discover,
    /// A server offers a lease.
    Offer,
    /// A client asks for what was offered, or to keep what it has.
    Request,
    /// A server grants it.
    Ack,
    /// A server refuses it.
    Nak,
    /// Any other message, with its number; 0 if it has none.
    Other(u8),
}

impl Message {
    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            5 => Self::Ack,
            6 => Self::Nak,
            other => Self::Other(other),
        }
    }
}

/// Tells what an Ethernet frame carries.
#[must_use]
pub(super) fn classify(frame: &[u8]) -> Kind {
    match be16(frame, 12) {
        Some(ETHERTYPE_ARP) => Kind::Arp,
        Some(ETHERTYPE_IPV4) => frame.get(14..).and_then(dhcp).map_or(Kind::Other, Kind::Dhcp),
        _ => Kind::Other,
    }
}

/// The DHCP message in an IPv4 packet, if it is one.
fn dhcp(packet: &[u8]) -> Option<Message> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    if *packet.get(9)? != PROTOCOL_UDP {
        return None;
    }
    let udp = packet.get(header_len..)?;
    let ports = (be16(udp, 0)?, be16(udp, 2)?);
    if !matches!(ports, (DHCP_CLIENT_PORT, DHCP_SERVER_PORT) | (DHCP_SERVER_PORT, DHCP_CLIENT_PORT))
    {
        return None;
    }
    let options = udp.get(8 + DHCP_FIXED_LEN..)?.strip_prefix(&DHCP_MAGIC)?;
    Some(Message::from_number(message_type(options).unwrap_or_default()))
}

fn message_type(mut options: &[u8]) -> Option<u8> {
    loop {
        match *options.first()? {
            DHCP_OPTION_PAD => options = &options[1..],
            DHCP_OPTION_END => return None,
            DHCP_OPTION_MESSAGE_TYPE => return options.get(2).copied(),
            _ => options = options.get(2 + usize::from(*options.get(1)?)..)?,
        }
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover() -> Vec<u8> {
        let mut frame = vec![0xff; 12];
        frame.extend([0x08, 0x00]);
        let mut ip = vec![0; 20];
        ip[0] = 0x45;
        ip[9] = PROTOCOL_UDP;
        frame.extend(ip);
        frame.extend([0, 68, 0, 67, 0, 0, 0, 0]);
        frame.extend([0; DHCP_FIXED_LEN]);
        frame.extend(DHCP_MAGIC);
        frame.extend([0, 61, 2, 9, 9, 53, 1, 1, 255]);
        frame
    }

    #[test]
    fn a_discover_is_told_from_other_frames() {
        let frame = discover();
        assert_eq!(classify(&frame), Kind::Dhcp(Message::Discover));

        let mut arp = frame.clone();
        arp[13] = 0x06;
        assert_eq!(classify(&arp), Kind::Arp);

        let mut dns = frame;
        dns[37] = 53;
        assert_eq!(classify(&dns), Kind::Other);
    }

    #[test]
    fn frames_cut_anywhere_are_classified() {
        let frame = discover();
        for end in 0..frame.len() {
            let _ = classify(&frame[..end]);
        }
        // Cut before the message type: still DHCP, of no type.
        assert_eq!(classify(&frame[..frame.len() - 4]), Kind::Dhcp(Message::Other(0)));
    }
}
