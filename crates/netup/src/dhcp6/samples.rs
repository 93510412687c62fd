//! Answers of servers for tests, by another implementation.

use core::net::Ipv6Addr;

use dhcproto::Decodable;
use dhcproto::Encodable;
use dhcproto::v6;
use dhcproto::v6::DhcpOption;
use dhcproto::v6::DhcpOptions;
use dhcproto::v6::MessageType;
use dhcproto::v6::OptionCode;

use super::duid::Duid;

pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub(crate) const IAID: u32 = 7;
pub(crate) const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 9);

/// The identifier of a server.
pub(crate) fn server(number: u8) -> Duid {
    Duid::new(&[0, 4, 9, 9, number]).unwrap()
}

/// What a server puts into an answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) kind: MessageType,
    pub(crate) xid: u32,
    pub(crate) server: u8,
    pub(crate) address: Option<Ipv6Addr>,
    pub(crate) preferred: u32,
    pub(crate) valid: u32,
    pub(crate) times: (u32, u32),
    /// Of the association.
    pub(crate) status: Option<v6::Status>,
    pub(crate) more: Vec<DhcpOption>,
}

impl Answer {
    pub(crate) fn new(kind: MessageType, xid: u32, server: u8) -> Self {
        Self {
            kind,
            xid,
            server,
            address: Some(ADDRESS),
            preferred: 3600,
            valid: 7200,
            times: (1800, 2880),
            status: None,
            more: Vec::new(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut message = v6::Message::new(self.kind);
        message.set_xid_num(self.xid);
        let options = message.opts_mut();
        options.insert(DhcpOption::ClientId(Duid::of_mac(MAC).as_bytes().to_vec()));
        options.insert(DhcpOption::ServerId(server(self.server).as_bytes().to_vec()));
        let mut inner = DhcpOptions::new();
        if let Some(addr) = self.address {
            inner.insert(DhcpOption::IAAddr(v6::IAAddr {
                addr,
                preferred_life: self.preferred,
                valid_life: self.valid,
                opts: DhcpOptions::new(),
            }));
        }
        if let Some(status) = self.status {
            inner.insert(status_option(status));
        }
        let (t1, t2) = self.times;
        options.insert(DhcpOption::IANA(v6::IANA { id: IAID, t1, t2, opts: inner }));
        for option in &self.more {
            options.insert(option.clone());
        }
        message.to_vec().unwrap()
    }
}

pub(crate) fn status_option(status: v6::Status) -> DhcpOption {
    DhcpOption::StatusCode(v6::StatusCode { status, msg: "so\x1b it is".to_owned() })
}

/// What another implementation reads in a message of ours.
pub(crate) fn read(bytes: &[u8]) -> v6::Message {
    v6::Message::from_bytes(bytes).unwrap()
}

/// The server that a message of ours is for, and the address in it.
pub(crate) fn meant(message: &v6::Message) -> (Option<Duid>, Option<Ipv6Addr>) {
    let server = match message.opts().get(OptionCode::ServerId) {
        Some(DhcpOption::ServerId(bytes)) => Duid::new(bytes),
        _ => None,
    };
    let address = match message.opts().get(OptionCode::IANA) {
        Some(DhcpOption::IANA(ia)) => match ia.opts.get(OptionCode::IAAddr) {
            Some(DhcpOption::IAAddr(address)) => Some(address.addr),
            _ => None,
        },
        _ => None,
    };
    (server, address)
}
