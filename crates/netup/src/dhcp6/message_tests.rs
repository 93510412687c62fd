//! Messages against a second implementation and against arbitrary bytes.

use core::net::Ipv6Addr;

use dhcproto::v6;
use dhcproto::v6::DhcpOption;
use dhcproto::v6::MessageType;
use dhcproto::v6::OptionCode;
use proptest::prelude::*;

use super::MAX_MESSAGE;
use super::MAX_SERVERS;
use super::Query;
use super::QueryKind;
use super::Rejected;
use super::Reply;
use super::ReplyKind;
use crate::dhcp6::duid::Duid;
use crate::dhcp6::options::Granted;
use crate::dhcp6::options::MAX_ADDRESSES;
use crate::dhcp6::options::Status;
use crate::dhcp6::samples::ADDRESS;
use crate::dhcp6::samples::Answer;
use crate::dhcp6::samples::IAID;
use crate::dhcp6::samples::MAC;
use crate::dhcp6::samples::meant;
use crate::dhcp6::samples::read;
use crate::dhcp6::samples::server;
use crate::dhcp6::samples::status_option;
use crate::v6::is_host;
use crate::v6::is_server;

const XID: u32 = 0x12_3456;

fn parse(bytes: &[u8]) -> Result<Reply, Rejected> {
    Reply::parse(bytes, &Duid::of_mac(MAC), IAID, XID)
}

fn encode(kind: &QueryKind) -> v6::Message {
    let client = Duid::of_mac(MAC);
    read(&Query { kind, xid: XID, client: &client, iaid: IAID, elapsed: 150 }.encode())
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// An answer with these options behind the identifiers.
fn raw(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![7, 0x12, 0x34, 0x56, 0, 1, 0, 10, 0, 3, 0, 1];
    bytes.extend_from_slice(&MAC);
    bytes.extend_from_slice(&[0, 2, 0, 5, 0, 4, 9, 9, 1]);
    bytes.extend_from_slice(options);
    bytes
}

#[test]
fn another_implementation_reads_what_we_send() {
    use MessageType as Type;
    let to = server(1);
    for (kind, message_type, expected) in [
        (QueryKind::Solicit { rapid: true }, Type::Solicit, (None, None)),
        (
            QueryKind::Request { server: to.clone(), address: ADDRESS },
            Type::Request,
            (Some(to.clone()), Some(ADDRESS)),
        ),
        (
            QueryKind::Renew { server: to.clone(), address: ADDRESS },
            Type::Renew,
            (Some(to.clone()), Some(ADDRESS)),
        ),
        (QueryKind::Rebind { address: ADDRESS }, Type::Rebind, (None, Some(ADDRESS))),
        (
            QueryKind::Decline { server: to.clone(), address: ADDRESS },
            Type::Decline,
            (Some(to), Some(ADDRESS)),
        ),
        (QueryKind::Inform, Type::InformationRequest, (None, None)),
    ] {
        let message = encode(&kind);
        assert_eq!(message.msg_type(), message_type);
        assert_eq!(message.xid_num(), XID);
        assert_eq!(meant(&message), expected, "{kind:?}");
        let options = message.opts();
        assert_eq!(
            options.get(OptionCode::ClientId),
            Some(&DhcpOption::ClientId(Duid::of_mac(MAC).as_bytes().to_vec()))
        );
        assert_eq!(options.get(OptionCode::ElapsedTime), Some(&DhcpOption::ElapsedTime(150)));
        let rapid = kind == QueryKind::Solicit { rapid: true };
        assert_eq!(options.get(OptionCode::RapidCommit).is_some(), rapid);
        assert_eq!(options.get(OptionCode::IANA).is_none(), kind == QueryKind::Inform);
        let wanted = match options.get(OptionCode::ORO) {
            Some(DhcpOption::ORO(list)) => list.opts.clone(),
            _ => vec![],
        };
        assert_eq!(wanted.is_empty(), message_type == Type::Decline);
        if !wanted.is_empty() {
            for code in [23, 24, 31, 56] {
                assert!(wanted.contains(&OptionCode::from(code)), "{kind:?}: {code}");
            }
        }
    }
}

#[test]
fn an_answer_of_another_implementation_is_read() {
    let mut answer = Answer::new(MessageType::Advertise, XID, 1);
    answer.more = vec![
        DhcpOption::Preference(9),
        DhcpOption::DomainNameServers(vec![ip("2001:db8::53"), ip("::1"), ip("fe80::53")]),
        DhcpOption::DomainSearchList(vec!["lab.example.net.".parse().unwrap()]),
        DhcpOption::NtpServer(vec![
            v6::NtpSuboption::MulticastAddress(ip("ff05::101")),
            v6::NtpSuboption::FQDN("time.example.net.".parse().unwrap()),
            v6::NtpSuboption::ServerAddress(ip("2001:db8::123")),
        ]),
    ];
    let expected = Reply {
        kind: ReplyKind::Advertise,
        server: server(1),
        preference: 9,
        rapid: false,
        status: Status::Success,
        text: None,
        addresses: vec![Granted { address: ADDRESS, preferred: 3600, valid: 7200 }],
        renewal: 1800,
        rebinding: 2880,
        dns: vec![ip("2001:db8::53"), ip("fe80::53")],
        search: vec!["lab.example.net".to_owned()],
        ntp: vec![ip("2001:db8::123")],
        refresh: None,
    };
    assert_eq!(parse(&answer.encode()), Ok(expected));
}

#[test]
fn answers_to_others_are_rejected() {
    let bytes = Answer::new(MessageType::Reply, XID, 1).encode();
    assert!(parse(&bytes).is_ok());
    let client = Duid::of_mac(MAC);
    assert_eq!(Reply::parse(&bytes, &client, IAID, XID + 1), Err(Rejected::NotOurs));
    assert_eq!(Reply::parse(&bytes, &Duid::of_mac([1; 6]), IAID, XID), Err(Rejected::NotOurs));
    let foreign = Reply::parse(&bytes, &client, IAID + 1, XID).unwrap();
    assert_eq!(foreign.addresses, [], "an association that is not ours");
    for message_type in [0, 1, 3, 5, 6, 8, 9, 10, 11, 12, 13] {
        let mut broken = bytes.clone();
        broken[0] = message_type;
        assert_eq!(parse(&broken), Err(Rejected::Type));
    }
    assert_eq!(parse(&bytes[..3]), Err(Rejected::Length));
    assert_eq!(parse(&[bytes, vec![0; MAX_MESSAGE]].concat()), Err(Rejected::Length));
    let anonymous = raw(&[]);
    assert_eq!(parse(&anonymous[..18]), Err(Rejected::Server));
}

#[test]
fn lengths_that_lie_are_found() {
    let bytes = Answer::new(MessageType::Reply, XID, 1).encode();
    for cut in 4..bytes.len() {
        match parse(&bytes[..cut]) {
            // Between two options.
            Ok(reply) => assert_eq!(reply.addresses, []),
            Err(error) => assert_ne!(error, Rejected::Length),
        }
    }
    assert_eq!(parse(&raw(&[0, 7, 0, 2, 1])), Err(Rejected::Options));
    assert_eq!(parse(&raw(&[0, 7, 0])), Err(Rejected::Options));
    // An association whose address is longer than itself; the message stands, it gives nothing.
    let ia = [0, 3, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24];
    assert_eq!(parse(&raw(&ia)).unwrap().addresses, []);
    // A preference of two bytes, one server and a half.
    let reply =
        parse(&raw(&[&[0, 7, 0, 2, 9, 9, 0, 23, 0, 24], &[0x20; 24][..]].concat())).unwrap();
    assert_eq!((reply.preference, reply.dns.len()), (0, 1));
}

#[test]
fn impossible_addresses_and_times_are_left_out() {
    for address in ["::", "::1", "fe80::1", "ff02::1", "::ffff:10.0.0.1"] {
        let mut answer = Answer::new(MessageType::Reply, XID, 1);
        answer.address = Some(ip(address));
        assert_eq!(parse(&answer.encode()).unwrap().address(None), None, "{address}");
    }
    let mut answer = Answer::new(MessageType::Reply, XID, 1);
    (answer.preferred, answer.valid) = (7201, 7200);
    assert_eq!(parse(&answer.encode()).unwrap().address(None), None);
    let mut answer = Answer::new(MessageType::Reply, XID, 1);
    answer.times = (2881, 2880);
    assert_eq!(parse(&answer.encode()).unwrap().address(None), None);
    let mut answer = Answer::new(MessageType::Reply, XID, 1);
    answer.valid = 0;
    answer.preferred = 0;
    let reply = parse(&answer.encode()).unwrap();
    assert_eq!((reply.addresses.len(), reply.address(None)), (1, None), "taken back");
}

#[test]
fn a_status_may_be_the_messages_or_the_associations() {
    let mut answer = Answer::new(MessageType::Reply, XID, 1);
    answer.address = None;
    answer.status = Some(v6::Status::NoAddrsAvail);
    let reply = parse(&answer.encode()).unwrap();
    assert_eq!((reply.status, reply.text.as_deref()), (Status::NoAddresses, Some("so it is")));
    answer.more = vec![status_option(v6::Status::NotOnLink)];
    assert_eq!(parse(&answer.encode()).unwrap().status, Status::NotOnLink);
    answer.more = vec![status_option(v6::Status::UseMulticast)];
    assert_eq!(parse(&answer.encode()).unwrap().status, Status::Other(5));
    answer.more = vec![status_option(v6::Status::Success)];
    assert_eq!(parse(&answer.encode()).unwrap().status, Status::NoAddresses);
}

#[test]
fn sntp_stands_in_for_ntp() {
    let sntp = [&[0, 31, 0, 16][..], &ip("2001:db8::31").octets()].concat();
    assert_eq!(parse(&raw(&sntp)).unwrap().ntp, [ip("2001:db8::31")]);
    let ntp = [&[0, 56, 0, 20, 0, 1, 0, 16][..], &ip("2001:db8::56").octets()].concat();
    assert_eq!(parse(&raw(&[sntp, ntp].concat())).unwrap().ntp, [ip("2001:db8::56")]);
}

fn reply() -> impl Strategy<Value = Vec<u8>> {
    let codes = [3_u16, 5, 7, 13, 14, 23, 24, 31, 32, 56, 2, 1];
    let option = (0_usize..12, prop::collection::vec(any::<u8>(), 0..60), any::<bool>()).prop_map(
        move |(code, mut data, inner)| {
            if codes[code] == 3 && inner {
                // An association that is ours, with arbitrary insides.
                data.splice(0..0, [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
            }
            let mut option = codes[code].to_be_bytes().to_vec();
            option.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            option.extend(data);
            option
        },
    );
    prop::collection::vec(option, 0..12).prop_map(|options| raw(&options.concat()))
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
        let _ = parse(&bytes);
        let _ = parse(&raw(&bytes));
    }

    #[test]
    fn what_is_believed_is_bounded(bytes in reply()) {
        if let Ok(reply) = parse(&bytes) {
            prop_assert!(reply.addresses.len() <= MAX_ADDRESSES);
            prop_assert!(reply.addresses.iter().all(|one| is_host(one.address)));
            prop_assert!(reply.addresses.iter().all(|one| one.preferred <= one.valid));
            prop_assert!(reply.rebinding == 0 || reply.renewal <= reply.rebinding);
            for list in [&reply.dns, &reply.ntp] {
                prop_assert!(list.len() <= MAX_SERVERS && list.iter().all(|one| is_server(*one)));
            }
            prop_assert!(reply.search.len() <= crate::names::MAX_SEARCH);
            prop_assert!(reply.text.is_none_or(|text| text.len() <= 120));
        }
    }

    /// Two implementations agree on every answer that the other one can write.
    #[test]
    fn both_read_the_same(
        address in any::<[u8; 16]>(),
        times in any::<(u32, u32, u32, u32)>(),
        preference in any::<u8>(),
    ) {
        let mut answer = Answer::new(MessageType::Reply, XID, 1);
        answer.address = Some(address.into());
        (answer.preferred, answer.valid) = (times.0, times.1);
        answer.times = (times.2, times.3);
        answer.more = vec![DhcpOption::Preference(preference)];
        let reply = parse(&answer.encode()).unwrap();
        prop_assert_eq!(reply.preference, preference);
        let sensible = times.3 == 0 || times.2 <= times.3;
        let usable = sensible && is_host(address.into()) && times.0 <= times.1;
        let expected = usable
            .then_some(Granted { address: address.into(), preferred: times.0, valid: times.1 });
        prop_assert_eq!(reply.addresses.first().copied(), expected);
    }
}
