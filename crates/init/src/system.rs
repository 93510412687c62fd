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
use trust::Timestamp;

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

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
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

/// `MemTotal` and `MemAvailable` in bytes.
pub(crate) fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB"))
            .and_then(|value| value.trim().parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024)
    };
    (field("MemTotal:"), field("MemAvailable:"))
}

/// Memory that the machine has, in bytes; what the kernel took for itself before it began to count
/// is in it. `None` where the kernel does not tell.
pub(crate) fn installed_memory() -> Option<u64> {
    let bytes = system_ram(&fs::read_to_string("/proc/iomem").ok()?);
    (bytes > 0).then_some(bytes)
}

/// The sum of the ranges that `/proc/iomem` calls `System RAM`, and of what the firmware keeps of
/// the same modules for its own tables.
fn system_ram(iomem: &str) -> u64 {
    iomem
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .filter(|(_, name)| *name == "System RAM" || name.starts_with("ACPI "))
        .filter_map(|(range, _)| {
            let (first, last) = range.split_once('-')?;
            let at = |text: &str| u64::from_str_radix(text, 16).ok();
            at(last)?.checked_sub(at(first)?)?.checked_add(1)
        })
        .fold(0, u64::saturating_add)
}

/// A random number below `bound`, for delays that must not be the same on every machine.
pub(crate) fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the pointer and length describe `bytes`. GRND_NONBLOCK: a delay is not worth waiting
    // for the random pool; without it the bytes stay zero.
    unsafe {
        libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK);
    }
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
        crate::console::line(&format!("cannot leave: {errno}; trying again"));
        thread::sleep(Duration::from_secs(5));
        // The way around a driver that hangs in its shutdown hook.
        let _ = fs::write("/proc/sysrq-trigger", "b");
        thread::sleep(Duration::from_secs(5));
    }
}

#[cfg(test)]
mod tests {
    use super::system_ram;

    #[test]
    fn memory_is_what_the_firmware_lists() {
        let iomem = "00000000-00000fff : Reserved\n\
                     00001000-0009fbff : System RAM\n\
                     000a0000-000bffff : PCI Bus 0000:00\n\
                     00100000-03fdffff : System RAM\n  \
                     01000000-01e02487 : Kernel code\n\
                     03fe0000-03ffffff : ACPI Tables\n";
        assert_eq!(system_ram(iomem), 0x9ec00 + 0x3ee_0000 + 0x2_0000);
        // To a process without rights, every address is zero.
        assert_eq!(system_ram("00000000-00000000 : System RAM"), 1);
        assert_eq!(system_ram("gibberish"), 0);
    }
}
