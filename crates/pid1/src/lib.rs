//! What every PID 1 of ours does for its machine: file systems of the kernel, the time since its
//! start, and the ways to end.
//!
//! What only one of them does is its own.

#![forbid(unsafe_code)]

mod leave;

use std::fs;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
pub use nix::mount::MsFlags;

pub use crate::leave::Leave;
pub use crate::leave::leave;

/// For file systems that hold neither programs nor devices.
pub const NOTHING: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// For file systems of devices.
pub const DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);

static START: OnceLock<Instant> = OnceLock::new();

/// Marks the start of this PID 1.
pub fn start_clock() {
    START.get_or_init(Instant::now);
}

/// Time since [`start_clock`].
#[must_use]
pub fn since_start() -> Duration {
    START.get_or_init(Instant::now).elapsed()
}

/// Mounts a file system of the kernel, on a directory that is made if need be. One that is there
/// already is left as it is.
///
/// # Errors
/// `tmpfs on /run: EPERM: Operation not permitted`, for example.
pub fn mount(kind: &str, target: &str, flags: MsFlags, options: &str) -> Result<(), String> {
    let failed = |reason: String| format!("{kind} on {target}: {reason}");
    fs::create_dir_all(target).map_err(|error| failed(error.to_string()))?;
    match nix::mount::mount(Some(kind), target, Some(kind), flags, Some(options)) {
        // EBUSY: the kernel did it already.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(failed(errno.to_string())),
    }
}

/// Sees to it that a kernel panic restarts the machine even where the command line has no `panic=`:
/// the kernel's own default is to halt for ever. Covers what no hook of ours can see, such as the
/// kernel running out of memory. `/proc` must be there.
pub fn restart_after_kernel_panic() {
    const SETTING: &str = "/proc/sys/kernel/panic";
    const SECONDS: &str = "30";
    if fs::read_to_string(SETTING).is_ok_and(|value| value.trim() == "0") {
        // Where that is not allowed, nothing else can be done about it.
        let _ = fs::write(SETTING, SECONDS);
    }
}

/// What a panic of ours says, and where it was.
#[must_use]
pub fn panic_text(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    format!("{message}{place}")
}
