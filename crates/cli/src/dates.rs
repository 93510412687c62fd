//! Dates as operators write them: RFC 3339, or a day, in UTC.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use trust::Clock;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// Reads `2026-11-21T22:07:17Z`, another RFC 3339 date with its offset, or `2026-11-21`, which is
/// the first second of that day in UTC. Gives Unix seconds.
///
/// # Errors
/// One line that says how a date is written.
pub fn parse(text: &str) -> Result<i64, String> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_second());
    }
    let day = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if day
        && let Ok(date) = text.parse::<Date>()
        && let Ok(midnight) = date.to_zoned(TimeZone::UTC)
    {
        return Ok(midnight.timestamp().as_second());
    }
    Err("write it as 2026-11-21T22:07:17Z or 2026-11-21 (UTC), a day that there is before the end of 9999"
        .to_owned())
}

/// The clock that a package is judged by: exactly what the operator gave, else that of a machine whose
/// time is right. The latter can be proven wrong by witnesses of a later time, as a machine's can.
#[must_use]
pub fn clock(given: Option<i64>) -> Clock {
    match given {
        Some(at) => Clock::exactly(trust::Timestamp::from_unix(at)),
        None => right_clock(now()),
    }
}

/// The clock of a machine whose time is right at this moment.
pub(crate) fn right_clock(at: i64) -> Clock {
    let at = trust::Timestamp::from_unix(at);
    let clock = Clock::from_rtc(at, at, trust::DEFAULT_MAX_CLOCK_SKEW);
    // Unlike an RTC, which may run on local time, a time server enforces both ends of a validity.
    clock.with_network_time(at).unwrap_or(clock)
}

/// As [`parse`], but a whole number is taken as Unix seconds (the form of `SOURCE_DATE_EPOCH`).
///
/// # Errors
/// One line that says how a date is written.
pub fn parse_or_epoch(text: &str) -> Result<i64, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(i64::from(seconds)),
        Err(_) => parse(text).map_err(|words| format!("{words}, or as Unix seconds")),
    }
}

/// As [`parse`], for the end of a package: manifests have years of four digits only.
///
/// # Errors
/// One line that says how a date is written.
pub fn parse_end(text: &str) -> Result<trust::Timestamp, String> {
    let end = trust::Timestamp::from_unix(parse(text)?);
    if end.to_string().parse() == Ok(end) {
        Ok(end)
    } else {
        Err("its year must have four digits".to_owned())
    }
}

/// The time of this computer, in Unix seconds.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}

/// RFC 3339 in UTC, to the second.
#[must_use]
pub fn format(unix: i64) -> String {
    Timestamp::from_second(unix).map_or_else(|_| unix.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_utc() {
        assert_eq!(parse("1970-01-02").unwrap(), DAY);
        assert_eq!(parse("1970-01-02T00:00:00Z").unwrap(), DAY);
        assert_eq!(parse("1970-01-02T02:00:00+02:00").unwrap(), DAY);
        assert_eq!(format(DAY), "1970-01-02T00:00:00Z");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "yesterday", "2026-13-01", "2026-02-30", "2026-1-1", "20261121", "1.5"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse_or_epoch("86400").unwrap(), DAY);
        assert_eq!(parse_end("2027-06-30").unwrap().to_string(), "2027-06-30T00:00:00Z");
        assert!(parse_end("soon").is_err() && parse_end("-000001-01-01T00:00:00Z").is_err());
    }
}
