//! Time: what a machine may believe about it, and whether a period of validity contains it.
//!
//! A boot image knows when it was built: its *floor*. Real time cannot be earlier. The real-time
//! clock (RTC) of a machine is believed if it is neither before the floor nor absurdly far behind it;
//! otherwise it is a clock that has lost its battery, and no bound that needs it is enforced. What
//! expired before the floor is refused in any case.
//!
//! Network time (SNTP) is not authenticated. It may set the clock to anything that an RTC would be
//! believed, and never to a moment before the floor.
//!
//! Witnesses of a Sigsum log sign the time at which they saw its tree. Where a policy trusts a quorum
//! of them, their cosignatures under a package raise the floor for what is judged with that package:
//! see [`Clock::raised_to`].
//!
//! An RTC may also run on local time, which lies up to 14 hours beside UTC. Where it runs behind, what
//! was issued in the last hours would not be valid yet; so a validity that is judged by an RTC may
//! begin up to [`LOCAL_TIME_SECONDS`] after it. No end of a validity is moved for that: where the RTC
//! runs ahead, something is refused that ends within hours anyway.

use core::fmt;
use core::str::FromStr;

const SECONDS_PER_DAY: i64 = 86_400;

/// How far an RTC on local time can lie beside UTC: the zones go from UTC−12 to UTC+14, and an RTC may
/// have been set in any of them.
pub const LOCAL_TIME_SECONDS: u32 = 14 * 3600;

/// A moment in UTC, in whole seconds since 1970-01-01T00:00:00Z. Shown in the form of RFC 3339.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(SECONDS_PER_DAY));
        let second = self.0.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Not a moment as [`Timestamp`] is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a date of the form 2026-11-21T22:07:17Z")]
pub struct TimestampError;

/// Reads what `Display` writes for the years 0000 to 9999, and nothing else.
impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let number = |range| -> Result<i64, TimestampError> {
            let digits: &str = text.get(range).ok_or(TimestampError)?;
            digits.parse::<u16>().map(i64::from).map_err(|_| TimestampError)
        };
        let days = days_from_civil(number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let timestamp = Self(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second);
        // Whatever is no date, has no such hour or is written otherwise comes out otherwise.
        if timestamp.to_string() == text { Ok(timestamp) } else { Err(TimestampError) }
    }
}

/// The number of days since 1970-01-01 of a day of the proleptic Gregorian calendar: the inverse of
/// [`civil_from_days`]. Any number for what is no day.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month_from_march) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month (1 to 12) and day (1 to 31) of the proleptic Gregorian calendar for a number of days
/// since 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year and the month lengths
/// before it follow one linear formula; 400 years (an era) always have 146 097 days.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // 719 468 days lie between 0000-03-01 and 1970-01-01. No overflow: days are seconds / 86 400.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Why a period of validity does not contain the present.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TimeError {
    /// The period ended at this moment.
    #[error("expired {0}")]
    Expired(Timestamp),
    /// The period begins at this moment.
    #[error("not valid before {0}")]
    NotYetValid(Timestamp),
}

/// Where the time comes from that validities are judged by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClockSource {
    /// The real-time clock of the machine, which is plausible.
    Rtc,
    /// A time server, whose answer is plausible. Nothing proves it.
    Sntp,
    /// Nothing plausible: the build time of the boot image, which the present is not before.
    Floor,
    /// An operator, or the system time of the operator's own machine.
    Given,
}

impl ClockSource {
    /// Lower-case name, as the boot report has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtc => "rtc",
            Self::Sntp => "sntp",
            Self::Floor => "floor",
            Self::Given => "given",
        }
    }
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known about the present.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    rtc: Timestamp,
    floor: Timestamp,
    /// The last moment that is believed.
    latest: Timestamp,
    /// The present, unless the source is [`ClockSource::Floor`]; never before the floor.
    now: Timestamp,
    source: ClockSource,
}

impl Clock {
    /// The clock of a machine that boots. `rtc` is what it shows, `floor` the build time of the boot
    /// image (or later, where authenticated evidence says so). The clock is trusted if
    /// floor ≤ rtc ≤ floor + `max_skew_seconds`.
    #[must_use]
    pub fn from_rtc(rtc: Timestamp, floor: Timestamp, max_skew_seconds: u64) -> Self {
        let latest = Timestamp(floor.0.saturating_add_unsigned(max_skew_seconds));
        let source =
            if floor <= rtc && rtc <= latest { ClockSource::Rtc } else { ClockSource::Floor };
        Self { rtc, floor, latest, now: rtc, source }
    }

    /// A clock that is right: a date that an operator gave, or the system time of the operator's own
    /// machine. Both bounds of every validity are enforced.
    #[must_use]
    pub const fn exactly(at: Timestamp) -> Self {
        Self { rtc: at, floor: at, latest: at, now: at, source: ClockSource::Given }
    }

    /// The same clock, set by a time server that says `now`. `None` if that lies outside of the window
    /// in which an RTC is plausible, or if this clock is [`Clock::exactly`] right: then nothing is to
    /// be changed.
    #[must_use]
    pub fn with_network_time(self, now: Timestamp) -> Option<Self> {
        let plausible = self.floor <= now && now <= self.latest;
        (plausible && self.source != ClockSource::Given).then_some(Self {
            now,
            source: ClockSource::Sntp,
            ..self
        })
    }

    /// The same clock, given authenticated evidence that the present is not before `evidence`, such
    /// as the time at which a quorum of Sigsum witnesses has cosigned.
    ///
    /// The floor rises to that moment. A clock that is behind it by no more than
    /// [`LOCAL_TIME_SECONDS`] counts as showing it; one that is further behind is wrong, and not
    /// trusted any more. The end of the window in which clocks are believed stays where it was:
    /// evidence of one moment makes no clock believable that was not. A clock that is
    /// [`Clock::exactly`] right stays as it is.
    #[must_use]
    pub fn raised_to(self, evidence: Timestamp) -> Self {
        if self.source == ClockSource::Given || evidence <= self.floor {
            return self;
        }
        let raised = Self { floor: evidence, ..self };
        if self.source == ClockSource::Floor || evidence <= self.now {
            raised
        } else if evidence <= self.plus_local_time() {
            Self { now: evidence, ..raised }
        } else {
            Self { source: ClockSource::Floor, ..raised }
        }
    }

    /// Whether the present is known: by a plausible RTC or time server, or because it was given.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        !matches!(self.source, ClockSource::Floor)
    }

    /// Where the time comes from.
    #[must_use]
    pub const fn source(&self) -> ClockSource {
        self.source
    }

    /// The earliest moment that the present can be.
    #[must_use]
    pub const fn floor(&self) -> Timestamp {
        self.floor
    }

    /// The last moment that is believed of an RTC or a time server.
    #[must_use]
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The reading of the RTC, plausible or not.
    #[must_use]
    pub const fn rtc(&self) -> Timestamp {
        self.rtc
    }

    /// The moment at which something that is valid from `not_before` on is judged: the time if it is
    /// known, else the floor or `not_before`, whichever is later. By an RTC, which may run on local
    /// time, it is `not_before` also where that is up to [`LOCAL_TIME_SECONDS`] ahead.
    #[must_use]
    pub fn now_for(&self, not_before: Timestamp) -> Timestamp {
        match self.source {
            ClockSource::Floor => self.floor.max(not_before),
            ClockSource::Rtc if not_before <= self.plus_local_time() => self.now.max(not_before),
            ClockSource::Rtc | ClockSource::Sntp | ClockSource::Given => self.now,
        }
    }

    fn plus_local_time(&self) -> Timestamp {
        Timestamp(self.now.0.saturating_add(LOCAL_TIME_SECONDS.into()))
    }

    /// Whether a period of validity, both ends included, contains the present as far as it is known.
    ///
    /// A chain of certificates is judged as one: from the latest `not_before` to the earliest
    /// `not_after` in it.
    ///
    /// # Errors
    ///
    /// [`TimeError`]. What ended before the floor is expired whatever the RTC shows. On a clock that
    /// is not trusted, [`TimeError::NotYetValid`] never occurs.
    pub fn check(&self, not_before: Timestamp, not_after: Timestamp) -> Result<(), TimeError> {
        // Never before the floor: a clock that is, is not trusted.
        let now = self.now_for(not_before);
        if not_after < now {
            Err(TimeError::Expired(not_after))
        } else if now < not_before {
            Err(TimeError::NotYetValid(not_before))
        } else {
            Ok(())
        }
    }

    /// Whether something that has no beginning, and ends with `not_after`, has not ended as far as is
    /// known: [`Clock::check`] for what has been valid for ever.
    ///
    /// # Errors
    ///
    /// [`TimeError::Expired`]: always for what ended before the floor, and for what ended since where
    /// the clock is trusted.
    pub fn check_end(&self, not_after: Timestamp) -> Result<(), TimeError> {
        // No clock is before its floor.
        self.check(self.floor, not_after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::Clock;
    use super::ClockSource;
    use super::LOCAL_TIME_SECONDS;
    use super::TimeError;
    use super::Timestamp;
    use super::TimestampError;

    const DAY: i64 = 86_400;
    const YEAR: i64 = 365 * DAY;
    const FLOOR: Timestamp = Timestamp(1_780_272_000);
    const TEN_YEARS: u64 = crate::DEFAULT_MAX_CLOCK_SKEW;

    fn at(offset: i64) -> Timestamp {
        Timestamp(FLOOR.0 + offset)
    }

    #[test]
    fn times_are_shown_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_298_837, "2026-11-21T22:07:17Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_date_in_this_form_is_not_read() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T22:07:17",
            "2026-11-21T22:07:17+00:00",
            "2026-11-21 22:07:17Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T22:07:60Z",
            "+026-11-21T22:07:17Z",
            "2026-11-21T22:07:17Zé",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
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
            assert_eq!(
                clock.check(at(DAY + 1), at(2 * DAY)),
                Err(TimeError::NotYetValid(at(DAY + 1)))
            );
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
            assert_eq!(
                Clock::from_rtc(rtc, FLOOR, TEN_YEARS).check(issued, end),
                Ok(()),
                "{beside}"
            );
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
            for now in [Timestamp(i64::MIN), at(-1), at(TEN_YEARS as i64 + 1), Timestamp(i64::MAX)]
            {
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

        #[test]
        fn any_time_can_be_shown(seconds: i64) {
            let text = Timestamp(seconds).to_string();
            proptest::prop_assert!(text.ends_with('Z'));
        }

        #[test]
        fn dates_are_read_as_they_are_shown(seconds in -62_167_219_200_i64..253_402_300_800) {
            let text = Timestamp(seconds).to_string();
            proptest::prop_assert_eq!(text.parse(), Ok(Timestamp(seconds)));
        }

        #[test]
        fn reading_a_date_never_panics(text in "[0-9TZ:+-]{0,24}|\\PC{0,24}") {
            if let Ok(timestamp) = text.parse::<Timestamp>() {
                proptest::prop_assert_eq!(timestamp.to_string(), text);
            }
        }

        #[test]
        fn dates_agree_with_a_calendar_library(seconds in -62_135_596_800_i64..253_402_300_800) {
            let known = time::OffsetDateTime::from_unix_timestamp(seconds)?;
            let (date, clock) = (known.date(), known.time());
            proptest::prop_assert_eq!(
                Timestamp(seconds).to_string(),
                format!(
                    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                    date.year(), u8::from(date.month()), date.day(),
                    clock.hour(), clock.minute(), clock.second()
                )
            );
        }
    }
}
