//! The readers of what strangers send, for fuzzing: each takes any bytes and says whether they were
//! believed. Not part of the interface.

use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use url::Url;

use crate::archive::ContentRange;
use crate::dns;
use crate::location;
use crate::retry_after;

/// The name that DNS is asked for.
pub const HOST: &str = "mirror.example.net";

/// A DNS server's answer for [`HOST`].
#[must_use]
pub fn dns(bytes: &[u8]) -> bool {
    dns::fuzz::answer(bytes, HOST)
}

/// Where a redirect leads, and where a descriptor says that its archive is: from an https mirror.
#[must_use]
pub fn location(bytes: &[u8]) -> bool {
    let Ok(from) = Url::parse("https://mirror.example.net/a/os.json?token=1") else {
        return false;
    };
    let redirect = location::redirect(&from, Some(bytes)).is_ok();
    let archive =
        core::str::from_utf8(bytes).is_ok_and(|text| location::archive(&from, text).is_ok());
    redirect || archive
}

/// A server's `Content-Range`.
#[must_use]
pub fn content_range(bytes: &[u8]) -> bool {
    HeaderValue::from_bytes(bytes).is_ok_and(|value| ContentRange::parse(&value).is_some())
}

/// A server's `Retry-After`, sent in 1994.
#[must_use]
pub fn retry_after(bytes: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, value);
    headers.insert(header::DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
    retry_after::retry_after(&headers).is_some()
}
