//! The detector against polite, stubborn and arbitrary neighbours.

use core::net::Ipv4Addr;
use core::time::Duration;

use proptest::prelude::*;

use super::Action;
use super::DEFEND_INTERVAL;
use super::Detector;
use super::Event;
use super::Stance;
use crate::acd::packet::Packet;
use crate::backoff::Random;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const OTHER: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

fn detector(stance: Stance) -> Detector {
    Detector::new(MAC, ADDRESS, stance, Random::seeded(1), Duration::ZERO)
}

/// Runs until it has nothing more to do by itself; returns the time and what it did.
fn run(detector: &mut Detector) -> (Duration, Vec<Action>) {
    let (mut now, mut actions) = (Duration::ZERO, Vec::new());
    while let Some(at) = detector.wake_at() {
        now = at;
        actions.extend(detector.handle(now, Event::Timer));
    }
    (now, actions)
}

fn packets(actions: &[Action]) -> Vec<Packet> {
    let packet = |action: &Action| match action {
        Action::Send(frame) => Packet::parse(frame),
        _ => None,
    };
    actions.iter().filter_map(packet).collect()
}

fn hear(detector: &mut Detector, now: Duration, packet: Packet) -> Vec<Action> {
    detector.handle(now, Event::Frame(&packet.encode()))
}

#[test]
fn silence_frees_the_address_within_three_tenths_of_a_second() {
    let mut detector = detector(Stance::Yield);
    let mut now = Duration::ZERO;
    let mut actions = Vec::new();
    while !actions.contains(&Action::Free) {
        now = detector.wake_at().unwrap();
        actions.extend(detector.handle(now, Event::Timer));
    }
    assert!(now >= Duration::from_millis(230) && now <= Duration::from_millis(300), "{now:?}");
    assert_eq!(
        packets(&actions),
        [
            Packet::probe(MAC, ADDRESS),
            Packet::probe(MAC, ADDRESS),
            Packet::announcement(MAC, ADDRESS)
        ]
    );
    let (_, rest) = run(&mut detector);
    assert_eq!(packets(&rest), [Packet::announcement(MAC, ADDRESS)]);
    assert_eq!(detector.wake_at(), None);
}

#[test]
fn an_answer_is_a_conflict() {
    for packet in [
        Packet { request: false, target_mac: MAC, ..Packet::announcement(OTHER, ADDRESS) },
        Packet::announcement(OTHER, ADDRESS),
        Packet::probe(OTHER, ADDRESS),
    ] {
        let mut detector = detector(Stance::Hold);
        detector.handle(Duration::ZERO, Event::Timer);
        let now = Duration::from_millis(1);
        assert_eq!(hear(&mut detector, now, packet), [Action::Conflict(OTHER)]);
        assert_eq!(detector.wake_at(), None);
        assert_eq!(hear(&mut detector, now, packet), [], "said once");
    }
}

#[test]
fn what_is_no_claim_changes_nothing() {
    let mut watching = detector(Stance::Yield).exempting([[2; 6]]);
    watching.handle(Duration::ZERO, Event::Timer);
    let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
    for packet in [
        // Ours, come back over a bridge that loops; one of our other NICs; an ordinary question by
        // another machine; a switch that looks for us.
        Packet::announcement(MAC, ADDRESS),
        Packet::announcement([2; 6], ADDRESS),
        Packet { sender: elsewhere, ..Packet::probe(OTHER, ADDRESS) },
        Packet::probe(OTHER, elsewhere),
        Packet { target_mac: MAC, ..Packet::probe(OTHER, ADDRESS) },
    ] {
        assert_eq!(hear(&mut watching, Duration::from_millis(1), packet), [], "{packet:?}");
    }
    assert!(run(&mut watching).1.contains(&Action::Free));
}

#[test]
fn an_address_in_use_is_defended_once_then_given_up() {
    let claim = Packet::announcement(OTHER, ADDRESS);
    let mut detector = detector(Stance::Yield);
    let (now, _) = run(&mut detector);
    assert_eq!(hear(&mut detector, now, Packet::probe(OTHER, ADDRESS)), [], "the kernel answers");
    assert_eq!(packets(&hear(&mut detector, now, claim)), [Packet::announcement(MAC, ADDRESS)]);
    let later = now + DEFEND_INTERVAL;
    assert_eq!(packets(&hear(&mut detector, later, claim)), [Packet::announcement(MAC, ADDRESS)]);
    assert_eq!(hear(&mut detector, later, claim), [Action::Conflict(OTHER)]);
}

#[test]
fn an_address_that_cannot_be_replaced_is_held() {
    let claim = Packet::announcement(OTHER, ADDRESS);
    let mut detector = detector(Stance::Hold);
    let (now, _) = run(&mut detector);
    let mut sent = 0;
    for second in 0..100 {
        let now = now + Duration::from_secs(second);
        sent += packets(&hear(&mut detector, now, claim)).len();
    }
    assert_eq!(sent, 10, "once in ten seconds");
}

proptest! {
    #[test]
    fn no_neighbour_makes_it_hurry(
        seed in any::<u64>(),
        hold in any::<bool>(),
        steps in prop::collection::vec((0_u64..500, 0_u8..5, any::<u8>()), 1..120),
    ) {
        let stance = if hold { Stance::Hold } else { Stance::Yield };
        let mut detector =
            Detector::new(MAC, ADDRESS, stance, Random::seeded(seed), Duration::ZERO);
        let (mut now, mut sent, mut over) = (Duration::ZERO, 0_u64, false);
        for (wait, kind, value) in steps {
            now += Duration::from_millis(wait);
            let mut mac = OTHER;
            mac[5] = value;
            let actions = match kind {
                0 => detector.handle(now, Event::Timer),
                1 => hear(&mut detector, now, Packet::announcement(mac, ADDRESS)),
                2 => hear(&mut detector, now, Packet::probe(mac, ADDRESS)),
                3 => hear(&mut detector, now, Packet::announcement(MAC, ADDRESS)),
                _ => detector.handle(now, Event::Frame(&[value; 42])),
            };
            prop_assert!(!over || actions.is_empty());
            over |= actions.iter().any(|action| matches!(action, Action::Conflict(_)));
            sent += u64::try_from(packets(&actions).len()).unwrap();
        }
        // Probes, announcements, and one defence in ten seconds.
        prop_assert!(sent <= 5 + now.as_secs() / 10, "{sent} in {now:?}");
    }
}
