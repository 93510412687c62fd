//! The hardware watchdog: resets the machine if `/init` hangs.
//!
//! It is armed as soon as its driver is there, and petted from the event loop: an event loop that
//! hangs is not survived, and neither is a boot that outlives all deadlines of its own. Before the
//! jump it is disarmed, unless the signed manifest says that the OS takes it over.

mod device;

use std::fs;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::TryLockError;
use std::time::Duration;

use report::WatchdogReport;
use report::WatchdogState;
use tracing::info;
use tracing::warn;

use self::device::Device;
use self::device::Hardware;
use crate::journal;

/// Seconds without a sign of life after which the machine is reset. Longer than all that `/init`
/// does without a pause, short against the time that a person needs to notice.
const TIMEOUT: u32 = 60;

/// For what comes behind `/init` and did not ask for a watchdog: an OS where it cannot be stopped, or
/// a firmware that takes minutes to test its memory.
const PATIENT: u32 = 600;

/// Longest pause between two signs of life.
const MOST_PAUSE: Duration = Duration::from_secs(10);

/// How much longer than the boot's own deadline the event loop is believed to make progress: the
/// time for what comes behind the deadline, loading a package that arrived with its last second.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// The slowest that a kernel is assumed to copy and hash what it loads, in bytes a second.
const SLOWEST_LOAD: u64 = 8 << 20;

/// Where the kernel says whether it stops watchdogs when it restarts or jumps. `0`: never.
const STOP_ON_REBOOT: &str = "/sys/module/watchdog/parameters/stop_on_reboot";

static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

/// Arms the first watchdog that there is; without one, nothing happens.
pub(crate) fn arm() {
    let Ok(mut slot) = WATCHDOG.lock() else { return };
    if slot.is_some() {
        return;
    }
    let Some(device) = Device::first() else { return };
    let watchdog = Watchdog::arm(Box::new(device));
    info!("{}", watchdog.armed_line());
    watchdog.publish();
    *slot = Some(watchdog);
}

/// Gives a sign of life.
pub(crate) fn pet() {
    if let Some(watchdog) = lock().as_deref().and_then(Option::as_ref) {
        watchdog.pet();
    }
}

/// Gives signs of life as long as the event loop runs this, but no longer than `patience` and some
/// grace: by then the boot should have come to one end or the other.
pub(crate) async fn keep_petting(patience: Duration) {
    let Some(pause) = pause() else { return };
    while pid1::since_start() < patience + GRACE {
        pet();
        tokio::time::sleep(pause).await;
    }
    warn!("the boot outlives its deadlines: the watchdog will reset the machine");
}

/// Waits, giving signs of life.
pub(crate) fn sleep(duration: Duration) {
    let pause = pause().unwrap_or(MOST_PAUSE);
    let mut left = duration;
    while !left.is_zero() {
        pet();
        let step = left.min(pause);
        std::thread::sleep(step);
        left -= step;
    }
    pet();
}

/// Gives the kernel as much time as loading so many bytes may take, during which nothing else
/// runs; and notes for the report what will become of the watchdog: `wanted` is what the signed
/// manifest says.
pub(crate) fn before_loading(bytes: u64, wanted: Option<u32>) {
    let mut slot = lock();
    match slot.as_deref_mut().and_then(Option::as_mut) {
        Some(watchdog) => {
            watchdog.plan(wanted, stops_on_reboot());
            let load = u32::try_from(bytes / SLOWEST_LOAD).unwrap_or(u32::MAX);
            set_longest(watchdog.device.as_ref(), TIMEOUT.saturating_add(load));
            watchdog.pet();
            watchdog.publish();
        }
        None => {
            if let Some(seconds) = wanted {
                warn!(
                    "the package asks for a watchdog of {seconds} s; this machine has none that \
                     the kernel knows"
                );
            }
        }
    }
}

/// Does what was planned, right before the jump. Returns a line for the console.
pub(crate) fn hand_over() -> Option<String> {
    let mut slot = lock()?;
    let watchdog = slot.as_mut()?;
    let line = watchdog.hand_over();
    watchdog.publish();
    if watchdog.report.state == WatchdogState::Disarmed {
        // Closes the file, which is the other way to say that it may stop.
        *slot = None;
    }
    Some(line)
}

/// Stops it, where nothing follows that it could watch over.
pub(crate) fn disarm() {
    let mut slot = lock();
    if let Some(watchdog) = slot.as_deref_mut().and_then(Option::as_mut) {
        watchdog.plan(None, false);
        watchdog.hand_over();
        watchdog.publish();
    }
}

/// Leaves it running over a restart, in case the kernel hangs in it, but with time for a slow firmware
/// where the restart does not stop it.
pub(crate) fn before_restart() {
    if let Some(watchdog) = lock().as_deref().and_then(Option::as_ref) {
        set_longest(watchdog.device.as_ref(), PATIENT);
        watchdog.pet();
    }
}

/// `None` while a panic interrupted a change, so that the panic hook cannot dead-lock.
fn lock() -> Option<MutexGuard<'static, Option<Watchdog>>> {
    match WATCHDOG.try_lock() {
        Ok(slot) => Some(slot),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A quarter of the time-out; `None` without a watchdog.
fn pause() -> Option<Duration> {
    let seconds = lock()?.as_ref()?.report.timeout_seconds;
    let quarter = Duration::from_secs(u64::from(seconds)) / 4;
    Some(quarter.clamp(Duration::from_millis(250), MOST_PAUSE))
}

/// Whether the kernel may stop watchdogs when it jumps.
fn stops_on_reboot() -> bool {
    fs::read_to_string(STOP_ON_REBOOT).map_or(true, |value| value.trim() != "0")
}

/// What will become of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Plan {
    Stop,
    /// Leave it running with this time-out.
    LeaveRunning(u32),
}

/// A watchdog that runs.
#[derive(Debug)]
struct Watchdog {
    device: Box<dyn Hardware>,
    report: WatchdogReport,
    /// Whether the driver lets it be stopped.
    stoppable: bool,
    plan: Plan,
}

impl Watchdog {
    fn arm(device: Box<dyn Hardware>) -> Self {
        let timeout_seconds = set_longest(device.as_ref(), TIMEOUT);
        // Only trying tells: a driver may have been built or loaded so that it cannot be stopped.
        let stoppable = device.stop().is_ok();
        if stoppable && let Err(errno) = device.start() {
            warn!("{}: it does not start: {errno}", device.path());
        }
        let report = WatchdogReport {
            device: device.path().to_owned(),
            identity: device.identity(),
            state: WatchdogState::Armed,
            timeout_seconds,
            asked_seconds: None,
            note: None,
        };
        Self { device, report, stoppable, plan: Plan::Stop }
    }

    fn armed_line(&self) -> String {
        let WatchdogReport { device, identity, timeout_seconds, .. } = &self.report;
        let forever = if self.stoppable { "" } else { "; it cannot be stopped any more" };
        format!("watchdog: {identity} at {device}, {timeout_seconds} s{forever}")
    }

    fn pet(&self) {
        if self.report.state != WatchdogState::Disarmed
            && let Err(errno) = self.device.pet()
        {
            warn!("{}: {errno}", self.device.path());
        }
    }

    /// Finds out what the OS will find, with the driver's own answers, and says so in the report.
    fn plan(&mut self, wanted: Option<u32>, stops_on_reboot: bool) {
        self.report.asked_seconds = wanted;
        let running = match wanted {
            Some(seconds) => Some(set_longest(self.device.as_ref(), seconds)),
            None if !self.stoppable => Some(set_longest(self.device.as_ref(), PATIENT)),
            None => None,
        };
        self.report.note = match (wanted, running) {
            (None, Some(_)) => {
                Some("its driver does not let it be stopped: the OS must take it over".to_owned())
            }
            (Some(_), Some(_)) if stops_on_reboot => Some(
                "the kernel may stop it at the jump; with watchdog.stop_on_reboot=0 on the boot \
                 image's kernel command line it does not"
                    .to_owned(),
            ),
            (Some(wanted), Some(made)) if made != wanted => {
                Some(format!("the package asks for {wanted} s, the watchdog can do {made} s"))
            }
            _ => None,
        };
        match running {
            Some(seconds) => {
                self.plan = Plan::LeaveRunning(seconds);
                self.report.state = WatchdogState::Running;
                self.report.timeout_seconds = seconds;
            }
            None => {
                self.plan = Plan::Stop;
                self.report.state = WatchdogState::Disarmed;
            }
        }
        if let Some(note) = &self.report.note {
            warn!("watchdog: {note}");
        }
    }

    fn hand_over(&mut self) -> String {
        match self.plan {
            Plan::Stop => match self.device.stop() {
                Ok(()) => {
                    self.device.allow_close();
                    self.report.state = WatchdogState::Disarmed;
                    "disarmed".to_owned()
                }
                Err(errno) => {
                    self.report.state = WatchdogState::Running;
                    format!("cannot be stopped ({errno}): the OS must take it over")
                }
            },
            Plan::LeaveRunning(seconds) => {
                let made = set_longest(self.device.as_ref(), seconds);
                self.report.state = WatchdogState::Running;
                self.report.timeout_seconds = made;
                self.pet();
                format!("left running, {made} s: the OS must take it over")
            }
        }
    }

    fn publish(&self) {
        let report = self.report.clone();
        journal::update(|boot| boot.watchdog = Some(report));
    }
}

/// Sets the time-out, or the longest below it that the hardware can do; gives what came of it.
fn set_longest(device: &dyn Hardware, seconds: u32) -> u32 {
    if device.set_timeout(seconds).is_err() {
        // Accepted values are one range: its upper end is between these two.
        let (mut accepted, mut refused) = (0, seconds);
        while refused - accepted > 1 {
            let middle = accepted + (refused - accepted) / 2;
            match device.set_timeout(middle) {
                Ok(()) => accepted = middle,
                Err(_) => refused = middle,
            }
        }
        if accepted > 0 {
            // The last that was tried may be one that was refused; that changed nothing.
            let _ = device.set_timeout(accepted);
        }
    }
    device.timeout().unwrap_or(seconds)
}

#[cfg(test)]
mod tests;
