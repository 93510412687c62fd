//! What `os_pkg_url` may look like.

use url::Url;

/// Whether a text is a URL, or a reference that can be resolved against one, in the eyes of all who
/// read it: of [`Url`], which follows browsers and repairs a lot, and of readers by the book, which
/// do not. Which schemes can be fetched is for the fetcher to say.
pub(crate) fn is_url_reference(text: &str) -> bool {
    let joins = Url::parse("https://descriptor.invalid/").and_then(|base| base.join(text)).is_ok();
    joins && is_plain_reference(text)
}

/// The part of RFC 3986 that tells what is no URL at all: no control characters, whole percent
/// escapes, no colon in the first segment of a relative path, and a plain authority.
fn is_plain_reference(text: &str) -> bool {
    if text.chars().any(|character| character.is_ascii_control()) || text.starts_with(':') {
        return false;
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let text = text.split('?').next().unwrap_or_default();
    let (has_scheme, rest) = split_scheme(text);
    if !has_whole_escapes(fragment) {
        return false;
    }
    if has_scheme && !rest.starts_with('/') {
        // Opaque, such as mailto:.
        return true;
    }
    let first_segment = rest.split('/').next().unwrap_or_default();
    if first_segment.contains(':') {
        return false;
    }
    let Some(rest) = rest.strip_prefix("//") else { return has_whole_escapes(rest) };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    has_whole_escapes(path) && is_plain_authority(authority)
}

fn split_scheme(text: &str) -> (bool, &str) {
    let Some((scheme, rest)) = text.split_once(':') else { return (false, text) };
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(in_scheme);
    if is_scheme { (true, rest) } else { (false, text) }
}

fn is_plain_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let in_user = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user.bytes().all(in_user) || !has_whole_escapes(user) {
        return false;
    }
    let (host, port) = match host.rsplit_once(']') {
        Some((address, port)) => {
            (address, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")))
        }
        None => host.rsplit_once(':').map_or((host, Some("")), |(host, port)| (host, Some(port))),
    };
    let in_host = |byte: u8| {
        !byte.is_ascii()
            || byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=:[]<>\"%".contains(&byte)
    };
    // An escape in a host may stand for a byte of a name that is not ASCII, and for nothing else.
    let escapes_are_no_ascii = host
        .split('%')
        .skip(1)
        .all(|rest| matches!(rest.bytes().next(), Some(b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F')));
    port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        && host.bytes().all(in_host)
        && has_whole_escapes(host)
        && escapes_are_no_ascii
}

/// Whether every `%` is followed by two hexadecimal digits.
fn has_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        rest.as_bytes()
            .first_chunk::<2>()
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::is_url_reference;

    #[test]
    fn urls_and_references_are_taken() {
        for text in [
            "https://example.org/os.zip",
            "HTTP://user:p%40ss@example.org:8080/a/os.zip?x=%zz&y#part",
            "http://[2001:db8::1]:80/os.zip",
            "http://[::1]/os.zip",
            "http://a_b/os.zip",
            "http://x/caf\u{e9}.zip",
            "ftp://x/os.zip",
            "file:///os.zip",
            "mailto:a@b",
            "os.zip",
            "../x/os.zip",
            "/os.zip",
            "//host/os.zip",
            "?x",
            "a/b:c.zip",
            "os zip",
        ] {
            assert!(is_url_reference(text), "{text}");
        }
    }

    #[test]
    fn what_some_reader_cannot_read_is_refused() {
        for text in [
            ":",
            "://x",
            "1http://x",
            "ht tp://x/os.zip",
            " http://x/os.zip",
            "%",
            "http://x/%zz.zip",
            "http://x/os.zip%",
            "http://x/#%z",
            "http://u:p%zz@x/os.zip",
            "http://u p@x/os.zip",
            "http://x\\y/os.zip",
            "http://%41/os.zip",
            "http://ex%61mple/x.zip",
            "http://${host}/x.zip",
            "http://x y/os.zip",
            "http://x:abc/os.zip",
            "http://x:99999/os.zip",
            "http://[::1/os.zip",
            "http://[::1]x/os.zip",
            "https://",
            "http://a\nb/",
            "a\u{7f}",
        ] {
            assert!(!is_url_reference(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = is_url_reference(&text);
        }

        #[test]
        fn never_panics_on_text_like_a_url(text in "[a-z:/@%0-9?#\\[\\].\u{e9} ]{0,24}") {
            let _ = is_url_reference(&text);
        }
    }
}
