//! The readers of what strangers send, for fuzzing: each takes any bytes and says whether they were
//! believed. Not part of the interface.

use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use url::Url;

use crate::archive::ContentRange;
use crate::dns;
use crate::location;
use crate::page;
use crate::retry_after;
use crate::tunnel;

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

/// What a proxy answers to `CONNECT`, up to the end of its first line.
#[must_use]
pub fn proxy_status(bytes: &[u8]) -> bool {
    tunnel::status(bytes).is_some()
}

/// Whether a body is a page for people: the first line is its `Content-Type`, the rest is the body.
#[must_use]
pub fn page(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (kind, body) = bytes.split_at_checked(end).unwrap_or_default();
    let mut headers = HeaderMap::new();
    if let Ok(kind) = HeaderValue::from_bytes(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    page::is_page(&headers, body)
}
