//! When a server wants to be asked again (RFC 9110, 10.2.3).

use core::time::Duration;
use std::time::SystemTime;

use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;

/// Longest time that is passed on.
const MAX: Duration = Duration::from_secs(120);

/// `Retry-After`, in seconds or as a date, two minutes at most. A date is judged by the `Date` of the
/// same response: the machine's own clock may be off by years. One that has passed is now.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = text(headers, &header::RETRY_AFTER)?;
    let wait = match asked.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = date(text(headers, &header::DATE)?)?;
            date(asked)?.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(MAX))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header;
    use reqwest::header::HeaderMap;
    use reqwest::header::HeaderValue;

    use super::MAX;
    use super::retry_after;

    const DATE: &str = "Tue, 15 Nov 1994 08:12:31 GMT";

    fn asked(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_str(date).unwrap());
        }
        super::retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(asked("20", None), Some(20));
        assert_eq!(asked(" 20 ", Some(DATE)), Some(20));
        assert_eq!(asked("99999", None), Some(120));
        assert_eq!(asked("Tue, 15 Nov 1994 08:12:51 GMT", Some(DATE)), Some(20));
        assert_eq!(asked("Tuesday, 15-Nov-94 08:12:51 GMT", Some(DATE)), Some(20));
        assert_eq!(asked("Tue Nov 15 08:12:51 1994", Some(DATE)), Some(20));
        assert_eq!(asked("Fri, 31 Dec 9999 23:59:59 GMT", Some(DATE)), Some(120));
        assert_eq!(asked("Tue, 15 Nov 1994 08:12:30 GMT", Some(DATE)), Some(0));
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_date_is_of_no_use_without_another_one_to_judge_it_by() {
        for (retry_after, date) in [
            ("Tue, 15 Nov 1994 08:12:51 GMT", None),
            ("Tue, 15 Nov 1994 08:12:51 GMT", Some("yesterday")),
            ("soon", Some(DATE)),
            ("-1", Some(DATE)),
            ("", Some(DATE)),
            ("99999999999999999999999", Some(DATE)),
        ] {
            assert_eq!(asked(retry_after, date), None, "{retry_after}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(
            asked in prop::collection::vec(any::<u8>(), 0..60),
            date in "[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,9} [0-9:]{1,12} GMT",
            both in any::<bool>(),
        ) {
            let mut headers = HeaderMap::new();
            let date = HeaderValue::from_str(&date).unwrap();
            let asked = HeaderValue::from_bytes(&asked).unwrap_or_else(|_| date.clone());
            headers.insert(header::RETRY_AFTER, if both { date.clone() } else { asked });
            headers.insert(header::DATE, date);
            prop_assert!(retry_after(&headers).is_none_or(|wait| wait <= MAX));
        }
    }
}
