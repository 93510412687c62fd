//! From when until when a certificate is valid, as the options say it.

use crate::Result;
use crate::certificate::Validity;
use crate::dates;

/// How slow the clocks may be, in seconds, of those who are to take a certificate at once.
const SLOW_CLOCK: i64 = dates::DAY;

/// From 1970 to the end of 9999, the last year that a certificate can name.
const MOST_DAYS: u32 = 2_932_897;

#[derive(Debug, clap::Args)]
pub(super) struct Dates {
    /// First moment, such as 2026-11-21 or 2026-11-21T22:07:17Z. Without it: one day ago, so that
    /// machines whose clocks are slow take the certificate at once.
    #[arg(long, value_name = "DATE", value_parser = dates::parse, allow_hyphen_values = true)]
    valid_from: Option<i64>,
    /// Last moment, in place of a number of days.
    #[arg(long, value_name = "DATE", value_parser = dates::parse, conflicts_with = "valid_days")]
    valid_until: Option<i64>,
}

impl Dates {
    /// First and last second.
    pub(super) fn validity(&self, days: u32) -> Result<Validity> {
        let begin = self.valid_from.unwrap_or_else(dates::now);
        let not_before = self.valid_from.unwrap_or_else(|| begin.saturating_sub(SLOW_CLOCK));
        let not_after = self.valid_until.unwrap_or_else(|| Validity::days(begin, days).not_after);
        let validity = Validity { not_before, not_after };
        validity.check()?;
        Ok(validity)
    }
}

/// Reads a number of days.
pub(super) fn days(text: &str) -> core::result::Result<u32, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err("give a whole number of days, such as 365".to_owned());
    }
    // What is larger than any number that is read has more days than there can be.
    match text.parse::<i64>().unwrap_or(if digits == text { i64::MAX } else { i64::MIN }) {
        ..1 => {
            Err("a certificate would end as it begins, or before: give 1 day or more".to_owned())
        }
        days => u32::try_from(days).ok().filter(|days| *days <= MOST_DAYS).ok_or_else(|| {
            "the certificate would end after the year 9999, the last that it can name".to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::days;

    #[test]
    fn lifetimes_are_of_one_day_to_the_end_of_time() {
        assert_eq!((days("1"), days("3653")), (Ok(1), Ok(3653)));
        for (text, why) in [
            ("0", "1 day or more"),
            ("-5", "1 day or more"),
            ("-99999999999999999999", "1 day or more"),
            ("2932898", "after the year 9999"),
            ("4294967296", "after the year 9999"),
            ("99999999999999999999", "after the year 9999"),
            ("", "whole number"),
            ("-", "whole number"),
            ("1.5", "whole number"),
            ("+1", "whole number"),
            ("a year", "whole number"),
        ] {
            assert!(days(text).unwrap_err().contains(why), "{text}");
        }
    }
}
