//! The client against scripted and against arbitrary servers.

use core::time::Duration;

use dhcproto::v6;
use dhcproto::v6::DhcpOption;
use dhcproto::v6::MessageType;
use proptest::prelude::*;

use super::Action;
use super::COLLECT;
use super::Client;
use super::Event;
use super::MAX_DECLINES;
use super::MAX_REQUESTS;
use super::Mode;
use super::OTHERS_FIRST;
use crate::backoff::Random;
use crate::dhcp6::Lease;
use crate::dhcp6::duid::Duid;
use crate::dhcp6::samples::ADDRESS;
use crate::dhcp6::samples::Answer;
use crate::dhcp6::samples::IAID;
use crate::dhcp6::samples::MAC;
use crate::dhcp6::samples::meant;
use crate::dhcp6::samples::read;
use crate::dhcp6::samples::server;

/// A client with a clock.
struct Bench {
    client: Client,
    now: Duration,
    /// The last message that it sent.
    last: Option<v6::Message>,
}

impl Bench {
    fn new(mode: Mode, avoid: Vec<Duid>) -> Self {
        let client =
            Client::new(Duid::of_mac(MAC), IAID, mode, Random::seeded(1), avoid, Duration::ZERO);
        Self { client, now: Duration::ZERO, last: None }
    }

    fn note(&mut self, actions: Vec<Action>) -> Vec<Action> {
        for action in &actions {
            if let Action::Send(message) = action {
                self.last = Some(read(message));
            }
        }
        actions
    }

    /// Lets time pass until the client wants to be woken.
    fn timer(&mut self) -> Vec<Action> {
        self.now = self.client.wake_at().expect("sleeps for ever");
        let actions = self.client.handle(self.now, Event::Timer);
        self.note(actions)
    }

    /// Lets time pass until the client sends a message, and says of which type it is.
    fn sends(&mut self) -> MessageType {
        loop {
            if let [.., Action::Send(_)] = self.timer()[..] {
                return self.last_type();
            }
        }
    }

    fn last_type(&self) -> MessageType {
        self.last.as_ref().unwrap().msg_type()
    }

    fn last_meant(&self) -> (Option<Duid>, Option<core::net::Ipv6Addr>) {
        meant(self.last.as_ref().unwrap())
    }

    /// An answer to the last message, still to be changed.
    fn answer(&self, kind: MessageType, from: u8) -> Answer {
        Answer::new(kind, self.last.as_ref().unwrap().xid_num(), from)
    }

    fn hear(&mut self, answer: &Answer) -> Vec<Action> {
        let actions = self.client.handle(self.now, Event::Datagram(&answer.encode()));
        self.note(actions)
    }

    fn advertise(&mut self, from: u8, preference: u8) -> Vec<Action> {
        let mut answer = self.answer(MessageType::Advertise, from);
        answer.more = vec![DhcpOption::Preference(preference)];
        self.hear(&answer)
    }

    fn reply(&mut self, from: u8) -> Vec<Action> {
        let answer = self.answer(MessageType::Reply, from);
        self.hear(&answer)
    }

    /// From start to lease with server 1.
    fn bind(&mut self) -> Lease {
        assert_eq!(self.sends(), MessageType::Solicit);
        self.advertise(1, 0);
        assert_eq!(self.sends(), MessageType::Request);
        bound(&self.reply(1))
    }
}

fn bound(actions: &[Action]) -> Lease {
    let [Action::Bound(lease)] = actions else { panic!("not a lease: {actions:?}") };
    lease.clone()
}

#[test]
fn the_way_to_a_lease() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    assert_eq!(bench.sends(), MessageType::Solicit);
    assert_eq!(bench.now, Duration::ZERO, "the first message goes out at once");
    assert_eq!(bench.advertise(1, 0), []);
    assert_eq!(bench.sends(), MessageType::Request);
    assert_eq!(bench.now, COLLECT);
    assert_eq!(bench.last_meant(), (Some(server(1)), Some(ADDRESS)));
    assert_eq!(bench.reply(2), [], "not the server that was asked");
    let lease = bound(&bench.reply(1));
    assert_eq!((lease.address, lease.seconds), (Some(ADDRESS), 7200));
    assert_eq!((lease.preferred_seconds, lease.server), (3600, server(1)));
    assert_eq!(bench.client.servers(), [server(1)]);
    assert_eq!(bench.client.rounds(), 0);
}

#[test]
fn a_server_may_commit_at_once() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    assert_eq!(bench.reply(1), [], "only with the option");
    let mut answer = bench.answer(MessageType::Reply, 1);
    answer.more = vec![DhcpOption::RapidCommit];
    assert_eq!(bound(&bench.hear(&answer)).address, Some(ADDRESS));

    let mut picky = Bench::new(Mode::Stateful, vec![server(9)]);
    picky.sends();
    let mut answer = picky.answer(MessageType::Reply, 1);
    answer.more = vec![DhcpOption::RapidCommit];
    assert_eq!(picky.hear(&answer), [], "who passes over servers does not ask for it");
}

#[test]
fn preference_decides() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    for (from, preference) in [(1, 3), (2, 7), (3, 7), (4, 0)] {
        assert_eq!(bench.advertise(from, preference), []);
    }
    bench.sends();
    assert_eq!(bench.last_meant().0, Some(server(2)));

    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    bench.advertise(1, 3);
    assert!(matches!(bench.advertise(2, 255)[..], [Action::Send(_)]), "at once");
    assert_eq!(bench.last_meant().0, Some(server(2)));
}

#[test]
fn who_has_no_address_is_passed_over() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    let mut answer = bench.answer(MessageType::Advertise, 1);
    answer.address = None;
    answer.status = Some(v6::Status::NoAddrsAvail);
    answer.more = vec![DhcpOption::Preference(255)];
    assert_eq!(bench.hear(&answer), []);
    assert!(bench.client.trouble().unwrap().contains("no address"));
    assert_eq!(bench.client.servers(), []);
    bench.advertise(2, 0);
    bench.sends();
    assert_eq!(bench.last_meant().0, Some(server(2)));
    // At the last moment this one has none either.
    let mut answer = bench.answer(MessageType::Reply, 2);
    answer.status = Some(v6::Status::NotOnLink);
    let before = bench.now;
    assert_eq!(bench.hear(&answer), []);
    assert_eq!(bench.sends(), MessageType::Solicit);
    assert!(bench.now >= before + Duration::from_secs(1));
}

#[test]
fn an_avoided_server_is_the_second_choice() {
    let mut bench = Bench::new(Mode::Stateful, vec![server(1)]);
    bench.sends();
    assert_eq!(bench.advertise(1, 255), []);
    bench.advertise(2, 0);
    bench.sends();
    assert_eq!(bench.last_meant().0, Some(server(2)));

    let mut alone = Bench::new(Mode::Stateful, vec![server(1)]);
    alone.sends();
    alone.advertise(1, 255);
    alone.sends();
    assert_eq!((alone.last_meant().0, alone.now), (Some(server(1)), OTHERS_FIRST));
}

#[test]
fn silence_is_answered_with_patience() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    for about in [1, 2, 4, 8, 16, 30, 30, 30] {
        let before = bench.now;
        assert_eq!(bench.sends(), MessageType::Solicit);
        let waited = (bench.now - before).as_millis();
        assert!(waited >= about * 700 && waited <= about * 1400, "{waited} ms, not {about}");
    }
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    bench.advertise(1, 255);
    for _ in 1..MAX_REQUESTS {
        assert_eq!(bench.sends(), MessageType::Request);
    }
    assert_eq!(bench.sends(), MessageType::Solicit);
    assert!(bench.client.trouble().unwrap().contains("did not answer"));
    assert_eq!(bench.advertise(1, 255), []);
    bench.advertise(2, 0);
    assert_eq!(bench.sends(), MessageType::Request);
    assert_eq!(bench.last_meant().0, Some(server(2)));
}

#[test]
fn a_lease_is_renewed_by_its_server_then_by_any_then_over() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.bind();
    let since = bench.now;
    assert_eq!(bench.sends(), MessageType::Renew);
    assert_eq!(bench.now, since + Duration::from_secs(1800));
    assert_eq!(bench.last_meant(), (Some(server(1)), Some(ADDRESS)));
    assert_eq!(bench.reply(2), []);
    bound(&bench.reply(1));

    let since = bench.now;
    let mut last = since + Duration::from_secs(1800);
    let mut rebinds = 0;
    loop {
        let actions = bench.timer();
        let age = bench.now - since;
        match (&actions[..], bench.last_type()) {
            ([Action::Send(_)], MessageType::Renew) => {
                assert!(age < Duration::from_secs(2880) && rebinds == 0);
            }
            ([Action::Send(_)], MessageType::Rebind) => {
                assert!(age >= Duration::from_secs(2880) && age < Duration::from_secs(7200));
                assert_eq!(bench.last_meant(), (None, Some(ADDRESS)));
                rebinds += 1;
            }
            ([Action::Lost(_), Action::Send(_)], MessageType::Solicit) => {
                assert_eq!(age, Duration::from_secs(7200));
                break;
            }
            other => panic!("{other:?}"),
        }
        assert!(bench.now == last || bench.now >= last + Duration::from_secs(1));
        last = bench.now;
    }
    assert!(rebinds > 5);
}

#[test]
fn any_server_may_extend_in_the_end() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.bind();
    while bench.sends() != MessageType::Rebind {}
    let lease = bound(&bench.reply(2));
    assert_eq!((lease.address, lease.server), (Some(ADDRESS), server(2)));
}

#[test]
fn a_server_that_forgot_the_lease_is_asked_for_it_anew() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.bind();
    assert_eq!(bench.sends(), MessageType::Renew);
    let mut answer = bench.answer(MessageType::Reply, 1);
    answer.address = None;
    answer.status = Some(v6::Status::NoBinding);
    let before = bench.now;
    assert_eq!(bench.hear(&answer), [], "the lease holds");
    assert_eq!(bench.sends(), MessageType::Request);
    assert!(bench.now >= before + Duration::from_secs(1));
    assert_eq!(bench.last_meant(), (Some(server(1)), Some(ADDRESS)));
    assert_eq!(bound(&bench.reply(1)).address, Some(ADDRESS));
}

#[test]
fn a_lease_that_is_taken_back_is_lost() {
    for (valid, status) in [(0, None), (7200, Some(v6::Status::NotOnLink))] {
        let mut bench = Bench::new(Mode::Stateful, vec![]);
        bench.bind();
        bench.sends();
        let mut answer = bench.answer(MessageType::Reply, 1);
        (answer.preferred, answer.valid, answer.status) = (0, valid, status);
        assert!(matches!(bench.hear(&answer)[..], [Action::Lost(_)]));
        assert_eq!(bench.sends(), MessageType::Solicit);
    }
}

#[test]
fn an_answer_that_says_nothing_changes_nothing() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.bind();
    bench.sends();
    for status in [None, Some(v6::Status::UnspecFail), Some(v6::Status::UseMulticast)] {
        let mut answer = bench.answer(MessageType::Reply, 1);
        answer.address = None;
        answer.status = status;
        assert_eq!(bench.hear(&answer), [], "{status:?}");
    }
    assert_eq!(bench.sends(), MessageType::Renew);
}

#[test]
fn a_duplicate_address_is_declined() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.bind();
    let other = "2001:db8::99".parse().unwrap();
    assert_eq!(bench.client.handle(bench.now, Event::Duplicate(other)), []);
    let actions = bench.client.handle(bench.now, Event::Duplicate(ADDRESS));
    assert!(matches!(actions[..], [Action::Lost(_), Action::Send(_)]));
    assert!(bench.client.in_conflict());
    bench.note(actions);
    assert_eq!(bench.last_type(), MessageType::Decline);
    assert_eq!(bench.last_meant(), (Some(server(1)), Some(ADDRESS)));
    // Silence: a few times more, then from the beginning.
    let mut declines = 1;
    while bench.sends() == MessageType::Decline {
        declines += 1;
    }
    assert_eq!((declines, bench.last_type()), (MAX_DECLINES, MessageType::Solicit));
}

#[test]
fn without_addresses_only_the_rest_is_asked_for() {
    let mut bench = Bench::new(Mode::Stateless, vec![]);
    assert_eq!(bench.sends(), MessageType::InformationRequest);
    assert_eq!(bench.reply(1), [], "it says nothing");
    let dns = DhcpOption::DomainNameServers(vec!["2001:db8::53".parse().unwrap()]);
    let mut answer = bench.answer(MessageType::Reply, 2);
    answer.more = vec![dns.clone()];
    let lease = bound(&bench.hear(&answer));
    assert_eq!((lease.address, lease.dns.len(), lease.server), (None, 1, server(2)));
    let since = bench.now;
    assert_eq!(bench.sends(), MessageType::InformationRequest);
    assert_eq!(bench.now - since, Duration::from_secs(86_400));
    let mut answer = bench.answer(MessageType::Reply, 2);
    answer.more = vec![dns, DhcpOption::InformationRefreshTime(1)];
    bound(&bench.hear(&answer));
    assert_eq!(bench.client.wake_at(), Some(bench.now + Duration::from_secs(600)));
}

#[test]
fn who_is_avoided_is_passed_over_for_a_while_without_addresses_too() {
    let mut bench = Bench::new(Mode::Stateless, vec![server(1)]);
    let answers = |bench: &mut Bench, from| {
        let mut answer = bench.answer(MessageType::Reply, from);
        answer.more = vec![DhcpOption::DomainNameServers(vec!["2001:db8::53".parse().unwrap()])];
        bench.hear(&answer)
    };
    bench.sends();
    let begun = bench.now;
    while bench.now < begun + OTHERS_FIRST {
        assert_eq!(answers(&mut bench, 1), []);
        bench.sends();
    }
    assert_eq!(bound(&answers(&mut bench, 1)).server, server(1), "there is nobody else");

    let mut bench = Bench::new(Mode::Stateless, vec![server(1)]);
    bench.sends();
    assert_eq!(answers(&mut bench, 1), []);
    assert_eq!(bound(&answers(&mut bench, 2)).server, server(2));
}

#[test]
fn a_tiny_lease_does_not_make_a_busy_loop() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    bench.advertise(1, 255);
    let mut answer = bench.answer(MessageType::Reply, 1);
    (answer.preferred, answer.valid, answer.times) = (1, 1, (1, 1));
    bound(&bench.hear(&answer));
    assert!(bench.client.wake_at().unwrap() >= bench.now + Duration::from_secs(8));
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    bench.sends();
    bench.advertise(1, 255);
    let mut answer = bench.answer(MessageType::Reply, 1);
    (answer.preferred, answer.valid, answer.times) = (u32::MAX, u32::MAX, (0, 0));
    bound(&bench.hear(&answer));
    assert_eq!(bench.client.wake_at(), None);
}

#[test]
fn what_cannot_be_sent_is_tried_again_soon() {
    let mut bench = Bench::new(Mode::Stateful, vec![]);
    let mut tries = 0;
    while bench.now < Duration::from_secs(60) {
        assert_eq!(bench.sends(), MessageType::Solicit);
        bench.client.handle(bench.now, Event::Unsent);
        tries += 1;
    }
    assert!((60..=90).contains(&tries), "{tries} tries in a minute");
    assert_eq!(bench.client.rounds(), 0, "none went out");
}

/// What an arbitrary world does to a client.
#[derive(Clone, Debug)]
enum Step {
    Timer,
    Early,
    Unsent,
    Duplicate,
    Noise(Vec<u8>),
    /// An answer to the last message of the client.
    Answer {
        reply: bool,
        from: u8,
        status: u8,
        life: (u32, u32),
        times: (u32, u32),
        more: u8,
    },
    /// The same for another request.
    Foreign {
        reply: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let number = || prop_oneof![Just(0_u32), 1_u32..200, any::<u32>(), Just(u32::MAX)];
    prop_oneof![
        4 => Just(Step::Timer),
        1 => Just(Step::Early),
        1 => Just(Step::Unsent),
        1 => Just(Step::Duplicate),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Step::Noise),
        6 => (any::<bool>(), 1_u8..4, 0_u8..9, (number(), number()), (number(), number()), 0_u8..4)
            .prop_map(|(reply, from, status, life, times, more)| Step::Answer {
                reply, from, status, life, times, more
            }),
        1 => any::<bool>().prop_map(|reply| Step::Foreign { reply }),
    ]
}

const STATUSES: [v6::Status; 6] = [
    v6::Status::Success,
    v6::Status::UnspecFail,
    v6::Status::NoAddrsAvail,
    v6::Status::NoBinding,
    v6::Status::NotOnLink,
    v6::Status::UseMulticast,
];

fn kind(reply: bool) -> MessageType {
    if reply { MessageType::Reply } else { MessageType::Advertise }
}

proptest! {
    /// Whatever a world does, the client neither panics nor hurries nor believes strangers; and
    /// when a good server answers after that, there is a lease.
    #[test]
    fn no_world_breaks_it_for_good(
        seed in any::<u64>(),
        stateless in any::<bool>(),
        steps in prop::collection::vec((0_u64..2000, step()), 1..100),
    ) {
        let mode = if stateless { Mode::Stateless } else { Mode::Stateful };
        let mut bench = Bench::new(mode, vec![]);
        bench.client =
            Client::new(Duid::of_mac(MAC), IAID, mode, Random::seeded(seed), vec![], Duration::ZERO);
        let (mut sent, mut excused, mut held) = (0_u64, 0_u64, false);
        let mut xid = 0;
        for (wait, step) in steps {
            bench.now += Duration::from_millis(wait);
            let foreign = matches!(step, Step::Foreign { .. });
            let timer = matches!(step, Step::Timer);
            let actions = match step {
                Step::Timer => match bench.client.wake_at() {
                    Some(at) => {
                        bench.now = bench.now.max(at);
                        bench.client.handle(bench.now, Event::Timer)
                    }
                    None => vec![],
                },
                Step::Early => {
                    let early = bench.client.wake_at().is_none_or(|at| at > bench.now);
                    let actions = bench.client.handle(bench.now, Event::Timer);
                    prop_assert!(!early || actions.is_empty());
                    actions
                }
                Step::Unsent => {
                    excused += 1;
                    bench.client.handle(bench.now, Event::Unsent)
                }
                Step::Duplicate => bench.client.handle(bench.now, Event::Duplicate(ADDRESS)),
                Step::Noise(bytes) => bench.client.handle(bench.now, Event::Datagram(&bytes)),
                Step::Answer { reply, from, status, life, times, more } => {
                    let mut answer = Answer::new(kind(reply), xid, from);
                    answer.status = STATUSES.get(usize::from(status)).copied();
                    (answer.preferred, answer.valid) = life;
                    answer.times = times;
                    if more & 1 != 0 {
                        answer.more.push(DhcpOption::RapidCommit);
                    }
                    if more & 2 != 0 {
                        answer.more.push(DhcpOption::Preference(255));
                    }
                    bench.client.handle(bench.now, Event::Datagram(&answer.encode()))
                }
                Step::Foreign { reply } => {
                    let answer = Answer::new(kind(reply), xid ^ 1, 1);
                    bench.client.handle(bench.now, Event::Datagram(&answer.encode()))
                }
            };
            prop_assert!(!foreign || actions.is_empty());
            for action in bench.note(actions) {
                match action {
                    Action::Send(message) => {
                        sent += 1;
                        prop_assert!(message.len() <= 1500);
                        xid = read(&message).xid_num();
                    }
                    Action::Bound(_) => held = true,
                    Action::Lost(_) => {
                        prop_assert!(held, "lost what it did not have");
                        held = false;
                    }
                }
            }
            let next = bench.client.wake_at();
            prop_assert!(!timer || next.is_none_or(|at| at > bench.now), "{next:?}");
        }
        // A round with a server that is quick to answer and to refuse: at most three messages,
        // then a pause of a second.
        let most = 4 + 4 * bench.now.as_secs() + excused;
        prop_assert!(sent <= most, "{sent} messages in {:?}", bench.now);

        for _ in 0..200 {
            if held || bench.client.wake_at().is_none() {
                break;
            }
            let mut queue = bench.timer();
            while let Some(action) = queue.pop() {
                match action {
                    Action::Send(_) => {
                        let reply = match bench.last_type() {
                            MessageType::Solicit => false,
                            MessageType::Decline => continue,
                            _ => true,
                        };
                        let mut answer = bench.answer(kind(reply), 9);
                        if let (Some(to), _) = bench.last_meant() {
                            answer.server = *to.as_bytes().last().unwrap();
                        }
                        let dns = "2001:db8::53".parse().unwrap();
                        answer.more = vec![DhcpOption::DomainNameServers(vec![dns])];
                        queue.extend(bench.hear(&answer));
                    }
                    Action::Bound(_) => held = true,
                    Action::Lost(_) => {}
                }
            }
        }
        prop_assert!(held);
    }
}
