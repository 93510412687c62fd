//! DHCPv4 messages (RFC 2131, options of RFC 2132, 3396, 3397 and 3442): what is sent, and what of an
//! answer is believed.
//!
//! The reader is our own so that every byte of an answer is bounded and checked in one place: it
//! takes options from the overloaded `file` and `sname` fields, joins split options, skips an
//! option that makes no sense without losing those behind it, and needs no entropy.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use crate::names::Form;
use crate::names::search_list;
use crate::names::search_text;

/// Longest message that is read or sent, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1500;
/// Most routes that are taken from option 121.
pub(crate) const MAX_ROUTES: usize = 16;
/// Most DNS servers that are taken.
pub(crate) const MAX_DNS: usize = 8;
/// Most time servers that are taken.
pub(crate) const MAX_NTP: usize = 8;

const FIXED_LEN: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// BOOTP relays and old servers drop what is shorter.
const MIN_SENT: usize = 300;
const VENDOR_CLASS: &[u8] = b"ramstrap";
/// Longest text of a server that gets into a log line.
const MAX_TEXT: usize = 120;

mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const DNS: u8 = 6;
    pub(super) const DOMAIN_NAME: u8 = 15;
    pub(super) const MTU: u8 = 26;
    pub(super) const NTP: u8 = 42;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const OVERLOAD: u8 = 52;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER_ID: u8 = 54;
    pub(super) const PARAMETER_LIST: u8 = 55;
    pub(super) const TEXT: u8 = 56;
    pub(super) const MAX_SIZE: u8 = 57;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
    pub(super) const VENDOR_CLASS: u8 = 60;
    pub(super) const CLIENT_ID: u8 = 61;
    pub(super) const SEARCH: u8 = 119;
    pub(super) const CLASSLESS_ROUTES: u8 = 121;
    pub(super) const END: u8 = 255;
}

const WANTED: &[u8] = &[
    option::SUBNET_MASK,
    // A server must answer 121 before 3 if both are asked for.
    option::CLASSLESS_ROUTES,
    option::ROUTER,
    option::DNS,
    option::DOMAIN_NAME,
    option::MTU,
    option::NTP,
    option::LEASE_TIME,
    option::SERVER_ID,
    option::RENEWAL_TIME,
    option::REBINDING_TIME,
    option::SEARCH,
];

/// A message to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Query {
    pub(crate) kind: QueryKind,
    pub(crate) mac: [u8; 6],
    pub(crate) xid: u32,
    /// Seconds since the first try.
    pub(crate) secs: u16,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum QueryKind {
    /// Any address of any server.
    Discover,
    /// The address that a server offered.
    Select { address: Ipv4Addr, server: Ipv4Addr },
    /// The address that we have, for longer: of its server (unicast) or of any (broadcast).
    Extend { address: Ipv4Addr },
    /// Nothing: another machine has the address that this server gave (RFC 2131, 4.4.4).
    Decline { address: Ipv4Addr, server: Ipv4Addr },
}

impl Query {
    /// The message as it goes into a UDP datagram.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (message_type, ciaddr, broadcast) = match self.kind {
            QueryKind::Discover => (1, Ipv4Addr::UNSPECIFIED, true),
            QueryKind::Select { .. } => (3, Ipv4Addr::UNSPECIFIED, true),
            // We have the address, so the answer can come to it.
            QueryKind::Extend { address } => (3, address, false),
            QueryKind::Decline { .. } => (4, Ipv4Addr::UNSPECIFIED, false),
        };
        let mut bytes = Vec::with_capacity(MIN_SENT);
        bytes.extend_from_slice(&[1, 1, 6, 0]);
        bytes.extend_from_slice(&self.xid.to_be_bytes());
        bytes.extend_from_slice(&self.secs.to_be_bytes());
        bytes.extend_from_slice(&if broadcast { [0x80, 0] } else { [0, 0] });
        bytes.extend_from_slice(&ciaddr.octets());
        bytes.resize(28, 0); // yiaddr, siaddr, giaddr
        bytes.extend_from_slice(&self.mac);
        bytes.resize(FIXED_LEN - COOKIE.len(), 0); // rest of chaddr, sname, file
        bytes.extend_from_slice(&COOKIE);
        put(&mut bytes, option::MESSAGE_TYPE, &[message_type]);
        put(&mut bytes, option::CLIENT_ID, &client_id(self.mac));
        if let QueryKind::Select { address, server } | QueryKind::Decline { address, server } =
            self.kind
        {
            put(&mut bytes, option::REQUESTED_ADDRESS, &address.octets());
            put(&mut bytes, option::SERVER_ID, &server.octets());
        }
        // RFC 2131, table 5: none of these may be in what has no answer.
        if !matches!(self.kind, QueryKind::Decline { .. }) {
            put(&mut bytes, option::VENDOR_CLASS, VENDOR_CLASS);
            let max_size = u16::try_from(MAX_MESSAGE).unwrap_or(u16::MAX);
            put(&mut bytes, option::MAX_SIZE, &max_size.to_be_bytes());
            put(&mut bytes, option::PARAMETER_LIST, WANTED);
        }
        bytes.push(option::END);
        if bytes.len() < MIN_SENT {
            bytes.resize(MIN_SENT, option::PAD);
        }
        bytes
    }
}

fn client_id(mac: [u8; 6]) -> [u8; 7] {
    let [a, b, c, d, e, f] = mac;
    [1, a, b, c, d, e, f]
}

/// Appends an option; ours are all far shorter than 255 bytes.
fn put(bytes: &mut Vec<u8>, code: u8, data: &[u8]) {
    bytes.push(code);
    bytes.push(u8::try_from(data.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(data);
}

/// What a server answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReplyKind {
    Offer,
    Ack,
    Nak,
}

/// A route of option 121.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Route {
    /// Network address, host bits zero.
    pub(crate) destination: Ipv4Addr,
    pub(crate) prefix_len: u8,
    /// `None`: the destination is on the link itself.
    pub(crate) gateway: Option<Ipv4Addr>,
}

/// An answer to us whose fields are plausible.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) kind: ReplyKind,
    pub(crate) server: Option<Ipv4Addr>,
    /// A usable host address; unspecified in a NAK.
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_len: Option<u8>,
    pub(crate) router: Option<Ipv4Addr>,
    /// `None`: there was no option 121. If there was, `router` is not to be used.
    pub(crate) routes: Option<Vec<Route>>,
    pub(crate) dns: Vec<Ipv4Addr>,
    /// Domains in which short names are looked for.
    pub(crate) search: Vec<String>,
    pub(crate) ntp: Vec<Ipv4Addr>,
    pub(crate) mtu: Option<u16>,
    pub(crate) lease_seconds: Option<u32>,
    pub(crate) renewal_seconds: Option<u32>,
    pub(crate) rebinding_seconds: Option<u32>,
    /// What the server says about it, printable ASCII only.
    pub(crate) text: Option<String>,
}

/// Why a datagram is not an answer to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("not {FIXED_LEN} to {MAX_MESSAGE} bytes long")]
    Length,
    #[error("not an answer of a DHCP server")]
    NotReply,
    #[error("for another client or another request")]
    NotOurs,
    #[error("its options do not parse")]
    Options,
    #[error("of a type that is not for clients")]
    Type,
    #[error("without a usable server identifier")]
    Server,
    #[error("it gives an address that no host can have")]
    Address,
}

impl Reply {
    /// Reads a datagram that came in answer to the request `xid` of `mac`.
    pub(crate) fn parse(bytes: &[u8], mac: [u8; 6], xid: u32) -> Result<Self, Rejected> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Rejected::Length);
        }
        let fixed: &[u8; FIXED_LEN] = bytes.first_chunk().ok_or(Rejected::Length)?;
        if fixed[..3] != [2, 1, 6] || fixed[236..240] != COOKIE {
            return Err(Rejected::NotReply);
        }
        if fixed[4..8] != xid.to_be_bytes() || fixed[28..34] != mac {
            return Err(Rejected::NotOurs);
        }
        let options = Options::read(fixed, bytes.get(FIXED_LEN..).unwrap_or_default())?;
        let kind = match options.get(option::MESSAGE_TYPE) {
            Some([2]) => ReplyKind::Offer,
            Some([5]) => ReplyKind::Ack,
            Some([6]) => ReplyKind::Nak,
            _ => return Err(Rejected::Type),
        };
        let server = match options.get(option::SERVER_ID) {
            None => None,
            Some(data) => Some(host(data).ok_or(Rejected::Server)?),
        };
        let address = match kind {
            ReplyKind::Nak => Ipv4Addr::UNSPECIFIED,
            _ => host(&fixed[16..20]).ok_or(Rejected::Address)?,
        };
        Ok(Self {
            kind,
            server,
            address,
            prefix_len: options.get(option::SUBNET_MASK).and_then(prefix_len),
            router: options.get(option::ROUTER).and_then(|data| hosts(data).next()),
            routes: options.get(option::CLASSLESS_ROUTES).map(classless_routes),
            dns: options
                .get(option::DNS)
                .map(|data| hosts(data).take(MAX_DNS).collect())
                .unwrap_or_default(),
            search: options.search(),
            ntp: options
                .get(option::NTP)
                .map(|data| hosts(data).take(MAX_NTP).collect())
                .unwrap_or_default(),
            mtu: options
                .get(option::MTU)
                .and_then(|data| Some(u16::from_be_bytes(data.try_into().ok()?)))
                .filter(|mtu| *mtu >= 576),
            lease_seconds: options.seconds(option::LEASE_TIME),
            renewal_seconds: options.seconds(option::RENEWAL_TIME),
            rebinding_seconds: options.seconds(option::REBINDING_TIME),
            text: options.get(option::TEXT).and_then(printable),
        })
    }
}

/// Options by their code, parts of one code joined in their order.
#[derive(Debug, Default)]
struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    fn read(fixed: &[u8; FIXED_LEN], area: &[u8]) -> Result<Self, Rejected> {
        let mut options = Self::default();
        options.collect(area)?;
        let overload = match options.get(option::OVERLOAD) {
            Some([fields]) => *fields,
            _ => 0,
        };
        if overload & 1 != 0 {
            options.collect(&fixed[108..236])?;
        }
        if overload & 2 != 0 {
            options.collect(&fixed[44..108])?;
        }
        Ok(options)
    }

    fn collect(&mut self, mut area: &[u8]) -> Result<(), Rejected> {
        loop {
            match area {
                // Some servers leave out the end mark.
                [] | [option::END, ..] => return Ok(()),
                [option::PAD, rest @ ..] => area = rest,
                [code, len, rest @ ..] => {
                    let (data, rest) =
                        rest.split_at_checked(usize::from(*len)).ok_or(Rejected::Options)?;
                    self.0.entry(*code).or_default().extend_from_slice(data);
                    area = rest;
                }
                [_] => return Err(Rejected::Options),
            }
        }
    }

    fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.get(&code).map(Vec::as_slice)
    }

    /// The search list; where there is none, the domain that we are in.
    fn search(&self) -> Vec<String> {
        let list = self.get(option::SEARCH).map(|data| search_list(data, Form::Compressed));
        list.filter(|list| !list.is_empty())
            .or_else(|| self.get(option::DOMAIN_NAME).map(search_text))
            .unwrap_or_default()
    }

    fn seconds(&self, code: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(code)?.try_into().ok()?))
    }
}

/// Whether a host, a router or a server can have this address.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    // 0/8, 127/8, multicast and the former class E with the broadcast address
    !matches!(address.octets()[0], 0 | 127 | 224..=255)
}

fn host(data: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = data.try_into().ok()?;
    Some(Ipv4Addr::from(octets)).filter(|address| is_host(*address))
}

fn hosts(data: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    data.chunks_exact(4).filter_map(host)
}

/// Length of a contiguous mask; 0 is no mask that an interface can have.
fn prefix_len(data: &[u8]) -> Option<u8> {
    let mask = u32::from_be_bytes(data.try_into().ok()?);
    let ones = mask.leading_ones();
    if ones == 0 || mask.count_ones() != ones { None } else { u8::try_from(ones).ok() }
}

/// Reads option 121 up to the first entry that makes no sense: what follows has lost its place.
fn classless_routes(mut data: &[u8]) -> Vec<Route> {
    let mut routes = Vec::new();
    while let [prefix_len @ 0..=32, rest @ ..] = data {
        if routes.len() == MAX_ROUTES {
            break;
        }
        let significant = usize::from(prefix_len.div_ceil(8));
        let Some((network, rest)) = rest.split_at_checked(significant) else { break };
        let Some((gateway, rest)) = rest.split_first_chunk::<4>() else { break };
        data = rest;
        let mut octets = [0; 4];
        for (to, from) in octets.iter_mut().zip(network) {
            *to = *from;
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix_len)).unwrap_or(0);
        let destination = Ipv4Addr::from_bits(u32::from_be_bytes(octets) & mask);
        let gateway = Ipv4Addr::from(*gateway);
        // A network from 0/8 is the default route or nothing.
        let plausible = if *prefix_len == 0 { true } else { is_host(destination) };
        if plausible && (gateway.is_unspecified() || is_host(gateway)) {
            let gateway = Some(gateway).filter(|gateway| !gateway.is_unspecified());
            routes.push(Route { destination, prefix_len: *prefix_len, gateway });
        }
    }
    routes
}

fn printable(data: &[u8]) -> Option<String> {
    let text: String = data
        .iter()
        .filter(|byte| matches!(byte, b' '..=b'~'))
        .take(MAX_TEXT)
        .map(|byte| char::from(*byte))
        .collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
