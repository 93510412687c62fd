//! DHCP servers, good and bad. Their messages are another library's, not the client's own.

use core::net::Ipv4Addr;
use core::time::Duration;

use dhcproto::Decodable;
use dhcproto::Decoder;
use dhcproto::Encodable;
use dhcproto::v4::DhcpOption;
use dhcproto::v4::Message;
use dhcproto::v4::MessageType;
use dhcproto::v4::Opcode;
use dhcproto::v4::OptionCode;

/// A DHCP server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address.
    pub address: Ipv4Addr,
    /// The router that it names.
    pub router: Ipv4Addr,
    /// The address that it gives; the last octet grows when it is declined.
    pub gives: Ipv4Addr,
    /// When it is there.
    pub there: (Duration, Duration),
    /// How long it thinks.
    pub delay: Duration,
    /// How it behaves.
    pub habit: Habit,
    /// Length of its leases in seconds.
    pub lease: u32,
}

/// How a DHCP server behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Habit {
    /// As it should.
    Serves,
    /// Offers, and does not answer to a request.
    OnlyOffers,
    /// Offers, and then refuses.
    Refuses,
    /// Answers with messages that are cut short.
    Stammers,
    /// Says that its options are longer than they are.
    Lies,
}

impl Server {
    /// What it answers to a message, if it does.
    pub(crate) fn answer(&self, now: Duration, message: &[u8], mac: [u8; 6]) -> Option<Vec<u8>> {
        if now < self.there.0 || now >= self.there.1 {
            return None;
        }
        let request = Message::decode(&mut Decoder::new(message)).ok()?;
        let Some(DhcpOption::MessageType(kind)) = request.opts().get(OptionCode::MessageType)
        else {
            return None;
        };
        let for_me = match request.opts().get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(server)) => *server == self.address,
            _ => true,
        };
        let reply = match kind {
            MessageType::Discover => MessageType::Offer,
            MessageType::Request if !for_me || self.habit == Habit::OnlyOffers => return None,
            MessageType::Request if self.habit == Habit::Refuses => MessageType::Nak,
            MessageType::Request => MessageType::Ack,
            _ => return None,
        };
        let mut bytes = self.reply(&request, reply, mac)?;
        match self.habit {
            Habit::Stammers => bytes.truncate(bytes.len() / 2),
            // In the place of the end: an option that says that it is longer than the message.
            Habit::Lies => {
                bytes.pop();
                bytes.extend_from_slice(&[15, 255, b'x']);
            }
            Habit::Serves | Habit::OnlyOffers | Habit::Refuses => {}
        }
        Some(bytes)
    }

    fn reply(&self, request: &Message, kind: MessageType, mac: [u8; 6]) -> Option<Vec<u8>> {
        let mut reply = Message::default();
        let [.., number] = mac;
        let [a, b, c, d] = self.gives.octets();
        let gives = Ipv4Addr::new(a, b, c, d.wrapping_add(number));
        reply.set_opcode(Opcode::BootReply).set_xid(request.xid()).set_chaddr(&mac);
        let options = reply.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ServerIdentifier(self.address));
        if kind != MessageType::Nak {
            options.insert(DhcpOption::AddressLeaseTime(self.lease));
            options.insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)));
            options.insert(DhcpOption::Router(vec![self.router]));
            options.insert(DhcpOption::DomainNameServer(vec![self.router]));
            reply.set_yiaddr(gives);
        }
        reply.to_vec().ok()
    }
}
