//! Names of hosts and domains.

use crate::address::parse_ip;

/// Longest name, in bytes, as DNS has it.
const MAX_NAME: usize = 253;

/// Longest part of a name between dots.
const MAX_LABEL: usize = 63;

/// Whether this is a name that DNS can be asked for: labels of letters, digits, `-` and `_` in
/// ASCII. Four numbers are an address and no name.
pub(crate) fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= MAX_NAME && name.split('.').all(label) && !last_is_number
}

/// Whether this is a name or an address, an IPv6 address without brackets.
pub(crate) fn is_host(text: &str) -> bool {
    parse_ip(text).is_some() || is_host_name(text)
}

#[cfg(test)]
mod tests {
    use super::is_host;
    use super::is_host_name;

    #[test]
    fn names_are_told_from_addresses_and_nonsense() {
        for name in ["a", "time.example", "time.example.", "xn--bcher-kva.example", "_x.a", "3com"]
        {
            assert!(is_host_name(name), "{name}");
        }
        let long = "a".repeat(64);
        let longer = ["a"; 128].join(".");
        for name in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "192.0.2.1",
            "1",
            "a b",
            "bücher.example",
            "a:1",
            &long,
            &longer,
        ] {
            assert!(!is_host_name(name), "{name}");
        }
        assert!(is_host("192.0.2.1") && is_host("2001:db8::1") && is_host("a"));
        assert!(!is_host("192.0.2.256") && !is_host("[2001:db8::1]"));
    }
}
