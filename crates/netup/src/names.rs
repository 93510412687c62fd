//! Domain names as options carry them: search lists of DHCP and of router advertisements.

/// Most search domains that are taken.
pub(crate) const MAX_SEARCH: usize = 6;
/// Longest name as text, without the last dot (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;

/// How the names of a list are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Labels only: DHCPv6 (RFC 8415, 10) and router advertisements (RFC 8106, 5.2). Zeros behind
    /// the last name are padding.
    Plain,
    /// Also pointers to earlier names of the same list: DHCPv4 (RFC 3397, 2).
    Compressed,
}

/// Reads a list of names, at most [`MAX_SEARCH`] of them, up to the first one that is cut or
/// points to anywhere but backwards. Names with other characters than a host name has are left
/// out. Reading takes at most one look at each byte per name.
pub(crate) fn search_list(data: &[u8], form: Form) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < data.len() && names.len() < MAX_SEARCH {
        let Some((name, next)) = read(data, at, form) else { break };
        at = next;
        if is_name(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Reads one or several names in plain text, with blanks between them (option 15 of DHCPv4).
pub(crate) fn search_text(data: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(data);
    text.split([' ', ',', '\0'])
        .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
        .filter(|name| is_name(name))
        .take(MAX_SEARCH)
        .collect()
}

/// Returns the name that begins at `start`, and where the next one does. A character that is no
/// part of a host name comes out as `?`.
fn read(data: &[u8], start: usize, form: Form) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = start;
    // Where this run of labels began: a pointer must lead to before it, so there is an end.
    let mut run = start;
    let mut next = None;
    loop {
        let length = *data.get(at)?;
        match (length, form) {
            (0, _) => return Some((name, next.unwrap_or(at + 1))),
            (1..=63, _) => {
                let label = data.get(at + 1..at + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| match byte {
                    b'.' => '?',
                    0x21..=0x7e => char::from(byte.to_ascii_lowercase()),
                    _ => '?',
                }));
                if name.len() > MAX_NAME {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            (0xc0.., Form::Compressed) => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*data.get(at + 1)?);
                if target >= run {
                    return None;
                }
                next = next.or(Some(at + 2));
                (at, run) = (target, target);
            }
            _ => return None,
        }
    }
}

/// Whether a resolver may be asked for names below this one.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner =
            label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= MAX_NAME && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Form;
    use super::MAX_NAME;
    use super::MAX_SEARCH;
    use super::search_list;
    use super::search_text;

    #[test]
    fn compressed_names_are_read() {
        // The example of RFC 3397, 2: eng.apple.com, marketing.apple.com
        let data = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(search_list(data, Form::Compressed), ["eng.apple.com", "marketing.apple.com"]);
        assert_eq!(search_list(data, Form::Plain), ["eng.apple.com"]);
    }

    #[test]
    fn padding_is_no_name() {
        let data = b"\x07Example\x03net\x00\x00\x00\x00";
        assert_eq!(search_list(data, Form::Plain), ["example.net"]);
    }

    #[test]
    fn pointers_that_loop_or_lead_forward_end_the_list() {
        for data in [
            &b"\xc0\x00"[..],
            b"\x01a\xc0\x00",
            b"\x01a\xc0\x02",
            b"\x01a\xc0\x04\x01b\x00",
            b"\x01a\x00\xc0\xff",
            b"\x01a\x00\xc0",
        ] {
            let names = search_list(data, Form::Compressed);
            assert!(names.is_empty() || names == ["a"], "{data:?}: {names:?}");
        }
    }

    #[test]
    fn names_that_no_host_has_are_left_out() {
        let data = b"\x03a b\x00\x02-x\x00\x03a.b\x00\x01\x1b\x00\x02ok\x00";
        assert_eq!(search_list(data, Form::Plain), ["ok"]);
        assert_eq!(search_text(b"Example.NET. lab\0"), ["example.net", "lab"]);
        assert!(search_text(b"\x1b[2J ..").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_read_is_bounded(data in prop::collection::vec(any::<u8>(), 0..600)) {
            for names in [
                search_list(&data, Form::Plain),
                search_list(&data, Form::Compressed),
                search_text(&data),
            ] {
                prop_assert!(names.len() <= MAX_SEARCH);
                prop_assert!(names.iter().all(|name| (1..=MAX_NAME).contains(&name.len())));
                let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                prop_assert!(names.iter().all(|name| name.bytes().all(harmless)));
            }
        }

        #[test]
        fn labels_and_pointers_only(steps in prop::collection::vec((0_u8..5, any::<u8>()), 0..80)) {
            let mut data = Vec::new();
            for (kind, value) in steps {
                match kind {
                    0 => data.push(0),
                    1 | 2 => data.extend([1, b'a' + value % 26]),
                    _ => data.extend([0xc0, value % 128]),
                }
            }
            search_list(&data, Form::Compressed);
        }
    }
}
