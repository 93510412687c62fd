//! Options of DHCPv6 and what is inside of them.

use core::net::Ipv6Addr;

use super::message::MAX_SERVERS;
use super::message::option;
use crate::v6::is_host;
use crate::v6::is_server;

/// Most addresses that are taken of one association.
pub(super) const MAX_ADDRESSES: usize = 4;
/// Longest text of a server that gets into a log line.
const MAX_TEXT: usize = 120;
/// Part of an NTP option that has an address (RFC 5908, 4.1).
const NTP_ADDRESS: u16 = 1;

/// What came of a request (RFC 8415, 21.13).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Status {
    #[default]
    Success,
    NoAddresses,
    NoBinding,
    NotOnLink,
    /// Failed for an unsaid reason, or one that is not for us.
    Other(u16),
}

/// An address for some time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Granted {
    pub(crate) address: Ipv6Addr,
    /// In seconds, as the next; no longer than that.
    pub(crate) preferred: u32,
    pub(crate) valid: u32,
}

/// The addresses of one association.
#[derive(Clone, Debug, Default)]
pub(super) struct Association {
    pub(super) renewal: u32,
    pub(super) rebinding: u32,
    pub(super) addresses: Vec<Granted>,
    pub(super) status: Status,
    pub(super) text: Option<String>,
}

/// The options of an area by code, in their order; `None` if one is cut.
pub(super) fn split(mut area: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut options = Vec::new();
    while !area.is_empty() {
        let ([a, b, c, d], rest) = area.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let (data, rest) = rest.split_at_checked(length)?;
        options.push((u16::from_be_bytes([*a, *b]), data));
        area = rest;
    }
    Some(options)
}

/// Reads an association, if it is ours and its times make sense (RFC 8415, 21.4).
pub(super) fn association(data: &[u8], iaid: u32) -> Option<Association> {
    let (head, area) = data.split_first_chunk::<12>()?;
    let [a, b, c, d, times @ ..] = *head;
    if u32::from_be_bytes([a, b, c, d]) != iaid {
        return None;
    }
    let (renewal, rebinding) = (number(times.get(..4)?)?, number(times.get(4..)?)?);
    if rebinding > 0 && renewal > rebinding {
        return None;
    }
    let all = split(area)?;
    let of = |code| all.iter().filter(move |(found, _)| *found == code).map(|(_, data)| *data);
    let (status, text) = of(option::STATUS).find_map(status).unwrap_or_default();
    let addresses = of(option::IA_ADDRESS).filter_map(granted).take(MAX_ADDRESSES).collect();
    Some(Association { renewal, rebinding, addresses, status, text })
}

fn granted(data: &[u8]) -> Option<Granted> {
    let (octets, rest) = data.split_first_chunk::<16>()?;
    let (preferred, valid) = (number(rest.get(..4)?)?, number(rest.get(4..8)?)?);
    let address = Ipv6Addr::from(*octets);
    // An address with an error of its own is none that we have.
    let options = split(rest.get(8..)?)?;
    let mut states = options.iter().filter(|(code, _)| *code == option::STATUS);
    let failed = states.any(|(_, data)| !matches!(status(data), Some((Status::Success, _))));
    (is_host(address) && preferred <= valid && !failed).then_some(Granted {
        address,
        preferred,
        valid,
    })
}

pub(super) fn status(data: &[u8]) -> Option<(Status, Option<String>)> {
    let ([a, b], text) = data.split_first_chunk()?;
    let status = match u16::from_be_bytes([*a, *b]) {
        0 => Status::Success,
        2 => Status::NoAddresses,
        3 => Status::NoBinding,
        4 => Status::NotOnLink,
        code => Status::Other(code),
    };
    let text: String = text
        .iter()
        .filter(|byte| matches!(byte, b' '..=b'~'))
        .take(MAX_TEXT)
        .map(|byte| char::from(*byte))
        .collect();
    Some((status, Some(text).filter(|text| !text.is_empty())))
}

/// The addresses of time servers; their names and multicast groups are left out.
pub(super) fn ntp(data: &[u8]) -> Vec<Ipv6Addr> {
    let Some(parts) = split(data) else { return Vec::new() };
    let addresses =
        parts.iter().filter(|(code, _)| *code == NTP_ADDRESS).filter_map(|(_, data)| {
            let octets: [u8; 16] = (*data).try_into().ok()?;
            Some(Ipv6Addr::from(octets)).filter(|server| is_server(*server))
        });
    addresses.take(MAX_SERVERS).collect()
}

pub(super) fn number(data: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(data.try_into().ok()?))
}
