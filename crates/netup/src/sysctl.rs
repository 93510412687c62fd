//! Settings without which several NICs in one subnet disturb each other.

use std::path::Path;

const ROOT: &str = "/proc/sys/net/ipv4/conf";

/// For all NICs. Best effort: these are the kernel's own defaults, unless somebody changed them.
pub(crate) fn prepare_machine() {
    // An answer may come in over another NIC than the one that the routing table would choose.
    set("all", "rp_filter", "0");
}

/// For one NIC. Best effort: with one NIC nothing depends on it.
pub(crate) fn prepare_nic(name: &str) {
    set(name, "rp_filter", "0");
    // Neither answer for the address of another NIC, nor announce it.
    set(name, "arp_ignore", "1");
    set(name, "arp_announce", "2");
}

fn set(name: &str, key: &str, value: &str) {
    let path = Path::new(ROOT).join(name).join(key);
    if let Err(error) = std::fs::write(&path, value) {
        tracing::debug!("{}: {error}", path.display());
    }
}
