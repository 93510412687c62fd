//! Moments in UTC, and the calendar behind their form.

use core::fmt;
use core::str::FromStr;

const SECONDS_PER_DAY: i64 = 86_400;

/// A moment in UTC, in whole seconds since 1970-01-01T00:00:00Z. Shown in the form of RFC 3339.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub(super) i64);

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

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::Timestamp;
    use super::TimestampError;

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

    proptest! {
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
