//! Settings without which several NICs in one subnet disturb each other, or the kernel and we.

use std::path::PathBuf;

const ROOT: &str = "/proc/sys/net";

/// For all NICs. Best effort: these are the kernel's own defaults, unless somebody changed them.
pub(super) fn prepare_machine() {
    // An answer may come in over another NIC than the one that the routing table would choose.
    set("ipv4", "all", "rp_filter", "0");
    // A path that swallows large packets and the errors about them must not stop a download.
    write(PathBuf::from(ROOT).join("ipv4/tcp_mtu_probing"), "1");
}

/// For one NIC. Best effort: with one NIC nothing depends on it.
pub(super) fn prepare_nic(name: &str, quiet_ipv6: bool) {
    set("ipv4", name, "rp_filter", "0");
    // Neither answer for the address of another NIC, nor announce it.
    set("ipv4", name, "arp_ignore", "1");
    set("ipv4", name, "arp_announce", "2");
    if quiet_ipv6 {
        for (key, value) in [
            ("accept_ra", "0"),
            ("autoconf", "0"),
            ("accept_redirects", "0"),
            // The link-local address comes from the MAC address and is wanted at once: nothing
            // can be asked of a router before it is usable. See `look_for_duplicates`.
            ("accept_dad", "0"),
            ("router_solicitation_delay", "0"),
        ] {
            set("ipv6", name, key, value);
        }
    }
}

/// Addresses that are added from now on are first asked about.
pub(super) fn look_for_duplicates(name: &str) {
    set("ipv6", name, "accept_dad", "1");
}

fn set(family: &str, name: &str, key: &str, value: &str) {
    write([ROOT, family, "conf", name, key].iter().collect(), value);
}

fn write(path: PathBuf, value: &str) {
    if let Err(error) = std::fs::write(&path, value) {
        tracing::debug!("{}: {error}", path.display());
    }
}
