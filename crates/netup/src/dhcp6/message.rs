//! DHCPv6 messages (RFC 8415; options of RFC 3646, 4075, 4242 and 5908): what is sent, and what of
//! an answer is believed.
//!
//! As with DHCPv4, the reader is our own so that every byte of an answer is bounded and checked in
//! one place. An option that makes no sense is left out without losing those behind it; a length
//! that leads out of its message rejects the message, one that leads out of its option rejects the
//! option.

use core::net::Ipv6Addr;

use super::duid::Duid;
use super::options;
use super::options::Granted;
use super::options::Status;
use crate::names::Form;
use crate::names::search_list;
use crate::v6::is_server;

/// Longest message that is read or sent, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1500;
/// Most DNS servers that are taken; of time servers as many.
pub(crate) const MAX_SERVERS: usize = 8;

pub(super) mod option {
    pub(crate) const CLIENT_ID: u16 = 1;
    pub(crate) const SERVER_ID: u16 = 2;
    pub(crate) const IA_NA: u16 = 3;
    pub(crate) const IA_ADDRESS: u16 = 5;
    pub(crate) const REQUEST: u16 = 6;
    pub(crate) const PREFERENCE: u16 = 7;
    pub(crate) const ELAPSED: u16 = 8;
    pub(crate) const STATUS: u16 = 13;
    pub(crate) const RAPID_COMMIT: u16 = 14;
    pub(crate) const DNS: u16 = 23;
    pub(crate) const SEARCH: u16 = 24;
    pub(crate) const SNTP: u16 = 31;
    pub(crate) const REFRESH: u16 = 32;
    pub(crate) const NTP: u16 = 56;
    pub(crate) const SOLICIT_MAX: u16 = 82;
    pub(crate) const INFORM_MAX: u16 = 83;
}

/// What is asked for. The server is asked through the group of all servers, whatever it says about
/// unicast.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum QueryKind {
    /// Any address of any server; at once, without a second question, if it wants to.
    Solicit { rapid: bool },
    /// The address that a server offered.
    Request { server: Duid, address: Ipv6Addr },
    /// The address that we have, for longer, of its server.
    Renew { server: Duid, address: Ipv6Addr },
    /// The same, of any server.
    Rebind { address: Ipv6Addr },
    /// Nothing: another machine has the address that this server gave.
    Decline { server: Duid, address: Ipv6Addr },
    /// Everything but an address.
    Inform,
}

/// A message to servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) kind: &'a QueryKind,
    /// 24 bits.
    pub(crate) xid: u32,
    pub(crate) client: &'a Duid,
    /// Which of our associations the address belongs to.
    pub(crate) iaid: u32,
    /// Hundredths of a second since the first message of this exchange.
    pub(crate) elapsed: u16,
}

impl Query<'_> {
    /// The message as it goes into a UDP datagram.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (message_type, server, address) = match self.kind {
            QueryKind::Solicit { .. } => (1, None, None),
            QueryKind::Request { server, address } => (3, Some(server), Some(*address)),
            QueryKind::Renew { server, address } => (5, Some(server), Some(*address)),
            QueryKind::Rebind { address } => (6, None, Some(*address)),
            QueryKind::Decline { server, address } => (9, Some(server), Some(*address)),
            QueryKind::Inform => (11, None, None),
        };
        let [_, a, b, c] = self.xid.to_be_bytes();
        let mut bytes = vec![message_type, a, b, c];
        put(&mut bytes, option::CLIENT_ID, self.client.as_bytes());
        if let Some(server) = server {
            put(&mut bytes, option::SERVER_ID, server.as_bytes());
        }
        put(&mut bytes, option::ELAPSED, &self.elapsed.to_be_bytes());
        if !matches!(self.kind, QueryKind::Inform) {
            // Identity; the times that we would like: any.
            let mut ia = self.iaid.to_be_bytes().to_vec();
            ia.extend_from_slice(&[0; 8]);
            if let Some(address) = address {
                let mut data = address.octets().to_vec();
                data.extend_from_slice(&[0; 8]);
                put(&mut ia, option::IA_ADDRESS, &data);
            }
            put(&mut bytes, option::IA_NA, &ia);
        }
        if matches!(self.kind, QueryKind::Solicit { rapid: true }) {
            put(&mut bytes, option::RAPID_COMMIT, &[]);
        }
        // The last ones must be asked for (RFC 8415, 18.2); what is said is not followed, because
        // it may be as long as a day.
        let last: &[u16] = match self.kind {
            QueryKind::Decline { .. } => return bytes,
            QueryKind::Inform => &[option::REFRESH, option::INFORM_MAX],
            _ => &[option::SOLICIT_MAX],
        };
        let wanted = [option::DNS, option::SEARCH, option::SNTP, option::NTP];
        let wanted: Vec<u8> =
            wanted.iter().chain(last).flat_map(|code| code.to_be_bytes()).collect();
        put(&mut bytes, option::REQUEST, &wanted);
        bytes
    }
}

/// Appends an option; ours are all far shorter than 65535 bytes.
fn put(bytes: &mut Vec<u8>, code: u16, data: &[u8]) {
    bytes.extend_from_slice(&code.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(data);
}

/// What a server answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReplyKind {
    Advertise,
    Reply,
}

/// An answer to us whose fields are plausible.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) kind: ReplyKind,
    pub(crate) server: Duid,
    pub(crate) preference: u8,
    pub(crate) rapid: bool,
    /// Of the message, or of the address.
    pub(crate) status: Status,
    /// What the server says about it, printable ASCII only.
    pub(crate) text: Option<String>,
    /// Addresses for our association, at most four; those with a lifetime of 0 are taken back.
    pub(crate) addresses: Vec<Granted>,
    /// When the server wants to be asked for more time, in seconds; 0 is whenever we like.
    pub(crate) renewal: u32,
    /// When others may be asked, in seconds, no less than `renewal`; or 0.
    pub(crate) rebinding: u32,
    pub(crate) dns: Vec<Ipv6Addr>,
    pub(crate) search: Vec<String>,
    pub(crate) ntp: Vec<Ipv6Addr>,
    /// When to ask again for what has no lifetime, in seconds.
    pub(crate) refresh: Option<u32>,
}

/// Why a datagram is not an answer to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("not 4 to {MAX_MESSAGE} bytes long")]
    Length,
    #[error("not an answer of a server")]
    Type,
    #[error("for another client or another request")]
    NotOurs,
    #[error("its options do not parse")]
    Options,
    #[error("without a usable server identifier")]
    Server,
}

impl Reply {
    /// Reads a datagram that came in answer to the request `xid` of `client`.
    pub(crate) fn parse(
        bytes: &[u8],
        client: &Duid,
        iaid: u32,
        xid: u32,
    ) -> Result<Self, Rejected> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Rejected::Length);
        }
        let ([kind, a, b, c], area) = bytes.split_first_chunk().ok_or(Rejected::Length)?;
        let kind = match kind {
            2 => ReplyKind::Advertise,
            7 => ReplyKind::Reply,
            _ => return Err(Rejected::Type),
        };
        if u32::from_be_bytes([0, *a, *b, *c]) != xid {
            return Err(Rejected::NotOurs);
        }
        let all = options::split(area).ok_or(Rejected::Options)?;
        let first = |code| all.iter().find(|(found, _)| *found == code).map(|(_, data)| *data);
        if first(option::CLIENT_ID) != Some(client.as_bytes()) {
            return Err(Rejected::NotOurs);
        }
        let server = first(option::SERVER_ID).and_then(Duid::new).ok_or(Rejected::Server)?;
        let mut associations = all.iter().filter(|(code, _)| *code == option::IA_NA);
        let association = associations.find_map(|(_, data)| options::association(data, iaid));
        let association = association.unwrap_or_default();
        let (status, text) = first(option::STATUS)
            .and_then(options::status)
            .filter(|(status, _)| *status != Status::Success)
            .unwrap_or((association.status, association.text));
        let times = first(option::NTP).map(options::ntp).unwrap_or_default();
        Ok(Self {
            kind,
            server,
            preference: match first(option::PREFERENCE) {
                Some([preference]) => *preference,
                _ => 0,
            },
            rapid: first(option::RAPID_COMMIT).is_some(),
            status,
            text,
            addresses: association.addresses,
            renewal: association.renewal,
            rebinding: association.rebinding,
            dns: first(option::DNS).map(servers).unwrap_or_default(),
            search: first(option::SEARCH)
                .map(|data| search_list(data, Form::Plain))
                .unwrap_or_default(),
            ntp: if times.is_empty() {
                first(option::SNTP).map(servers).unwrap_or_default()
            } else {
                times
            },
            refresh: first(option::REFRESH).and_then(options::number),
        })
    }

    /// The best address: that one, if it is there, else the first that can be used.
    pub(crate) fn address(&self, wanted: Option<Ipv6Addr>) -> Option<Granted> {
        let usable = || self.addresses.iter().filter(|granted| granted.valid > 0);
        usable()
            .find(|granted| Some(granted.address) == wanted)
            .or_else(|| usable().next())
            .copied()
    }
}

/// The servers of a list, at most [`MAX_SERVERS`].
fn servers(data: &[u8]) -> Vec<Ipv6Addr> {
    let (addresses, _) = data.as_chunks::<16>();
    let servers = addresses.iter().map(|octets| Ipv6Addr::from(*octets));
    servers.filter(|server| is_server(*server)).take(MAX_SERVERS).collect()
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
