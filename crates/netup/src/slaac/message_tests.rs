//! Advertisements written by hand, byte for byte, and arbitrary ones.

use core::net::Ipv6Addr;

use proptest::prelude::*;

use super::Advertisement;
use super::MAX_EACH;
use super::MAX_MESSAGE;
use super::MAX_SEARCH;
use super::Preference;
use super::PrefixInfo;
use super::Rejected;
use super::RouteInfo;
use super::solicitation;
use crate::slaac::samples;
use crate::v6::is_host;
use crate::v6::is_server;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn parse(bytes: &[u8]) -> Result<Advertisement, Rejected> {
    Advertisement::parse(bytes, ROUTER, 255)
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn a_solicitation_names_our_link_address() {
    assert_eq!(
        solicitation([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]
    );
}

#[test]
fn everything_that_routers_say_is_read() {
    let advertisement = parse(&samples::full()).unwrap();
    assert_eq!(
        advertisement,
        Advertisement {
            lifetime: 1800,
            preference: Preference::High,
            managed: true,
            other: true,
            mtu: Some(1400),
            prefixes: vec![PrefixInfo {
                network: ip("2001:db8:7::"),
                prefix_len: 64,
                on_link: true,
                autonomous: true,
                valid: 86400,
                preferred: 14400,
            }],
            routes: vec![RouteInfo {
                destination: ip("2001:db8:9::"),
                prefix_len: 48,
                seconds: 600
            }],
            dns: vec![(ip("2001:db8:7::53"), 300), (ip("fe80::53"), 300)],
            search: vec![("lab.example.net".to_owned(), 300)],
        }
    );
}

#[test]
fn what_comes_from_beyond_the_link_is_rejected() {
    let bytes = samples::full();
    for (source, hop_limit) in [("fe80::1", 254), ("fe80::1", 0), ("2001:db8::1", 255), ("::", 255)]
    {
        assert_eq!(
            Advertisement::parse(&bytes, ip(source), hop_limit),
            Err(Rejected::NotOfTheLink)
        );
    }
}

#[test]
fn lengths_that_lie_reject_the_message() {
    let bytes = samples::full();
    assert_eq!(parse(&bytes[..15]), Err(Rejected::Length));
    assert_eq!(parse(&[&bytes[..], &[0; MAX_MESSAGE]].concat()), Err(Rejected::Length));
    assert_eq!(parse(&bytes[..bytes.len() - 1]), Err(Rejected::Options));
    for option in [&[3][..], &[3, 0], &[3, 4, 0], &[1, 255, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(parse(&[&bytes[..16], option].concat()), Err(Rejected::Options), "{option:?}");
    }
    for (at, value) in [(0, 133), (0, 136), (1, 1)] {
        let mut broken = bytes.clone();
        broken[at] = value;
        assert_eq!(parse(&broken), Err(Rejected::Type));
    }
}

#[test]
fn senseless_options_are_left_out_alone() {
    let good = samples::prefix("2001:db8:7::", 64, 0xc0, 60, 30);
    let options = [
        // A prefix that is preferred for longer than it is valid, link-local, multicast, too long,
        // everything; an MTU that IPv6 cannot have.
        samples::prefix("2001:db8::", 64, 0xc0, 30, 60),
        samples::prefix("fe80::", 64, 0xc0, 60, 30),
        samples::prefix("ff02::", 64, 0xc0, 60, 30),
        samples::prefix("2001:db8::", 129, 0xc0, 60, 30),
        samples::prefix("::", 0, 0xc0, 60, 30),
        vec![5, 1, 0, 0, 0, 0, 2, 0],
        vec![3, 1, 64, 0xc0, 0, 0, 0, 0],
        vec![25, 1, 0, 0, 0, 0, 0, 9],
        good,
    ]
    .concat();
    let advertisement = parse(&samples::router(1800, 0, &options)).unwrap();
    assert_eq!(advertisement.mtu, None);
    assert_eq!(advertisement.dns, []);
    let [prefix] = advertisement.prefixes[..] else { panic!("{advertisement:?}") };
    assert_eq!(prefix.network, ip("2001:db8:7::"));
}

#[test]
fn addresses_are_made_of_prefixes_of_64_bits_only() {
    for (length, autonomous) in [(63, false), (64, true), (65, false), (48, false)] {
        let options = samples::prefix("2001:db8:7::", length, 0xc0, 60, 30);
        let advertisement = parse(&samples::router(0, 0, &options)).unwrap();
        assert_eq!(advertisement.prefixes[0].autonomous, autonomous, "/{length}");
        assert!(advertisement.prefixes[0].on_link);
    }
}

fn advertisement() -> impl Strategy<Value = Vec<u8>> {
    let option = (0_u8..40, 0_u8..6, prop::collection::vec(any::<u8>(), 48)).prop_map(
        |(code, eights, data)| {
            // Mostly the codes that mean something.
            let code = [3, 5, 24, 25, 31].get(usize::from(code) % 6).copied().unwrap_or(code);
            let mut option = vec![code, eights];
            option.extend_from_slice(&data[..(usize::from(eights) * 8).saturating_sub(2)]);
            option
        },
    );
    (any::<u8>(), prop::collection::vec(option, 0..12))
        .prop_map(|(flags, options)| samples::router(9000, flags, &options.concat()))
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn what_is_believed_is_bounded(bytes in advertisement()) {
        if let Ok(advertisement) = parse(&bytes) {
            prop_assert!(advertisement.prefixes.len() <= MAX_EACH);
            for prefix in &advertisement.prefixes {
                prop_assert!(is_host(prefix.network) && prefix.prefix_len <= 128);
                prop_assert!(prefix.preferred <= prefix.valid);
            }
            prop_assert!(advertisement.routes.len() <= MAX_EACH);
            prop_assert!(advertisement.dns.len() <= MAX_EACH);
            prop_assert!(advertisement.dns.iter().all(|(server, _)| is_server(*server)));
            prop_assert!(advertisement.search.len() <= MAX_SEARCH);
            prop_assert!(advertisement.mtu.is_none_or(|mtu| (1280..=65535).contains(&mtu)));
        }
    }
}
