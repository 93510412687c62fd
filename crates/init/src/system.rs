//! What PID 1 does for a system: kernel file systems, time, memory, power.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::sys::reboot::RebootMode;
use nix::sys::reboot::reboot;
use nix::sys::signal::SigHandler;
use nix::sys::signal::Signal;
use nix::sys::signal::signal;
use nix::time::ClockId;
use nix::time::clock_gettime;
use report::Code;
use report::Failure;
use report::micros;
use trust::Timestamp;

use crate::entropy;

static START: OnceLock<Instant> = OnceLock::new();

/// Marks the start of `/init`.
pub(crate) fn start_clock() {
    START.get_or_init(Instant::now);
}

/// Time since the start of `/init`.
pub(crate) fn since_start() -> Duration {
    START.get_or_init(Instant::now).elapsed()
}

/// [`since_start`] in microseconds, as the report has it.
pub(crate) fn since_start_us() -> u64 {
    micros(since_start())
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
    let restricted = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_one("proc", "/proc", restricted)?;
    mount_one("sysfs", "/sys", restricted)?;
    mount_one("devtmpfs", "/dev", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC)?;
    Ok(())
}

/// Sees to it that a kernel panic restarts the machine even where the command line has no `panic=`:
/// the kernel's own default is to halt for ever. Covers what no hook of ours can see, such as the
/// kernel running out of memory.
pub(crate) fn restart_after_kernel_panic() {
    const SETTING: &str = "/proc/sys/kernel/panic";
    const SECONDS: &str = "30";
    if fs::read_to_string(SETTING).is_ok_and(|value| value.trim() == "0") {
        // Where that is not allowed, nothing else can be done about it.
        let _ = fs::write(SETTING, SECONDS);
    }
}

/// Makes EFI variables visible on machines that have them; after the modules are loaded.
pub(crate) fn mount_efi_variables() {
    const EFIVARS: &str = "/sys/firmware/efi/efivars";
    if Path::new(EFIVARS).exists() {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        if let Err(failure) = mount_one("efivarfs", EFIVARS, flags) {
            tracing::warn!("{failure}");
        }
    }
}

fn mount_one(kind: &str, target: &str, flags: MsFlags) -> Result<(), Failure> {
    let failed =
        |reason: String| Failure::new(Code::MountFailed, format!("{kind} on {target}: {reason}"));
    fs::create_dir_all(target).map_err(|error| failed(error.to_string()))?;
    match mount(Some(kind), target, Some(kind), flags, None::<&str>) {
        // EBUSY: the kernel did it already.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(failed(errno.to_string())),
    }
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

/// How the machine is left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leave {
    /// Restart.
    Reboot,
    /// Switch off.
    PowerOff,
}

/// Restarts or switches off; tries again for ever, because PID 1 has nothing else left to do.
pub(crate) fn leave(how: Leave) -> ! {
    let mode = match how {
        Leave::Reboot => RebootMode::RB_AUTOBOOT,
        Leave::PowerOff => RebootMode::RB_POWER_OFF,
    };
    loop {
        let Err(errno) = reboot(mode);
        console::line(&format!("cannot leave: {errno}; trying again"));
        thread::sleep(Duration::from_secs(5));
        // The way around a driver that hangs in its shutdown hook.
        let _ = fs::write("/proc/sysrq-trigger", "b");
        thread::sleep(Duration::from_secs(5));
    }
}
