//! What this project aims at. Aims of time and memory were set on Debian's cloud kernel.

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

/// Bytes of a complete UKI with all NIC drivers.
pub(super) const UKI: u64 = 8_000_000;

/// Virtual time from kernel entry to `/init`, as a part of what Debian's cloud kernel takes.
pub(super) const ENTRY_TO_INIT: f64 = 1.0 / 3.0;

/// Memory in MiB in which our boot kernel gets to `/init`.
pub(super) const BOOT_MEMORY: u32 = 64;
