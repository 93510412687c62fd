//! The machine against routers that are good, gone, in doubt, and hostile.

use core::net::Ipv6Addr;
use core::time::Duration;

use proptest::prelude::*;

use super::Action;
use super::Event;
use super::MAX_EACH;
use super::MAX_ROUTERS;
use super::Machine;
use crate::backoff::Random;
use crate::slaac::samples;
use crate::slaac::settings::Address;
use crate::slaac::settings::Prefix;
use crate::slaac::settings::Settings;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A machine with a clock.
struct Bench {
    machine: Machine,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self { machine: Machine::new(MAC, Random::seeded(1), Duration::ZERO), now: Duration::ZERO }
    }

    fn timer(&mut self) -> Vec<Action> {
        self.now = self.machine.wake_at().expect("sleeps for ever");
        self.machine.handle(self.now, Event::Timer)
    }

    /// Lets time pass, and everything happen that is due.
    fn until(&mut self, seconds: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.machine.wake_at().is_some_and(|at| at <= Duration::from_secs(seconds)) {
            actions.extend(self.timer());
        }
        self.now = Duration::from_secs(seconds);
        actions
    }

    fn hear(&mut self, source: &str, bytes: &[u8]) -> Vec<Action> {
        let event = Event::Packet { bytes, source: ip(source), hop_limit: 255 };
        self.machine.handle(self.now, event)
    }

    fn settings(&self) -> &Settings {
        self.machine.settings()
    }

    fn addresses(&self) -> Vec<Ipv6Addr> {
        self.settings().addresses.iter().map(|address| address.address).collect()
    }
}

fn prefix(valid: u32, preferred: u32) -> Vec<u8> {
    samples::prefix("2001:db8:7::", 64, 0xc0, valid, preferred)
}

#[test]
fn one_advertisement_gives_everything() {
    let mut bench = Bench::new();
    assert!(matches!(bench.timer()[..], [Action::Solicit(_)]));
    assert_eq!(bench.now, Duration::ZERO, "the first goes out at once");
    assert_eq!(bench.hear("fe80::1", &samples::full()), [Action::Changed]);
    let settings = bench.settings().clone();
    let address = ip("2001:db8:7:0:5054:ff:fe12:3456");
    assert_eq!(settings.addresses, [Address { address, deprecated: false }]);
    assert_eq!(settings.on_link, [Prefix { network: ip("2001:db8:7::"), prefix_len: 64 }]);
    assert_eq!(settings.routers, [ip("fe80::1")]);
    assert_eq!(settings.routes[0].gateway, ip("fe80::1"));
    assert_eq!(settings.dns, [ip("2001:db8:7::53"), ip("fe80::53")]);
    assert_eq!(settings.search, ["lab.example.net"]);
    assert_eq!((settings.mtu, settings.managed, settings.other), (Some(1400), true, true));
    // The same again is no change, and nobody is asked any more.
    assert_eq!(bench.hear("fe80::1", &samples::full()), []);
    assert_eq!(bench.until(299), []);
}

#[test]
fn silence_is_answered_with_patience() {
    let mut bench = Bench::new();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let before = bench.now;
        assert!(matches!(bench.timer()[..], [Action::Solicit(_)]));
        pauses.push(bench.now - before);
    }
    for (pause, about) in pauses[1..].iter().zip([2, 4, 8, 16, 32, 32, 32]) {
        let (pause, about) = (pause.as_millis(), about * 1000);
        assert!(pause * 10 >= about * 9 && pause * 10 <= about * 11, "{pause} ms, not {about}");
    }
    assert_eq!(bench.machine.solicitations(), 8);
}

#[test]
fn what_cannot_be_sent_is_tried_again_soon_but_not_hotly() {
    let mut bench = Bench::new();
    let mut tries = 0;
    while bench.now < Duration::from_secs(60) {
        assert!(matches!(bench.timer()[..], [Action::Solicit(_)]));
        bench.machine.handle(bench.now, Event::Unsent);
        tries += 1;
        assert!(bench.machine.wake_at().unwrap() <= bench.now + Duration::from_secs(1));
    }
    assert!((60..=90).contains(&tries), "{tries} tries in a minute");
    assert_eq!(bench.machine.solicitations(), 0, "none went out");
}

#[test]
fn lifetimes_come_to_their_end() {
    let mut bench = Bench::new();
    bench.timer();
    let options = [prefix(1000, 500), samples::dns(&["2001:db8:7::53"], 300)].concat();
    bench.hear("fe80::1", &samples::router(800, 0, &options));
    bench.until(299);
    assert_eq!(bench.settings().dns.len(), 1);
    assert_eq!(bench.until(300), [Action::Changed]);
    assert!(bench.settings().dns.is_empty());
    assert_eq!(bench.until(500), [Action::Changed]);
    assert!(bench.settings().addresses[0].deprecated);
    let actions = bench.until(800);
    assert!(actions.contains(&Action::Changed));
    assert!(bench.settings().routers.is_empty());
    assert!(actions.iter().any(|action| matches!(action, Action::Solicit(_))), "asks again");
    bench.until(1000);
    let nothing = Settings { heard: true, ..Settings::default() };
    assert_eq!(*bench.settings(), nothing);
}

#[test]
fn a_router_that_says_goodbye_is_left_for_the_next() {
    let mut bench = Bench::new();
    bench.timer();
    bench.hear("fe80::1", &samples::router(1800, 0, &[]));
    bench.hear("fe80::2", &samples::router(1800, 0x08, &[]));
    bench.hear("fe80::3", &samples::router(1800, 0x18, &[]));
    assert_eq!(bench.settings().routers, [ip("fe80::2"), ip("fe80::1"), ip("fe80::3")]);
    assert_eq!(bench.hear("fe80::2", &samples::router(0, 0, &[])), [Action::Changed]);
    assert_eq!(bench.settings().routers, [ip("fe80::1"), ip("fe80::3")]);
    for router in ["fe80::1", "fe80::3"] {
        bench.hear(router, &samples::router(0, 0, &[]));
    }
    assert!(bench.machine.wake_at().unwrap() <= bench.now + Duration::from_secs(2));
}

#[test]
fn a_router_without_prefix_and_a_prefix_without_router_both_count() {
    let mut bench = Bench::new();
    bench.timer();
    bench.hear("fe80::2", &samples::router(0, 0, &prefix(600, 600)));
    assert_eq!((bench.addresses().len(), bench.settings().routers.len()), (1, 0));
    assert!(bench.machine.wake_at().unwrap() <= Duration::from_secs(3), "still looks for a router");
    bench.hear("fe80::1", &samples::router(1800, 0x80, &[]));
    assert!(bench.settings().managed && !bench.settings().other);
}

#[test]
fn forged_lifetimes_do_not_take_an_address_away() {
    let mut bench = Bench::new();
    bench.timer();
    bench.hear("fe80::1", &samples::router(1800, 0, &prefix(86_400, 86_400)));
    bench.hear("fe80::66", &samples::router(0, 0, &prefix(1, 1)));
    bench.until(7199);
    assert_eq!(bench.addresses().len(), 1, "two hours at least");
    bench.until(7200);
    assert_eq!(bench.addresses(), [] as [Ipv6Addr; 0]);
    // A short lifetime stays what it is.
    bench.hear("fe80::1", &samples::router(1800, 0, &prefix(60, 60)));
    bench.hear("fe80::1", &samples::router(1800, 0, &prefix(30, 30)));
    bench.until(7200 + 59);
    assert_eq!(bench.addresses().len(), 1);
    bench.until(7200 + 60);
    assert_eq!(bench.addresses().len(), 0);
}

#[test]
fn a_duplicate_address_is_replaced_twice() {
    let mut bench = Bench::new();
    bench.timer();
    bench.hear("fe80::1", &samples::router(1800, 0, &prefix(600, 600)));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let [address] = bench.addresses()[..] else { panic!("{:?}", bench.settings()) };
        assert!(!seen.contains(&address));
        assert_eq!(address.to_bits() >> 64, ip("2001:db8:7::").to_bits() >> 64);
        seen.push(address);
        let actions = bench.machine.handle(bench.now, Event::Duplicate(address));
        assert_eq!(actions, [Action::Changed]);
        assert!(bench.machine.trouble().is_some());
    }
    assert_eq!(bench.addresses(), [] as [Ipv6Addr; 0]);
    bench.hear("fe80::1", &samples::router(1800, 0, &prefix(900, 900)));
    assert_eq!(bench.addresses(), [] as [Ipv6Addr; 0], "not again while the prefix is known");
    assert_eq!(bench.machine.handle(bench.now, Event::Duplicate(seen[0])), [], "not ours any more");
}

#[test]
fn infinite_lifetimes_need_no_timer() {
    let mut bench = Bench::new();
    bench.timer();
    let options = samples::prefix("2001:db8:7::", 64, 0xc0, u32::MAX, u32::MAX);
    bench.hear("fe80::1", &samples::router(1800, 0, &options));
    assert_eq!(bench.machine.wake_at(), Some(Duration::from_secs(1800)), "of the router");
    bench.until(100_000);
    assert_eq!(bench.addresses().len(), 1);
}

/// What an arbitrary link does.
#[derive(Clone, Debug)]
enum Step {
    Timer,
    Early,
    Unsent,
    Duplicate,
    Noise(Vec<u8>),
    Advertise { router: u8, lifetime: u16, network: u16, valid: u32, preferred: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let life = prop_oneof![Just(0_u32), 0_u32..100, any::<u32>()];
    prop_oneof![
        4 => Just(Step::Timer),
        1 => Just(Step::Early),
        1 => Just(Step::Unsent),
        1 => Just(Step::Duplicate),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Step::Noise),
        4 => (any::<u8>(), prop_oneof![Just(0_u16), any::<u16>()], 0_u16..20, life.clone(), life)
            .prop_map(|(router, lifetime, network, valid, preferred)| Step::Advertise {
                router, lifetime, network, valid, preferred
            }),
    ]
}

proptest! {
    #[test]
    fn no_link_makes_it_panic_hurry_or_grow(
        seed in any::<u64>(),
        steps in prop::collection::vec((0_u64..3000, step()), 1..150),
    ) {
        let mut machine = Machine::new(MAC, Random::seeded(seed), Duration::ZERO);
        let (mut now, mut sent, mut excused) = (Duration::ZERO, 0_u64, 0_u64);
        for (wait, step) in steps {
            now += Duration::from_millis(wait);
            let timer = matches!(step, Step::Timer);
            let early = machine.wake_at().is_none_or(|at| at > now);
            let actions = match step {
                Step::Timer => {
                    now = machine.wake_at().map_or(now, |at| at.max(now));
                    machine.handle(now, Event::Timer)
                }
                Step::Early => {
                    let actions = machine.handle(now, Event::Timer);
                    prop_assert!(!early || actions.is_empty());
                    actions
                }
                Step::Unsent => {
                    excused += 1;
                    machine.handle(now, Event::Unsent)
                }
                Step::Duplicate => match machine.settings().addresses.first() {
                    Some(address) => {
                        let address = address.address;
                        machine.handle(now, Event::Duplicate(address))
                    }
                    None => vec![],
                },
                Step::Noise(bytes) => {
                    let event = Event::Packet { bytes: &bytes, source: ip("fe80::9"), hop_limit: 255 };
                    machine.handle(now, event)
                }
                Step::Advertise { router, lifetime, network, valid, preferred } => {
                    let network = format!("2001:db8:{network:x}::");
                    let options = [
                        samples::prefix(&network, 64, 0xc0, valid, preferred),
                        samples::dns(&[&network], valid),
                    ]
                    .concat();
                    let bytes = samples::router(lifetime, router, &options);
                    let source = ip(&format!("fe80::{router:x}"));
                    machine.handle(now, Event::Packet { bytes: &bytes, source, hop_limit: 255 })
                }
            };
            sent += actions.iter().filter(|action| matches!(action, Action::Solicit(_))).count() as u64;
            let settings = machine.settings();
            prop_assert!(settings.routers.len() <= MAX_ROUTERS);
            prop_assert!(settings.addresses.len() <= MAX_EACH && settings.on_link.len() <= MAX_EACH);
            prop_assert!(settings.dns.len() <= MAX_EACH && settings.routes.len() <= MAX_EACH);
            // Whatever wakes it next after it has been woken is in the future.
            let next = machine.wake_at();
            prop_assert!(!timer || next.is_none_or(|at| at > now), "{next:?} {now:?}");
        }
        // One at once, then not more than one in 1.8 s, but for those that did not go out.
        let most = 1 + now.as_millis() as u64 / 1800 + excused;
        prop_assert!(sent <= most, "{sent} solicitations in {now:?}, {excused} excused");
    }

    #[test]
    fn a_good_router_gives_an_address_in_the_end(
        seed in any::<u64>(),
        steps in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..120)), 0..40),
    ) {
        let mut machine = Machine::new(MAC, Random::seeded(seed), Duration::ZERO);
        let mut now = Duration::ZERO;
        for (router, options) in steps {
            let bytes = samples::router(0, router, &options);
            let event = Event::Packet { bytes: &bytes, source: ip("fe80::66"), hop_limit: 255 };
            machine.handle(now, event);
            now = machine.wake_at().unwrap();
            machine.handle(now, Event::Timer);
        }
        let good = samples::router(1800, 0, &prefix(3600, 3600));
        let event = Event::Packet { bytes: &good, source: ip("fe80::1"), hop_limit: 255 };
        machine.handle(now, event);
        let settings = machine.settings();
        prop_assert!(settings.routers.contains(&ip("fe80::1")));
        prop_assert!(settings.addresses.iter().any(|one| one.address == ip("2001:db8:7:0:5054:ff:fe12:3456")));
    }
}
