//! What stboot v0.2.2, the bootloader of System Transparency, was measured at on the same kernel
//! (Debian's cloud kernel 6.1): something to compare with.

/// Bytes of its static binary.
pub(super) const BINARY: u64 = 6_991_872;

/// Bytes of its initramfs, zstd -19, with a small PID 1 of its own and nine modules.
pub(super) const INITRAMFS: u64 = 2_589_770;

/// Virtual seconds from `/init` to kexec for a package of 12 MB, `-icount shift=0`.
pub(super) const SECONDS_12_MB: f64 = 6.65;

/// Virtual milliseconds for each MB of package (a million instructions take one): downloading with
/// TLS 15, hashing 35, loading 63, the rest 3.
pub(super) const MS_PER_MB: f64 = 116.0;

/// Of [`MS_PER_MB`], what goes into downloading and hashing.
pub(super) const FETCH_MS_PER_MB: f64 = 50.0;

/// Of [`MS_PER_MB`], what goes into loading.
pub(super) const KEXEC_MS_PER_MB: f64 = 63.0;

/// Smallest memory in MiB for a package of this many MB.
pub(super) const MEMORY: [(u64, u32); 3] = [(20, 288), (100, 1024), (200, 1920)];
