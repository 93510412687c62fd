//! Tells pages for people from files for machines.

use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;

/// How far into a body its first character is looked for.
const LOOKED_AT: usize = 256;

/// Whether this is an HTML page: it says so, or it begins like one. No descriptor does, whatever a
/// server calls it.
pub(crate) fn is_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let start = body.get(..LOOKED_AT).unwrap_or(body);
    let first = start.trim_ascii_start().strip_prefix(b"\xef\xbb\xbf".as_slice());
    let first = first.unwrap_or_else(|| start.trim_ascii_start()).trim_ascii_start();
    if first.starts_with(b"{") {
        return false;
    }
    first.starts_with(b"<") || content_type(headers).is_some_and(|kind| kind.contains("html"))
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .map(|value| String::from_utf8_lossy(value).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use reqwest::header;
    use reqwest::header::HeaderMap;
    use reqwest::header::HeaderValue;

    use super::is_page;

    #[test]
    fn pages_are_told_from_descriptors() {
        let none = HeaderMap::new();
        let mut html = HeaderMap::new();
        html.insert(header::CONTENT_TYPE, HeaderValue::from_static("Text/HTML; charset=utf-8"));
        assert!(is_page(&none, b"<!DOCTYPE html>"));
        assert!(is_page(&none, b"\xef\xbb\xbf\r\n <HTML>"));
        assert!(is_page(&html, b"Please log in"));
        assert!(is_page(&html, b""));
        // Servers call files all kinds of names.
        assert!(!is_page(&html, b" {\"version\": 1}"));
        assert!(!is_page(&none, b"{\"version\": 1}"));
        assert!(!is_page(&none, b""));
        assert!(!is_page(&none, b"\xff\xfe<"));
    }
}
