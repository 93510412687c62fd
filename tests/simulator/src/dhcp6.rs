//! DHCPv6 servers, good and bad. Their messages are another library's, not the client's own.

use core::net::Ipv6Addr;
use core::time::Duration;

use dhcproto::Decodable;
use dhcproto::Encodable;
use dhcproto::v6::DhcpOption;
use dhcproto::v6::DhcpOptions;
use dhcproto::v6::IAAddr;
use dhcproto::v6::IANA;
use dhcproto::v6::Message;
use dhcproto::v6::MessageType;
use dhcproto::v6::OptionCode;
use dhcproto::v6::Status;
use dhcproto::v6::StatusCode;

use crate::dhcp::Habit;

/// A DHCPv6 server.
#[derive(Clone, Debug)]
pub struct Server {
    /// What it is known by.
    pub id: u8,
    /// The network of the addresses that it gives. One that no router here forwards for leads
    /// nowhere.
    pub gives: Ipv6Addr,
    /// When it is there.
    pub there: (Duration, Duration),
    /// How long it thinks.
    pub delay: Duration,
    /// How it behaves.
    pub habit: Habit,
    /// Lifetime of its addresses in seconds.
    pub lease: u32,
    /// Whether it commits at once if it is asked to (RFC 8415, 18.3.1).
    pub rapid: bool,
}

impl Server {
    /// Its own address on the link.
    pub(crate) fn address(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 6, self.id.into())
    }

    fn duid(&self) -> Vec<u8> {
        vec![0, 4, 9, 9, self.id]
    }

    /// What it answers to a message, if it does.
    pub(crate) fn answer(&self, now: Duration, message: &[u8], mac: [u8; 6]) -> Option<Vec<u8>> {
        if now < self.there.0 || now >= self.there.1 {
            return None;
        }
        let request = Message::from_bytes(message).ok()?;
        if let Some(DhcpOption::ServerId(id)) = request.opts().get(OptionCode::ServerId)
            && *id != self.duid()
        {
            return None;
        }
        let rapid = self.rapid && request.opts().get(OptionCode::RapidCommit).is_some();
        let kind = match request.msg_type() {
            MessageType::Solicit if rapid => MessageType::Reply,
            MessageType::Solicit => MessageType::Advertise,
            _ if self.habit == Habit::OnlyOffers => return None,
            MessageType::Request
            | MessageType::Renew
            | MessageType::Rebind
            | MessageType::Decline
            | MessageType::InformationRequest => MessageType::Reply,
            _ => return None,
        };
        let mut bytes = self.reply(&request, kind, rapid, mac)?;
        match self.habit {
            Habit::Stammers => bytes.truncate(bytes.len() / 2),
            // One more option, longer than the message.
            Habit::Lies => bytes.extend_from_slice(&[0, 23, 0xff, 0xff, 1]),
            Habit::Serves | Habit::OnlyOffers | Habit::Refuses => {}
        }
        Some(bytes)
    }

    fn reply(
        &self,
        request: &Message,
        kind: MessageType,
        rapid: bool,
        mac: [u8; 6],
    ) -> Option<Vec<u8>> {
        let mut reply = Message::new(kind);
        reply.set_xid(request.xid());
        let options = reply.opts_mut();
        options.insert(request.opts().get(OptionCode::ClientId)?.clone());
        options.insert(DhcpOption::ServerId(self.duid()));
        options.insert(DhcpOption::DomainNameServers(vec![self.address()]));
        if rapid {
            options.insert(DhcpOption::RapidCommit);
        }
        if let Some(DhcpOption::IANA(asked)) = request.opts().get(OptionCode::IANA) {
            let mut inner = DhcpOptions::new();
            if self.habit == Habit::Refuses && kind == MessageType::Reply {
                let status = Status::NoAddrsAvail;
                inner.insert(DhcpOption::StatusCode(StatusCode { status, msg: String::new() }));
            } else {
                inner.insert(DhcpOption::IAAddr(IAAddr {
                    addr: self.address_for(mac),
                    preferred_life: self.lease,
                    valid_life: self.lease,
                    opts: DhcpOptions::new(),
                }));
            }
            let (t1, t2) = (self.lease / 2, self.lease / 5 * 4);
            options.insert(DhcpOption::IANA(IANA { id: asked.id, t1, t2, opts: inner }));
        }
        reply.to_vec().ok()
    }

    fn address_for(&self, mac: [u8; 6]) -> Ipv6Addr {
        let [.., number] = mac;
        let [a, b, c, d, ..] = self.gives.segments();
        Ipv6Addr::new(a, b, c, d, 0, 0, self.id.into(), number.into())
    }
}
