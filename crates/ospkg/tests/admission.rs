//! Release, channel and end of the signed manifest, held against trust policy and clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

mod common;

use std::io::Cursor;

use common::NOW;
use common::signed;
use ospkg::CreateOptions;
use ospkg::Manifest;
use ospkg::Package;
use ospkg::PackageError;
use proptest::prelude::*;
use report::Code;
use report::Coded;
use trust::Channel;
use trust::Clock;
use trust::DEFAULT_MAX_CLOCK_SKEW;
use trust::Sha256Digest;
use trust::Timestamp;

const DAY: i64 = 86_400;

fn at(offset: i64) -> Timestamp {
    Timestamp::from_unix(NOW + offset)
}

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}

/// Packs, signs, authorises by a policy with these further keys and by this clock, and opens.
fn open(options: CreateOptions, policy: &str, clock: &Clock) -> Result<Manifest, PackageError> {
    let options = CreateOptions {
        kernel_name: "vmlinuz".to_owned(),
        initramfs_name: "initramfs".to_owned(),
        ..options
    };
    let mut archive = Cursor::new(Vec::new());
    ospkg::create(&mut archive, &options, b"k"[..].into(), b"i"[..].into()).unwrap();
    let archive = archive.into_inner();
    let policy =
        format!(r#"{{"ospkg_signature_threshold": 1, "ospkg_fetch_method": "network"{policy}}}"#);
    let digest = Sha256Digest::of(&archive);
    let authorized = common::authorize_at(&policy, &signed(&archive), digest, clock).unwrap();
    Package::open(authorized, digest, Cursor::new(archive))
        .map(|package| package.manifest().clone())
}

fn exactly_now() -> Clock {
    Clock::exactly(at(0))
}

/// A machine whose boot image was built now, and whose clock has lost its battery.
fn dead_clock() -> Clock {
    Clock::from_rtc(Timestamp::from_unix(0), at(0), DEFAULT_MAX_CLOCK_SKEW)
}

/// A machine whose boot image was built 30 days ago.
fn machine() -> Clock {
    Clock::from_rtc(at(0), at(-30 * DAY), DEFAULT_MAX_CLOCK_SKEW)
}

#[test]
fn a_release_below_the_policys_is_refused_before_anything_is_unpacked() {
    let open = |release: Option<u64>, policy: &str| {
        open(CreateOptions { release, ..CreateOptions::default() }, policy, &exactly_now())
            .map(|manifest| manifest.release)
    };
    assert_eq!(open(None, "").unwrap(), None);
    assert_eq!(open(Some(0), "").unwrap(), Some(0));
    assert_eq!(open(Some(7), r#", "min_release": 7"#).unwrap(), Some(7));
    assert_eq!(open(Some(0), r#", "min_release": 0"#).unwrap(), Some(0));
    for (release, least, said) in [
        (Some(6), 7, "its release is 6, but the trust policy asks for release 7 or later"),
        (None, 7, "it has no release, but the trust policy asks for release 7 or later"),
        (None, 0, "it has no release, but the trust policy asks for release 0 or later"),
    ] {
        let error = open(release, &format!(r#", "min_release": {least}"#)).unwrap_err();
        assert_eq!(error.code(), Code::ReleaseTooOld);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_channel_that_the_policy_demands_is_the_only_one_that_opens() {
    let open = |name: Option<&str>, policy: &str| {
        let options = CreateOptions { channel: name.map(channel), ..CreateOptions::default() };
        open(options, policy, &exactly_now()).map(|manifest| manifest.channel)
    };
    let demand = r#", "channel": "stable""#;
    assert_eq!(open(None, "").unwrap(), None);
    assert_eq!(open(Some("beta"), "").unwrap(), Some(channel("beta")));
    assert_eq!(open(Some("stable"), demand).unwrap(), Some(channel("stable")));
    for (name, said) in [
        (None, "archive: it is of no channel, but the trust policy demands channel stable"),
        (Some("beta"), "archive: its channel is beta, but the trust policy demands channel stable"),
        (Some("Stable"), "its channel is Stable, but"),
        (Some("stable.1"), "its channel is stable.1, but"),
    ] {
        let error = open(name, demand).unwrap_err();
        assert_eq!(error.code(), Code::ChannelWrong);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn an_end_is_judged_by_floor_and_clock() {
    let set = |seconds| machine().with_network_time(at(seconds)).unwrap();
    for (end, clock, said) in [
        // The moment itself is still in.
        (at(0), exactly_now(), None),
        (at(-1), exactly_now(), Some("by the time that it is judged by")),
        (at(0), machine(), None),
        (at(-1), machine(), Some("by the machine's clock")),
        // The end is never moved for a clock that may run on local time.
        (at(-DAY), machine(), Some("by the machine's clock")),
        (at(DAY), set(DAY), None),
        (at(DAY - 1), set(DAY), Some("by a time server")),
        // A time server behind the clock makes it valid again, down to the floor.
        (at(-DAY), set(-DAY), None),
        // Nothing but the floor is known: what ends after it is not seen to have ended.
        (at(0), dead_clock(), None),
        (at(-1), dead_clock(), Some("by the build time of the boot image")),
    ] {
        let options = CreateOptions { not_after: Some(end), ..CreateOptions::default() };
        match (open(options, "", &clock), said) {
            (Ok(manifest), None) => assert_eq!(manifest.not_after, Some(end)),
            (Err(error), Some(said)) => {
                assert_eq!(error.code(), Code::PackageExpired);
                let text = error.to_string();
                assert!(text.contains(&format!("not_after {end}, and it is ")), "{text}");
                assert!(text.ends_with(said), "{text} does not say {said:?}");
            }
            (result, said) => panic!("{end} by {clock:?}: {result:?}, not {said:?}"),
        }
    }
}

#[test]
fn the_release_is_named_before_the_channel_and_the_channel_before_the_end() {
    let policy = r#", "min_release": 7, "channel": "stable""#;
    let mut options = CreateOptions { not_after: Some(at(-1)), ..CreateOptions::default() };
    let code =
        |options: &CreateOptions| open(options.clone(), policy, &exactly_now()).unwrap_err().code();
    assert_eq!(code(&options), Code::ReleaseTooOld);
    options.release = Some(7);
    assert_eq!(code(&options), Code::ChannelWrong);
    options.channel = Some(channel("stable"));
    assert_eq!(code(&options), Code::PackageExpired);
    options.not_after = Some(at(0));
    open(options, policy, &exactly_now()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The promise of the time rules: what ended before the floor opens on no clock.
    #[test]
    fn what_ended_before_the_floor_never_opens(
        rtc: i64, network in proptest::option::of(0_i64..20 * 365 * DAY), before in 1..400 * DAY,
    ) {
        let clock = Clock::from_rtc(Timestamp::from_unix(rtc), at(0), DEFAULT_MAX_CLOCK_SKEW);
        let set = network.and_then(|ahead| clock.with_network_time(at(ahead)));
        let clock = set.unwrap_or(clock);
        // Signers are valid at the floor; on a clock far ahead they may not be.
        prop_assume!(clock.now_for(at(0)) <= at(30 * DAY));
        let options = CreateOptions { not_after: Some(at(-before)), ..CreateOptions::default() };
        prop_assert_eq!(open(options, "", &clock).unwrap_err().code(), Code::PackageExpired);
    }

    /// A dead clock bricks no machine: what ends at the floor or later opens.
    #[test]
    fn what_ends_after_the_floor_opens_on_a_dead_clock(rtc in ..NOW, after in 0..400 * DAY) {
        let clock = Clock::from_rtc(Timestamp::from_unix(rtc), at(0), DEFAULT_MAX_CLOCK_SKEW);
        let options = CreateOptions { not_after: Some(at(after)), ..CreateOptions::default() };
        prop_assert!(open(options, "", &clock).is_ok());
    }

    /// All three together are nothing but each of them by itself.
    #[test]
    fn a_package_opens_if_release_channel_and_end_all_allow_it(
        release in proptest::option::of(0_u64..4), least in proptest::option::of(0_u64..4),
        name in proptest::option::of("[ab]"), wanted in proptest::option::of("[ab]"),
        end in proptest::option::of(-2_i64..2),
    ) {
        let options = CreateOptions {
            release,
            channel: name.as_deref().map(channel),
            not_after: end.map(at),
            ..CreateOptions::default()
        };
        let mut policy = String::new();
        if let Some(least) = least {
            policy.push_str(&format!(r#", "min_release": {least}"#));
        }
        if let Some(wanted) = &wanted {
            policy.push_str(&format!(r#", "channel": "{wanted}""#));
        }
        let allowed = least.is_none_or(|least| release.is_some_and(|release| release >= least))
            && (wanted.is_none() || name == wanted)
            && end.is_none_or(|end| end >= 0);
        prop_assert_eq!(open(options, &policy, &exactly_now()).is_ok(), allowed);
    }
}
