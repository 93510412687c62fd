//! What this project aims at, on Debian's cloud kernel.

/// Bytes of `/init`.
pub(super) const INIT: u64 = 4_500_000;

/// Bytes of the initramfs beside kernel modules.
pub(super) const INITRAMFS_BESIDE_MODULES: u64 = 1_800_000;

/// Virtual seconds from `/init` to kexec for a package of 12 MB.
pub(super) const SECONDS_12_MB: f64 = 2.5;

/// Smallest memory in MiB for a package of this many MB.
pub(super) const MEMORY: [(u64, u32); 1] = [(100, 400)];

/// Percent of what `curl | sha256sum` manages.
pub(super) const PERCENT_OF_CURL: f64 = 90.0;
