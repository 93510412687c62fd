//! The client against scripted and against arbitrary servers.

use core::net::Ipv4Addr;
use core::time::Duration;

use dhcproto::Decodable;
use dhcproto::Encodable;
use dhcproto::v4;
use dhcproto::v4::DhcpOption;
use dhcproto::v4::MessageType;
use dhcproto::v4::OptionCode;
use proptest::prelude::*;

use super::Action;
use super::Client;
use super::Event;
use super::Lease;
use crate::backoff::Random;
use crate::dhcp::lease::INFINITE;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// A client with a clock.
struct Bench {
    client: Client,
    now: Duration,
}

impl Bench {
    fn new(avoid: Vec<Ipv4Addr>) -> Self {
        let mut client = Client::new(MAC, Random::seeded(1), avoid, Duration::ZERO);
        client.without_conflict_check();
        Self { client, now: Duration::ZERO }
    }

    /// Lets time pass until the client wants to be woken.
    fn timer(&mut self) -> Vec<Action> {
        self.now = self.client.wake_at().expect("sleeps for ever");
        self.client.handle(self.now, Event::Timer)
    }

    fn answer(&mut self, to: &v4::Message, kind: MessageType, server: Ipv4Addr) -> Vec<Action> {
        let bytes = reply(to.xid(), kind, server, ADDRESS, 3600);
        self.client.handle(self.now, Event::Datagram(&bytes))
    }

    /// From start to lease with the server `ONE`.
    fn bind(&mut self) -> Lease {
        let discover = sent(&self.timer());
        let request = sent(&self.answer(&discover, MessageType::Offer, ONE));
        bound(&self.answer(&request, MessageType::Ack, ONE))
    }
}

fn reply(xid: u32, kind: MessageType, server: Ipv4Addr, yiaddr: Ipv4Addr, lease: u32) -> Vec<u8> {
    let mut message = v4::Message::default();
    message.set_opcode(v4::Opcode::BootReply).set_xid(xid).set_chaddr(&MAC);
    if kind != MessageType::Nak {
        message.set_yiaddr(yiaddr);
    }
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message.opts_mut().insert(DhcpOption::ServerIdentifier(server));
    message.opts_mut().insert(DhcpOption::AddressLeaseTime(lease));
    message.to_vec().unwrap()
}

fn sent(actions: &[Action]) -> v4::Message {
    let [Action::Send { message, .. }] = actions else { panic!("not one message: {actions:?}") };
    v4::Message::from_bytes(message).unwrap()
}

fn bound(actions: &[Action]) -> Lease {
    let [Action::Bound(lease)] = actions else { panic!("not a lease: {actions:?}") };
    lease.clone()
}

fn server_of(message: &v4::Message) -> Option<Ipv4Addr> {
    match message.opts().get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(server)) => Some(*server),
        _ => None,
    }
}

#[test]
fn the_first_offer_becomes_the_lease() {
    let mut bench = Bench::new(vec![]);
    let discover = sent(&bench.timer());
    assert_eq!(discover.opts().msg_type(), Some(MessageType::Discover));
    assert_eq!(bench.now, Duration::ZERO, "the first message goes out at once");
    let request = sent(&bench.answer(&discover, MessageType::Offer, ONE));
    assert_eq!(server_of(&request), Some(ONE));
    assert_eq!(bench.answer(&discover, MessageType::Offer, OTHER), []);
    let lease = bound(&bench.answer(&request, MessageType::Ack, ONE));
    assert_eq!((lease.address, lease.server, lease.seconds), (ADDRESS, ONE, 3600));
    assert_eq!(bench.client.servers(), [ONE, OTHER]);
}

#[test]
fn silence_is_answered_with_patience() {
    let mut bench = Bench::new(vec![]);
    let mut last = bench.now;
    bench.timer();
    for (round, at_most) in [3, 5, 9, 17, 17, 17].into_iter().enumerate() {
        bench.timer();
        let waited = bench.now - last;
        assert!(waited >= Duration::from_secs(1), "round {round}");
        assert!(waited <= Duration::from_secs(at_most), "round {round}");
        last = bench.now;
    }
    assert_eq!(bench.client.rounds(), 7);
}

#[test]
fn an_avoided_server_is_the_second_choice() {
    let mut bench = Bench::new(vec![ONE]);
    let discover = sent(&bench.timer());
    assert_eq!(bench.answer(&discover, MessageType::Offer, ONE), []);
    let request = sent(&bench.answer(&discover, MessageType::Offer, OTHER));
    assert_eq!(server_of(&request), Some(OTHER));

    let mut alone = Bench::new(vec![ONE]);
    let discover = sent(&alone.timer());
    assert_eq!(alone.answer(&discover, MessageType::Offer, ONE), []);
    assert!(alone.client.wake_at().unwrap() <= super::OTHERS_FIRST);
    assert_eq!(server_of(&sent(&alone.timer())), Some(ONE));
}

#[test]
fn a_refusal_starts_over_after_a_pause() {
    let mut bench = Bench::new(vec![]);
    let discover = sent(&bench.timer());
    let request = sent(&bench.answer(&discover, MessageType::Offer, ONE));
    assert_eq!(bench.answer(&request, MessageType::Nak, OTHER), [], "not the server's to refuse");
    assert_eq!(bench.answer(&request, MessageType::Nak, ONE), []);
    assert!(bench.client.trouble().unwrap().contains("refused"));
    assert_eq!(bench.answer(&request, MessageType::Ack, ONE), [], "too late");
    let before = bench.now;
    let again = sent(&bench.timer());
    assert!(bench.now - before >= Duration::from_secs(1));
    assert_eq!(again.opts().msg_type(), Some(MessageType::Discover));
    assert_ne!(again.xid(), discover.xid());
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let mut bench = Bench::new(vec![]);
    let discover = sent(&bench.timer());
    bench.answer(&discover, MessageType::Offer, ONE);
    for _ in 1..super::MAX_SELECTS {
        assert_eq!(server_of(&sent(&bench.timer())), Some(ONE));
    }
    let discover = sent(&bench.timer());
    assert_eq!(discover.opts().msg_type(), Some(MessageType::Discover));
    assert_eq!(bench.answer(&discover, MessageType::Offer, ONE), []);
    let request = sent(&bench.answer(&discover, MessageType::Offer, OTHER));
    assert_eq!(server_of(&request), Some(OTHER));
}

#[test]
fn a_lease_is_renewed_by_its_server_then_by_any() {
    let mut bench = Bench::new(vec![]);
    bench.bind();
    let actions = bench.timer();
    assert_eq!(bench.now, Duration::from_secs(1800));
    assert!(matches!(actions[..], [Action::Send { to: Some(ONE), .. }]));
    let renewal = sent(&actions);
    assert_eq!(renewal.ciaddr(), ADDRESS);
    assert_eq!(bench.answer(&renewal, MessageType::Ack, OTHER), []);
    bound(&bench.answer(&renewal, MessageType::Ack, ONE));

    // Silence: the server again, then everybody, then the lease is over.
    let since = bench.now;
    let mut to_all = 0;
    loop {
        let actions = bench.timer();
        match &actions[..] {
            [Action::Send { to: Some(server), .. }] => {
                assert_eq!((*server, to_all), (ONE, 0));
                assert!(bench.now - since < Duration::from_secs(3150));
            }
            [Action::Send { to: None, .. }] => {
                to_all += 1;
                assert!(bench.now - since >= Duration::from_secs(3150));
            }
            [Action::Lost(_), Action::Send { to: None, message }] => {
                assert_eq!(bench.now - since, Duration::from_secs(3600));
                let message = v4::Message::from_bytes(message).unwrap();
                assert_eq!(message.opts().msg_type(), Some(MessageType::Discover));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(to_all > 1);
}

#[test]
fn any_server_may_extend_in_the_end() {
    let mut bench = Bench::new(vec![]);
    bench.bind();
    let everybody = loop {
        let actions = bench.timer();
        if matches!(actions[..], [Action::Send { to: None, .. }]) {
            break sent(&actions);
        }
    };
    let lease = bound(&bench.answer(&everybody, MessageType::Ack, OTHER));
    assert_eq!(lease.server, OTHER);
}

#[test]
fn a_lease_that_is_taken_back_is_lost() {
    let mut bench = Bench::new(vec![]);
    bench.bind();
    let renewal = sent(&bench.timer());
    assert!(matches!(
        bench.answer(&renewal, MessageType::Nak, ONE)[..],
        [Action::Lost("the server took the lease back")]
    ));
    assert_eq!(sent(&bench.timer()).opts().msg_type(), Some(MessageType::Discover));
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut bench = Bench::new(vec![]);
    let discover = sent(&bench.timer());
    let offer = reply(discover.xid(), MessageType::Offer, ONE, ADDRESS, INFINITE);
    bench.client.handle(bench.now, Event::Datagram(&offer));
    let ack = reply(discover.xid(), MessageType::Ack, ONE, ADDRESS, INFINITE);
    bound(&bench.client.handle(bench.now, Event::Datagram(&ack)));
    assert_eq!(bench.client.wake_at(), None);
}

#[test]
fn a_tiny_lease_does_not_make_a_busy_loop() {
    let mut bench = Bench::new(vec![]);
    let discover = sent(&bench.timer());
    let offer = reply(discover.xid(), MessageType::Offer, ONE, ADDRESS, 0);
    bench.client.handle(bench.now, Event::Datagram(&offer));
    let ack = reply(discover.xid(), MessageType::Ack, ONE, ADDRESS, 0);
    bound(&bench.client.handle(bench.now, Event::Datagram(&ack)));
    assert!(bench.client.wake_at().unwrap() >= Duration::from_secs(8));
}

/// What an arbitrary world does to a client.
#[derive(Clone, Debug)]
enum Step {
    Timer,
    Early,
    Noise(Vec<u8>),
    /// An answer to the last message of the client.
    Answer {
        kind: u8,
        server: u8,
        lease: u32,
        address: u32,
    },
    /// The same for another client or another request.
    Foreign {
        kind: u8,
        other_mac: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Timer),
        1 => Just(Step::Early),
        1 => prop::collection::vec(any::<u8>(), 0..600).prop_map(Step::Noise),
        4 => (1_u8..9, 1_u8..4, any::<u32>(), any::<u32>()).prop_map(
            |(kind, server, lease, address)| Step::Answer { kind, server, lease, address }
        ),
        2 => (1_u8..9, any::<bool>())
            .prop_map(|(kind, other_mac)| Step::Foreign { kind, other_mac }),
    ]
}

proptest! {
    #[test]
    fn no_world_makes_it_panic_hurry_or_believe_strangers(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut client = Client::new(MAC, Random::seeded(seed), vec![], Duration::ZERO);
        client.without_conflict_check();
        let mut now = Duration::ZERO;
        let mut xid = 0;
        for step in steps {
            let timer = matches!(step, Step::Timer);
            let foreign = matches!(step, Step::Foreign { .. });
            let actions = match step {
                Step::Timer => match client.wake_at() {
                    Some(at) => { now = now.max(at); client.handle(now, Event::Timer) }
                    None => vec![],
                },
                Step::Early => {
                    let early = client.wake_at().is_none_or(|at| at > now);
                    let actions = client.handle(now, Event::Timer);
                    prop_assert!(!early || actions.is_empty());
                    actions
                }
                Step::Noise(bytes) => client.handle(now, Event::Datagram(&bytes)),
                Step::Answer { kind, server, lease, address } => {
                    let server = Ipv4Addr::new(10, 0, 0, server);
                    let bytes = reply(xid, kind.into(), server, address.into(), lease);
                    client.handle(now, Event::Datagram(&bytes))
                }
                Step::Foreign { kind, other_mac } => {
                    let other_xid = if other_mac { xid } else { xid.wrapping_add(1) };
                    let mut bytes = reply(other_xid, kind.into(), ONE, ADDRESS, 60);
                    bytes[33] ^= u8::from(other_mac);
                    client.handle(now, Event::Datagram(&bytes))
                }
            };
            prop_assert!(!foreign || actions.is_empty());
            for action in &actions {
                match action {
                    Action::Send { message, .. } => {
                        prop_assert!(message.len() <= 1500);
                        xid = v4::Message::from_bytes(message).unwrap().xid();
                    }
                    Action::Bound(lease) => {
                        prop_assert!(crate::dhcp::message::is_host(lease.address));
                    }
                    Action::Lost(_) | Action::SendArp(_) => {}
                }
            }
            // Whatever the timer did, the next thing it does is at least a second away.
            if timer && let Some(at) = client.wake_at() {
                prop_assert!(at >= now + Duration::from_secs(1), "{at:?} at {now:?}");
            }
        }
    }
}
