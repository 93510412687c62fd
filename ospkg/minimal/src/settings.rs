//! Parameters of this OS on its kernel command line: `minimal.NAME=VALUE`.

use std::time::Duration;

/// How long NICs are given to get an address unless told otherwise.
const NETWORK_PATIENCE: Duration = Duration::from_secs(8);

/// How long devices are waited for that buses are still looking for, on a kernel with modules.
const SETTLE: Duration = Duration::from_secs(3);

/// The last value of a parameter.
pub(crate) fn value<'a>(cmdline: &'a str, name: &str) -> Option<&'a str> {
    let words = cmdline.split_ascii_whitespace();
    words
        .filter_map(|word| word.strip_prefix("minimal.")?.strip_prefix(name)?.strip_prefix('='))
        .next_back()
}

/// `minimal.network=SECONDS`: how long every NIC may take to get an address; 0 leaves them alone.
pub(crate) fn network_patience(cmdline: &str) -> Duration {
    seconds(cmdline, "network").unwrap_or(NETWORK_PATIENCE)
}

/// `minimal.settle=SECONDS`: how long to look for devices after the last one that was found.
pub(crate) fn settle(cmdline: &str, has_modules: bool) -> Duration {
    let default = if has_modules { SETTLE } else { Duration::ZERO };
    seconds(cmdline, "settle").unwrap_or(default)
}

fn seconds(cmdline: &str, name: &str) -> Option<Duration> {
    value(cmdline, name)?.parse::<u16>().ok().map(u64::from).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::network_patience;
    use super::settle;
    use super::value;

    #[test]
    fn the_last_value_counts() {
        assert_eq!(value("a minimal.after=x minimal.after=y", "after"), Some("y"));
        assert_eq!(value("minimal.afterwards=x xminimal.after=y", "after"), None);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        assert_eq!(network_patience("minimal.network=0"), Duration::ZERO);
        assert_eq!(network_patience("minimal.network=soon"), Duration::from_secs(8));
        assert_eq!(settle("", false), Duration::ZERO);
        assert_eq!(settle("", true), Duration::from_secs(3));
        assert_eq!(settle("minimal.settle=5", false), Duration::from_secs(5));
    }
}
