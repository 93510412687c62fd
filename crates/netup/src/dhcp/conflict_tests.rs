//! Leases whose address somebody else has; and a whole world of servers and neighbours.

use core::net::Ipv4Addr;
use core::time::Duration;

use dhcproto::Decodable;
use dhcproto::Encodable;
use dhcproto::v4;
use dhcproto::v4::DhcpOption;
use dhcproto::v4::MessageType;
use proptest::prelude::*;

use super::Action;
use super::Client;
use super::Event;
use super::Lease;
use super::OTHERS_FIRST;
use crate::acd::Packet;
use crate::backoff::Random;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const OTHER: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A client on a link with a server that gives what it is asked for, and a neighbour that has some
/// of those addresses.
struct Link {
    client: Client,
    now: Duration,
    /// The last byte of the address that the server gives next, if it gives a new one each time.
    next: u8,
    fresh: bool,
    taken: Vec<Ipv4Addr>,
    leases: Vec<Lease>,
    lost: usize,
    declined: Vec<(Duration, Ipv4Addr)>,
    sent: usize,
}

impl Link {
    fn new(fresh: bool, taken: &[u8]) -> Self {
        Self {
            client: Client::new(MAC, Random::seeded(7), vec![], Duration::ZERO),
            now: Duration::ZERO,
            next: 10,
            fresh,
            taken: taken.iter().map(|last| Ipv4Addr::new(192, 0, 2, *last)).collect(),
            leases: Vec::new(),
            lost: 0,
            declined: Vec::new(),
            sent: 0,
        }
    }

    fn offered(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.next)
    }

    /// Lets time pass until the client wants to be woken, and plays everything that follows.
    fn timer(&mut self) {
        self.now = self.client.wake_at().expect("sleeps for ever");
        let actions = self.client.handle(self.now, Event::Timer);
        self.play(actions);
    }

    fn play(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Bound(lease) => self.leases.push(lease),
                Action::Lost(_) => self.lost += 1,
                Action::SendArp(frame) => {
                    self.sent += 1;
                    let packet = Packet::parse(&frame).unwrap();
                    if self.taken.contains(&packet.target) {
                        let answer = Packet {
                            request: false,
                            sender_mac: OTHER,
                            sender: packet.target,
                            target_mac: MAC,
                            target: packet.sender,
                        };
                        let actions = self.client.handle(self.now, Event::Arp(&answer.encode()));
                        self.play(actions);
                    }
                }
                Action::Send { message, .. } => {
                    self.sent += 1;
                    let message = v4::Message::from_bytes(&message).unwrap();
                    let answer = match message.opts().msg_type() {
                        Some(MessageType::Discover) => MessageType::Offer,
                        Some(MessageType::Request) => MessageType::Ack,
                        Some(MessageType::Decline) => {
                            let address =
                                match message.opts().get(v4::OptionCode::RequestedIpAddress) {
                                    Some(DhcpOption::RequestedIpAddress(address)) => *address,
                                    other => panic!("{other:?}"),
                                };
                            self.declined.push((self.now, address));
                            self.next += u8::from(self.fresh);
                            continue;
                        }
                        other => panic!("{other:?}"),
                    };
                    let bytes = reply(message.xid(), answer, self.offered());
                    let actions = self.client.handle(self.now, Event::Datagram(&bytes));
                    self.play(actions);
                }
            }
        }
    }
}

fn reply(xid: u32, kind: MessageType, address: Ipv4Addr) -> Vec<u8> {
    let mut message = v4::Message::default();
    message.set_opcode(v4::Opcode::BootReply).set_xid(xid).set_chaddr(&MAC).set_yiaddr(address);
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message.opts_mut().insert(DhcpOption::ServerIdentifier(SERVER));
    message.opts_mut().insert(DhcpOption::AddressLeaseTime(3600));
    message.to_vec().unwrap()
}

#[test]
fn a_free_address_costs_a_quarter_of_a_second() {
    let mut link = Link::new(false, &[]);
    while link.leases.is_empty() {
        link.timer();
    }
    assert!(link.now <= Duration::from_millis(300), "{:?}", link.now);
    assert_eq!(link.leases[0].address, link.offered());
    // Renewing it asks nobody.
    while link.leases.len() < 2 {
        link.timer();
    }
    assert_eq!((link.now.as_secs(), link.lost), (1800, 0));
}

#[test]
fn a_taken_address_is_declined_and_another_one_asked_for() {
    let mut link = Link::new(true, &[10]);
    while link.declined.is_empty() {
        link.timer();
    }
    assert_eq!(link.declined, [(link.now, Ipv4Addr::new(192, 0, 2, 10))]);
    assert!(link.client.in_conflict());
    assert!(link.client.trouble().unwrap().contains("52:54:00:00:00:01"));
    let before = link.now;
    assert!(link.client.wake_at().unwrap() >= before + Duration::from_secs(10));
    while link.leases.is_empty() {
        link.timer();
    }
    assert_eq!(link.leases[0].address, Ipv4Addr::new(192, 0, 2, 11));
    assert!(!link.client.in_conflict());
    assert_eq!(link.client.trouble(), None);
}

#[test]
fn a_server_that_insists_is_asked_ever_less_often() {
    let mut link = Link::new(false, &[10]);
    while link.declined.len() < 6 {
        link.timer();
    }
    let pauses = link.declined.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs());
    for (pause, least) in pauses.zip([10, 20, 40, 40, 40]) {
        // Another server is given its time to make an offer first.
        let others_first = OTHERS_FIRST.as_secs();
        assert!((least..=least + 3 + others_first).contains(&pause), "{pause} s, not {least}");
    }
    assert_eq!((link.leases.len(), link.lost), (0, 0));
}

#[test]
fn who_claims_everything_is_not_believed_for_ever() {
    let all: Vec<u8> = (10..200).collect();
    let mut link = Link::new(true, &all);
    while link.leases.is_empty() {
        link.timer();
    }
    assert_eq!(link.declined.len(), super::super::conflict::TOO_MANY);
    assert!(link.now < Duration::from_secs(90), "{:?}", link.now);
}

#[test]
fn an_address_that_is_taken_away_later_is_lost() {
    let mut link = Link::new(true, &[]);
    while link.leases.is_empty() {
        link.timer();
    }
    let claim = Packet::announcement(OTHER, link.offered()).encode();
    let actions = link.client.handle(link.now, Event::Arp(&claim));
    assert!(matches!(actions[..], [Action::SendArp(_)]), "defended once");
    let actions = link.client.handle(link.now, Event::Arp(&claim));
    assert!(matches!(actions[..], [Action::Lost(_), Action::Send { to: None, .. }]), "{actions:?}");
    link.play(actions);
    while link.leases.len() < 2 {
        link.timer();
    }
    assert_eq!((link.lost, link.declined.len()), (1, 1));
    assert_ne!(link.leases[0].address, link.leases[1].address);
}

#[test]
fn an_answer_with_another_address_than_the_offer_is_no_answer() {
    let mut client = Client::new(MAC, Random::seeded(1), vec![], Duration::ZERO);
    let sent = |actions: Vec<Action>| match &actions[..] {
        [Action::Send { message, .. }] => v4::Message::from_bytes(message).unwrap().xid(),
        other => panic!("{other:?}"),
    };
    let xid = sent(client.handle(Duration::ZERO, Event::Timer));
    let offer = reply(xid, MessageType::Offer, Ipv4Addr::new(192, 0, 2, 10));
    let xid = sent(client.handle(Duration::ZERO, Event::Datagram(&offer)));
    let ack = reply(xid, MessageType::Ack, Ipv4Addr::new(192, 0, 2, 11));
    assert_eq!(client.handle(Duration::ZERO, Event::Datagram(&ack)), []);
}

proptest! {
    /// Whatever neighbours and lost answers do: few packets, and a lease in the end.
    #[test]
    fn a_good_server_gives_a_lease_in_the_end(
        seed in any::<u64>(),
        taken in prop::collection::vec(10_u8..14, 0..4),
        noise in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let mut link = Link::new(true, &taken);
        link.client = Client::new(MAC, Random::seeded(seed), vec![], Duration::ZERO);
        for (arp, bytes) in noise {
            link.timer();
            let event = if arp { Event::Arp(&bytes) } else { Event::Datagram(&bytes) };
            let actions = link.client.handle(link.now, event);
            link.play(actions);
        }
        for _ in 0..200 {
            if link.leases.is_empty() {
                link.timer();
            }
        }
        prop_assert_eq!(link.leases.is_empty(), false);
        let seconds = usize::try_from(link.now.as_secs()).unwrap();
        prop_assert!(link.sent <= 8 + 4 * seconds, "{} packets in {seconds} s", link.sent);
    }
}
