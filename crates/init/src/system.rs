//! What `/init` alone does for a system: its file systems, clocks, chance.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::SigHandler;
use nix::sys::signal::Signal;
use nix::sys::signal::signal;
use nix::time::ClockId;
use nix::time::clock_gettime;
use pid1::DEVICES;
use pid1::MsFlags;
use pid1::NOTHING;
use report::Code;
use report::Failure;
use report::micros;
use trust::Timestamp;

use crate::entropy;

/// [`pid1::since_start`] in microseconds, as the report has it.
pub(crate) fn since_start_us() -> u64 {
    micros(pid1::since_start())
}

/// Microseconds from the kernel's start to now.
pub(crate) fn since_kernel_start_us() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| micros(Duration::from(time)))
}

/// The system clock, which the kernel set from the RTC.
pub(crate) fn rtc() -> Timestamp {
    Timestamp::from_unix(clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |time| time.tv_sec()))
}

/// Mounts what `/init` needs to see the machine.
///
/// # Errors
/// [`Code::MountFailed`] for those without which nothing works.
pub(crate) fn mount_all() -> Result<(), Failure> {
    mount("proc", "/proc", NOTHING)?;
    mount("sysfs", "/sys", NOTHING)?;
    mount("devtmpfs", "/dev", DEVICES)
}

/// Makes EFI variables visible on machines that have them; after the modules are loaded.
pub(crate) fn mount_efi_variables() {
    const EFIVARS: &str = "/sys/firmware/efi/efivars";
    if Path::new(EFIVARS).exists()
        && let Err(failure) = mount("efivarfs", EFIVARS, NOTHING)
    {
        tracing::warn!("{failure}");
    }
}

fn mount(kind: &str, target: &str, flags: MsFlags) -> Result<(), Failure> {
    pid1::mount(kind, target, flags, "").map_err(|problem| Failure::new(Code::MountFailed, problem))
}

/// Lets the kernel reap every child and orphan at once: we wait for none.
pub(crate) fn reap_children() {
    // SAFETY: ignoring a signal installs no handler that could run.
    let result = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) };
    if let Err(errno) = result {
        tracing::warn!("SIGCHLD: {errno}");
    }
}

/// A random number below `bound`, for delays that must not be the same on every machine.
pub(crate) fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    // A delay is not worth waiting for the random pool; without it the bytes stay zero.
    entropy::fill(&mut bytes, libc::GRND_NONBLOCK);
    u64::from_ne_bytes(bytes).checked_rem(bound).unwrap_or(0)
}
