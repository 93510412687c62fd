use proptest::proptest;

use super::Clock;
use super::ClockSource;
use super::LOCAL_TIME_SECONDS;
use super::TimeError;
use super::Timestamp;

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;
const FLOOR: Timestamp = Timestamp(1_780_272_000);
const TEN_YEARS: u64 = crate::DEFAULT_MAX_CLOCK_SKEW;

fn at(offset: i64) -> Timestamp {
    Timestamp(FLOOR.0 + offset)
}

#[test]
fn the_clock_is_believed_inside_its_window_only() {
    let trusted = |rtc| Clock::from_rtc(rtc, FLOOR, TEN_YEARS).is_trusted();
    assert!(trusted(FLOOR) && trusted(at(9 * YEAR)) && trusted(at(TEN_YEARS as i64)));
    assert!(!trusted(at(-1)) && !trusted(at(TEN_YEARS as i64 + 1)));
    assert!(!trusted(Timestamp(0)) && !trusted(Timestamp(4_070_908_800)));
    assert!(Clock::from_rtc(FLOOR, FLOOR, 0).is_trusted());
    assert!(!Clock::from_rtc(at(1), FLOOR, 0).is_trusted());
    assert!(Clock::from_rtc(Timestamp(i64::MAX), FLOOR, u64::MAX).is_trusted());
}

#[test]
fn both_bounds_hold_where_the_time_is_known_and_include_their_ends() {
    for clock in [by_network(at(DAY)), Clock::exactly(at(DAY))] {
        assert_eq!(clock.check(at(DAY), at(DAY)), Ok(()));
        assert_eq!(clock.check(at(0), at(DAY - 1)), Err(TimeError::Expired(at(DAY - 1))));
        assert_eq!(clock.check(at(DAY + 1), at(2 * DAY)), Err(TimeError::NotYetValid(at(DAY + 1))));
    }
}

fn by_network(now: Timestamp) -> Clock {
    Clock::from_rtc(Timestamp(0), FLOOR, TEN_YEARS).with_network_time(now).unwrap()
}

#[test]
fn an_rtc_on_local_time_takes_what_was_issued_just_now_and_nothing_that_has_ended() {
    let hours = i64::from(LOCAL_TIME_SECONDS);
    // Built a month ago, issued this minute, ends in a year: an RTC anywhere from UTC−12 to UTC+14.
    let (issued, end) = (at(30 * DAY), at(395 * DAY));
    for beside in -14..=14 {
        let rtc = at(30 * DAY + beside * 3600);
        assert_eq!(Clock::from_rtc(rtc, FLOOR, TEN_YEARS).check(issued, end), Ok(()), "{beside}");
    }
    let clock = Clock::from_rtc(at(DAY), FLOOR, TEN_YEARS);
    assert_eq!(clock.check(at(DAY + hours), at(2 * DAY)), Ok(()));
    assert_eq!(
        clock.check(at(DAY + hours + 1), at(2 * DAY)),
        Err(TimeError::NotYetValid(at(DAY + hours + 1)))
    );
    assert_eq!(clock.check(at(0), at(DAY)), Ok(()));
    assert_eq!(clock.check(at(0), at(DAY - 1)), Err(TimeError::Expired(at(DAY - 1))));
    // A period that ended before it began is none, however the clock may be beside.
    assert_eq!(clock.check(at(DAY + 60), at(DAY + 59)), Err(TimeError::Expired(at(DAY + 59))));
    // Built this minute: an RTC behind that is not believed at all.
    let behind = Clock::from_rtc(at(-8 * 3600), FLOOR, TEN_YEARS);
    assert_eq!((behind.source(), behind.check(at(0), end)), (ClockSource::Floor, Ok(())));
}

#[test]
fn network_time_is_taken_from_the_window_of_the_rtc_only() {
    for rtc in [Timestamp(0), at(DAY), at(9 * YEAR), Timestamp(4_070_908_800)] {
        let clock = Clock::from_rtc(rtc, FLOOR, TEN_YEARS);
        for now in [FLOOR, at(5 * YEAR), at(TEN_YEARS as i64)] {
            let set = clock.with_network_time(now).unwrap();
            assert_eq!(set.source(), ClockSource::Sntp);
            assert_eq!((set.rtc(), set.floor(), set.now_for(at(0))), (rtc, FLOOR, now));
        }
        for now in [Timestamp(i64::MIN), at(-1), at(TEN_YEARS as i64 + 1), Timestamp(i64::MAX)] {
            assert_eq!(clock.with_network_time(now), None);
        }
    }
    assert_eq!(Clock::exactly(at(0)).with_network_time(at(0)), None);
}

#[test]
fn a_clock_says_where_its_time_is_from() {
    let source = |clock: Clock| clock.source().to_string();
    assert_eq!(source(Clock::from_rtc(at(1), FLOOR, TEN_YEARS)), "rtc");
    assert_eq!(source(Clock::from_rtc(at(-1), FLOOR, TEN_YEARS)), "floor");
    assert_eq!(source(by_network(at(1))), "sntp");
    assert_eq!(source(Clock::exactly(at(1))), "given");
}

#[test]
fn only_the_floor_holds_on_a_clock_that_is_not_trusted() {
    for rtc in [Timestamp(0), Timestamp(978_307_200), Timestamp(4_070_908_800)] {
        let clock = Clock::from_rtc(rtc, FLOOR, TEN_YEARS);
        assert_eq!(clock.check(at(-DAY), at(0)), Ok(()));
        assert_eq!(clock.check(at(YEAR), at(2 * YEAR)), Ok(()));
        assert_eq!(clock.check(at(-DAY), at(-1)), Err(TimeError::Expired(at(-1))));
        assert_eq!(clock.check(at(DAY), at(DAY - 1)), Err(TimeError::Expired(at(DAY - 1))));
        assert_eq!(clock.now_for(at(-DAY)), FLOOR);
        assert_eq!(clock.now_for(at(DAY)), at(DAY));
    }
}

#[test]
fn a_date_that_an_operator_gives_overrides_everything() {
    let clock = Clock::exactly(Timestamp(0));
    assert!(clock.is_trusted());
    assert_eq!((clock.floor(), clock.rtc()), (Timestamp(0), Timestamp(0)));
    assert_eq!(clock.check(Timestamp(-5), Timestamp(5)), Ok(()));
}

proptest! {
    #[test]
    fn what_expired_before_the_floor_never_passes(
        rtc: i64, floor: i64, skew: u64, not_before: i64, before in 1_i64..
    ) {
        let clock = Clock::from_rtc(Timestamp(rtc), Timestamp(floor), skew);
        let not_after = Timestamp(floor.saturating_sub(before));
        proptest::prop_assume!(not_after.0 < floor);
        let result = clock.check(Timestamp(not_before), not_after);
        proptest::prop_assert_eq!(result, Err(TimeError::Expired(not_after)));
    }

    #[test]
    fn network_time_makes_nothing_valid_that_expired_before_the_floor(
        rtc: i64, floor: i64, skew: u64, now: i64, not_before: i64, before in 1_i64..
    ) {
        let clock = Clock::from_rtc(Timestamp(rtc), Timestamp(floor), skew);
        let not_after = Timestamp(floor.saturating_sub(before));
        proptest::prop_assume!(not_after.0 < floor);
        if let Some(set) = clock.with_network_time(Timestamp(now)) {
            proptest::prop_assert!(floor <= now);
            let result = set.check(Timestamp(not_before), not_after);
            proptest::prop_assert_eq!(result, Err(TimeError::Expired(not_after)));
        }
    }

    #[test]
    fn an_end_alone_is_judged_by_floor_and_trusted_clock(
        rtc: i64, floor: i64, skew: u64, network: Option<i64>, not_after: i64
    ) {
        let clock = Clock::from_rtc(Timestamp(rtc), Timestamp(floor), skew);
        let set = network.and_then(|now| clock.with_network_time(Timestamp(now)));
        let clock = set.unwrap_or(clock);
        // What is known of the present: the time that is believed, else the floor alone.
        let now = match clock.source() {
            ClockSource::Sntp => network.unwrap_or_default(),
            ClockSource::Rtc => rtc,
            _ => floor,
        };
        let ended = not_after < floor || not_after < now;
        let expected = if ended { Err(TimeError::Expired(Timestamp(not_after))) } else { Ok(()) };
        proptest::prop_assert_eq!(clock.check_end(Timestamp(not_after)), expected);
        let exact = Clock::exactly(Timestamp(rtc)).check_end(Timestamp(not_after));
        proptest::prop_assert_eq!(exact.is_ok(), rtc <= not_after);
    }

    #[test]
    fn only_the_beginning_of_a_validity_is_judged_leniently(
        rtc in FLOOR.0..FLOOR.0 + 10 * YEAR, not_before in 0..FLOOR.0 + 20 * YEAR, length in 0..20 * YEAR
    ) {
        let not_after = Timestamp(not_before + length);
        let strict = Clock::exactly(Timestamp(rtc)).check(Timestamp(not_before), not_after);
        let ours = Clock::from_rtc(Timestamp(rtc), FLOOR, TEN_YEARS)
            .check(Timestamp(not_before), not_after);
        let ahead = not_before - rtc;
        let expected = match strict {
            Err(TimeError::NotYetValid(_)) if ahead <= i64::from(LOCAL_TIME_SECONDS) => Ok(()),
            other => other,
        };
        proptest::prop_assert_eq!(ours, expected);
    }

    #[test]
    fn what_is_valid_at_the_floor_and_after_passes_on_any_dead_clock(
        rtc in ..FLOOR.0, not_before: i64, length in 0_i64..
    ) {
        let clock = Clock::from_rtc(Timestamp(rtc), FLOOR, TEN_YEARS);
        let not_after = Timestamp(not_before.max(FLOOR.0).saturating_add(length));
        proptest::prop_assert_eq!(clock.check(Timestamp(not_before), not_after), Ok(()));
    }

    #[test]
    fn a_trusted_clock_agrees_with_plain_comparison(
        at: i64, not_before: i64, not_after: i64
    ) {
        let valid = not_before <= at && at <= not_after;
        let clock = Clock::exactly(Timestamp(at));
        let result = clock.check(Timestamp(not_before), Timestamp(not_after));
        proptest::prop_assert_eq!(result.is_ok(), valid);
    }
}
