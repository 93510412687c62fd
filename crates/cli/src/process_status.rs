//! What this process was started with, as the kernel tells it.

use std::fs;

/// Of the kernel's numbers, the one of SIGHUP.
const HANGUP: u32 = 1;

/// The permissions that the user takes from new files; none if that cannot be known. Reading it in any
/// other way means changing it.
pub(crate) fn umask() -> u32 {
    let mask = field("Umask:").and_then(|text| u32::from_str_radix(&text, 8).ok());
    mask.unwrap_or(0) & 0o777
}

/// Whether the process was started to outlive its terminal, as `nohup` does.
pub(crate) fn ignores_hangup() -> bool {
    let ignored = field("SigIgn:").and_then(|text| u64::from_str_radix(&text, 16).ok());
    ignored.is_some_and(|set| set & (1 << (HANGUP - 1)) != 0)
}

fn field(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().to_owned())
}
