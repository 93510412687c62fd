//! Messages against a second implementation and against arbitrary bytes.

use core::net::Ipv4Addr;

use dhcproto::Decodable;
use dhcproto::Encodable;
use dhcproto::v4;
use dhcproto::v4::DhcpOption;
use dhcproto::v4::OptionCode;
use proptest::prelude::*;

use super::FIXED_LEN;
use super::MAX_DNS;
use super::MAX_MESSAGE;
use super::MAX_NTP;
use super::MAX_ROUTES;
use super::Query;
use super::QueryKind;
use super::Rejected;
use super::Reply;
use super::ReplyKind;
use super::Route;
use super::is_host;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const XID: u32 = 0x1234_5678;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

fn query(kind: QueryKind) -> Query {
    Query { kind, mac: MAC, xid: XID, secs: 7 }
}

/// An answer by the second implementation.
fn answer(kind: v4::MessageType, options: Vec<DhcpOption>) -> Vec<u8> {
    let mut message = v4::Message::default();
    message.set_opcode(v4::Opcode::BootReply).set_xid(XID).set_chaddr(&MAC).set_yiaddr(ADDRESS);
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message.opts_mut().insert(DhcpOption::ServerIdentifier(SERVER));
    for option in options {
        message.opts_mut().insert(option);
    }
    message.to_vec().unwrap()
}

/// An answer with these bytes behind the fixed part.
fn raw(options: &[u8]) -> Vec<u8> {
    let mut bytes = answer(v4::MessageType::Offer, vec![]);
    bytes.truncate(FIXED_LEN);
    bytes.extend_from_slice(&[53, 1, 2, 54, 4, 10, 0, 0, 1]);
    bytes.extend_from_slice(options);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Reply, Rejected> {
    Reply::parse(bytes, MAC, XID)
}

#[test]
fn another_implementation_reads_a_discover() {
    let bytes = query(QueryKind::Discover).encode();
    assert!(bytes.len() >= 300);
    let message = v4::Message::from_bytes(&bytes).unwrap();
    assert_eq!(message.opcode(), v4::Opcode::BootRequest);
    assert_eq!((message.xid(), message.secs(), message.chaddr()), (XID, 7, &MAC[..]));
    assert!(message.flags().broadcast());
    assert_eq!(message.ciaddr(), Ipv4Addr::UNSPECIFIED);
    assert_eq!(message.opts().msg_type(), Some(v4::MessageType::Discover));
    assert_eq!(
        message.opts().get(OptionCode::ClassIdentifier),
        Some(&DhcpOption::ClassIdentifier(b"ramstrap".to_vec()))
    );
    assert_eq!(
        message.opts().get(OptionCode::ClientIdentifier),
        Some(&DhcpOption::ClientIdentifier([&[1], &MAC[..]].concat()))
    );
    let Some(DhcpOption::ParameterRequestList(wanted)) =
        message.opts().get(OptionCode::ParameterRequestList)
    else {
        panic!("no parameter request list");
    };
    for code in [1, 3, 6, 15, 26, 42, 51, 54, 58, 59, 119, 121] {
        assert!(wanted.contains(&OptionCode::from(code)), "{code}");
    }
}

#[test]
fn another_implementation_reads_requests() {
    let select = query(QueryKind::Select { address: ADDRESS, server: SERVER }).encode();
    let message = v4::Message::from_bytes(&select).unwrap();
    assert_eq!(message.opts().msg_type(), Some(v4::MessageType::Request));
    assert_eq!(message.ciaddr(), Ipv4Addr::UNSPECIFIED);
    assert_eq!(
        message.opts().get(OptionCode::RequestedIpAddress),
        Some(&DhcpOption::RequestedIpAddress(ADDRESS))
    );
    assert_eq!(
        message.opts().get(OptionCode::ServerIdentifier),
        Some(&DhcpOption::ServerIdentifier(SERVER))
    );

    let extend = query(QueryKind::Extend { address: ADDRESS }).encode();
    let message = v4::Message::from_bytes(&extend).unwrap();
    assert_eq!(message.ciaddr(), ADDRESS);
    assert!(!message.flags().broadcast());
    // RFC 2131, 4.3.2: neither may be there when a lease is extended.
    assert_eq!(message.opts().get(OptionCode::RequestedIpAddress), None);
    assert_eq!(message.opts().get(OptionCode::ServerIdentifier), None);
}

#[test]
fn another_implementation_reads_a_decline() {
    let decline = query(QueryKind::Decline { address: ADDRESS, server: SERVER }).encode();
    let message = v4::Message::from_bytes(&decline).unwrap();
    assert_eq!(message.opts().msg_type(), Some(v4::MessageType::Decline));
    assert_eq!(message.ciaddr(), Ipv4Addr::UNSPECIFIED);
    // RFC 2131, table 5: what must be there, and what must not.
    assert_eq!(
        message.opts().get(OptionCode::RequestedIpAddress),
        Some(&DhcpOption::RequestedIpAddress(ADDRESS))
    );
    assert_eq!(
        message.opts().get(OptionCode::ServerIdentifier),
        Some(&DhcpOption::ServerIdentifier(SERVER))
    );
    assert_eq!(message.opts().get(OptionCode::ParameterRequestList), None);
    assert_eq!(message.opts().get(OptionCode::MaxMessageSize), None);
}

#[test]
fn the_domain_stands_in_for_a_search_list() {
    let reply =
        parse(&raw(&[15, 12, b'E', b'x', b'a', b'm', b'p', b'l', b'e', b'.', b'n', b'e', b't', 0]));
    assert_eq!(reply.unwrap().search, ["example.net"]);
    // A list whose only pointer points at itself is no list.
    let reply = parse(&raw(&[119, 2, 0xc0, 0, 15, 3, b'l', b'a', b'b'])).unwrap();
    assert_eq!(reply.search, ["lab"]);
}

#[test]
fn an_answer_of_another_implementation_is_read() {
    let gateway = Ipv4Addr::new(10, 0, 0, 254);
    let bytes = answer(
        v4::MessageType::Ack,
        vec![
            DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
            DhcpOption::Router(vec![gateway]),
            DhcpOption::DomainNameServer(vec![SERVER, Ipv4Addr::BROADCAST, gateway]),
            DhcpOption::NtpServers(vec![SERVER, Ipv4Addr::LOCALHOST]),
            DhcpOption::DomainName("ignored.example".to_owned()),
            DhcpOption::DomainSearch(vec![
                "lab.example.net".parse().unwrap(),
                "example.net".parse().unwrap(),
            ]),
            DhcpOption::InterfaceMtu(1400),
            DhcpOption::AddressLeaseTime(3600),
            DhcpOption::Renewal(1800),
            DhcpOption::Rebinding(3150),
            DhcpOption::ClasslessStaticRoute(vec![
                ("0.0.0.0/0".parse().unwrap(), gateway),
                ("192.168.4.0/23".parse().unwrap(), Ipv4Addr::UNSPECIFIED),
            ]),
        ],
    );
    let reply = parse(&bytes).unwrap();
    assert_eq!(
        reply,
        Reply {
            kind: ReplyKind::Ack,
            server: Some(SERVER),
            address: ADDRESS,
            prefix_len: Some(24),
            router: Some(gateway),
            routes: Some(vec![
                Route { destination: Ipv4Addr::UNSPECIFIED, prefix_len: 0, gateway: Some(gateway) },
                Route { destination: Ipv4Addr::new(192, 168, 4, 0), prefix_len: 23, gateway: None },
            ]),
            dns: vec![SERVER, gateway],
            search: vec!["lab.example.net".to_owned(), "example.net".to_owned()],
            ntp: vec![SERVER],
            mtu: Some(1400),
            lease_seconds: Some(3600),
            renewal_seconds: Some(1800),
            rebinding_seconds: Some(3150),
            text: None,
        }
    );
}

#[test]
fn answers_to_others_are_rejected() {
    let bytes = answer(v4::MessageType::Offer, vec![]);
    assert!(parse(&bytes).is_ok());
    assert_eq!(Reply::parse(&bytes, MAC, XID + 1), Err(Rejected::NotOurs));
    assert_eq!(Reply::parse(&bytes, [1; 6], XID), Err(Rejected::NotOurs));
    for (at, value, expected) in [
        (0, 1, Rejected::NotReply),   // a request
        (1, 6, Rejected::NotReply),   // another hardware type
        (2, 200, Rejected::NotReply), // a hardware address longer than its field
        (236, 0, Rejected::NotReply), // no DHCP
        (242, 1, Rejected::Type),     // a discover
    ] {
        let mut broken = bytes.clone();
        broken[at] = value;
        assert_eq!(parse(&broken), Err(expected), "byte {at}");
    }
    assert_eq!(parse(&bytes[..FIXED_LEN - 1]), Err(Rejected::Length));
    assert_eq!(parse(&[bytes, vec![0; MAX_MESSAGE]].concat()), Err(Rejected::Length));
}

#[test]
fn impossible_addresses_are_rejected() {
    for octets in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [240, 0, 0, 1]] {
        let mut bytes = answer(v4::MessageType::Offer, vec![]);
        bytes[16..20].copy_from_slice(&octets);
        assert_eq!(parse(&bytes), Err(Rejected::Address), "{octets:?}");
        let nak = {
            bytes[242] = 6;
            parse(&bytes)
        };
        assert!(nak.is_ok(), "a NAK has no address");
    }
}

#[test]
fn overloaded_fields_are_read() {
    let mut bytes = raw(&[52, 1, 3]);
    bytes[108..112].copy_from_slice(&[26, 2, 5, 120]); // file: MTU 1400
    bytes[44..50].copy_from_slice(&[3, 4, 10, 0, 0, 254]); // sname: router
    let reply = parse(&bytes).unwrap();
    assert_eq!(reply.mtu, Some(1400));
    assert_eq!(reply.router, Some(Ipv4Addr::new(10, 0, 0, 254)));
}

#[test]
fn a_split_option_is_joined() {
    let reply = parse(&raw(&[121, 3, 24, 192, 168, 121, 5, 7, 10, 0, 0, 2, 255])).unwrap();
    let route = Route {
        destination: Ipv4Addr::new(192, 168, 7, 0),
        prefix_len: 24,
        gateway: Some(Ipv4Addr::new(10, 0, 0, 2)),
    };
    assert_eq!(reply.routes, Some(vec![route]));
}

#[test]
fn a_senseless_option_does_not_hide_the_next() {
    // mask 255.0.255.0, host name that is not UTF-8, lease time of 3 bytes, MTU 68, then a router
    let reply = parse(&raw(&[
        1, 4, 255, 0, 255, 0, 12, 2, 0xff, 0xfe, 51, 3, 0, 0, 1, 26, 2, 0, 68, 3, 4, 10, 0, 0, 254,
    ]))
    .unwrap();
    assert_eq!((reply.prefix_len, reply.lease_seconds, reply.mtu), (None, None, None));
    assert_eq!(reply.router, Some(Ipv4Addr::new(10, 0, 0, 254)));
}

#[test]
fn a_cut_option_is_an_error() {
    assert_eq!(parse(&raw(&[3, 4, 10, 0])), Err(Rejected::Options));
    assert_eq!(parse(&raw(&[3])), Err(Rejected::Options));
}

#[test]
fn the_servers_text_is_made_harmless() {
    let reply = parse(&raw(&[56, 8, b'n', b'o', 27, b'[', b'2', b'J', 10, b'!'])).unwrap();
    assert_eq!(reply.text.as_deref(), Some("no[2J!"));
}

#[test]
fn numbers_are_bounded() {
    let routes: Vec<u8> = (1..=40).flat_map(|n| [24, 10, 9, n, 10, 0, 0, 1]).collect();
    let mut options = Vec::new();
    for part in routes.chunks(200) {
        options.extend_from_slice(&[121, u8::try_from(part.len()).unwrap()]);
        options.extend_from_slice(part);
    }
    let dns: Vec<u8> = (1..=20).flat_map(|n| [10, 0, 1, n]).collect();
    options.extend_from_slice(&[6, 80]);
    options.extend_from_slice(&dns);
    let reply = parse(&raw(&options)).unwrap();
    assert_eq!(reply.routes.unwrap().len(), MAX_ROUTES);
    assert_eq!(reply.dns.len(), MAX_DNS);
}

fn bytes_of_a_reply() -> impl Strategy<Value = Vec<u8>> {
    // Valid up to the options, so that arbitrary bytes reach the options' reader.
    (0_u8..8, any::<u32>(), prop::collection::vec(any::<u8>(), 0..400)).prop_map(
        |(kind, address, options)| {
            let mut bytes = raw(&options);
            bytes[242] = kind;
            bytes[16..20].copy_from_slice(&address.to_be_bytes());
            bytes
        },
    )
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn what_is_believed_is_bounded(bytes in bytes_of_a_reply()) {
        if let Ok(reply) = parse(&bytes) {
            prop_assert!(reply.kind == ReplyKind::Nak || is_host(reply.address));
            prop_assert!(reply.dns.len() <= MAX_DNS && reply.dns.iter().all(|ip| is_host(*ip)));
            let routes = reply.routes.unwrap_or_default();
            prop_assert!(routes.len() <= MAX_ROUTES);
            prop_assert!(routes.iter().all(|route| route.prefix_len <= 32));
            prop_assert!(reply.prefix_len.is_none_or(|len| (1..=32).contains(&len)));
            prop_assert!(reply.ntp.len() <= MAX_NTP && reply.ntp.iter().all(|ip| is_host(*ip)));
            prop_assert!(reply.search.len() <= crate::names::MAX_SEARCH);
            prop_assert!(reply.mtu.is_none_or(|mtu| mtu >= 576));
        }
    }

    #[test]
    fn a_foreign_answer_is_never_ours(xid in any::<u32>(), mac in any::<[u8; 6]>()) {
        prop_assume!(xid != XID || mac != MAC);
        let bytes = answer(v4::MessageType::Offer, vec![]);
        prop_assert_eq!(Reply::parse(&bytes, mac, xid), Err(Rejected::NotOurs));
    }
}
