//! The hardware watchdog that the bootloader left running: taken over, and petted by the event loop.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::time::Duration;

use report::WatchdogReport;
use report::WatchdogState;

const DEVICE: &str = "/dev/watchdog0";
const STATE: &str = "/sys/class/watchdog/watchdog0/state";
const IDENTITY: &str = "/sys/class/watchdog/watchdog0/identity";
const TIMEOUT: &str = "/sys/class/watchdog/watchdog0/timeout";

/// `WDIOC_SETTIMEOUT` of Linux (`include/uapi/linux/watchdog.h`): `_IOWR('W', 6, int)`.
const SET_TIMEOUT: libc::Ioctl = 0xC004_5706;

static WATCHDOG: Mutex<Option<File>> = Mutex::new(None);

/// Takes it over if the boot report says that it runs, or the kernel does. Gives the time-out.
pub(crate) fn take_over(left_running: Option<u32>) -> Option<Duration> {
    let active = fs::read_to_string(STATE).is_ok_and(|state| state.trim() == "active");
    if left_running.is_none() && !active {
        return None;
    }
    let device = match OpenOptions::new().write(true).open(DEVICE) {
        Ok(device) => device,
        Err(error) => {
            console::line(&format!("the watchdog cannot be taken over: {DEVICE}: {error}"));
            return None;
        }
    };
    // This kernel's driver began with a time of its own.
    if let Some(seconds) = left_running {
        set_timeout(&device, seconds);
    }
    let told = fs::read_to_string(TIMEOUT).ok().and_then(|text| text.trim().parse().ok());
    let seconds = told.or(left_running).unwrap_or(60).max(1);
    *WATCHDOG.lock().ok()? = Some(device);
    pet();
    Some(Duration::from_secs(u64::from(seconds)))
}

/// Gives a sign of life.
pub(crate) fn pet() {
    // Not waiting: a panic may have interrupted whoever holds it.
    if let Ok(slot) = WATCHDOG.try_lock()
        && let Some(mut device) = slot.as_ref()
    {
        let _ = device.write_all(b"\0");
    }
}

/// Sets its time-out. What a driver does not take stays as it was: it is read anew afterwards.
fn set_timeout(device: &File, seconds: u32) {
    let mut seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
    // SAFETY: the request reads and writes one int, which lives longer than the call.
    unsafe { libc::ioctl(device.as_raw_fd(), SET_TIMEOUT, &raw mut seconds) };
}

/// Gives the next OS the time that it asks for; and what it is told of a watchdog that it must take
/// over. `None` if none runs.
pub(crate) fn left_running(asked_seconds: u32) -> Option<WatchdogReport> {
    let running = WATCHDOG.try_lock().is_ok_and(|slot| {
        slot.as_ref().inspect(|device| set_timeout(device, asked_seconds)).is_some()
    });
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    running.then(|| WatchdogReport {
        device: DEVICE.to_owned(),
        identity: read(IDENTITY),
        state: WatchdogState::Running,
        timeout_seconds: read(TIMEOUT).parse().unwrap_or(asked_seconds),
        asked_seconds: Some(asked_seconds),
        note: None,
    })
}

/// Stops it: what comes does not ask for one. Where its driver does not let it be stopped, the next OS has
/// as long as it takes to run out.
pub(crate) fn stop() {
    if let Ok(mut slot) = WATCHDOG.try_lock()
        && let Some(mut device) = slot.take()
    {
        // The word for "on purpose"; closing the file stops it then.
        let _ = device.write_all(b"V");
    }
}

/// For ever: an event loop that hangs gives no sign of life.
pub(crate) async fn keep_petting(timeout: Duration) {
    let pause = (timeout / 4).clamp(Duration::from_millis(250), Duration::from_secs(10));
    loop {
        pet();
        tokio::time::sleep(pause).await;
    }
}
