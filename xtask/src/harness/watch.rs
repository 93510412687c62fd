//! Makes sense of what comes out of a machine: console, report channel, QEMU's events. Pure: bytes
//! and times in, a [`BootResult`] out.

use std::time::Duration;

use report::BootReport;
use report::Outcome;
use report::channel::Event;
use serde_json::Value;

use super::result::BootResult;
use super::result::Ended;
use super::result::Mark;
use super::result::Status;
use super::result::TimedEvent;

/// More console output than this is thrown away.
const MAX_SERIAL: usize = 32 * 1024 * 1024;

/// A line longer than this is cut; a report is well below it.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// More events than this are not kept.
const MAX_EVENTS: usize = 100_000;

/// The kernel's last line before it jumps into the next one.
const JUMP: &str = "kexec_core: Starting new kernel";

/// A line with which `minimal-os` says that it runs.
pub(crate) const OS_UP: &str = "MINIMAL-OS-UP";

/// What OVMF says of an image that it does not start, and how the reason ends if it is a signature;
/// and what it says when it has tried everything.
const NOT_LOADED: &str = "BdsDxe: failed to load";
const REFUSALS: [&str; 2] = ["Access Denied", "Security Violation"];
const NOTHING_LEFT: [&str; 2] = ["No bootable option or device was found", "No bootable device."];

/// Why QEMU said that the machine ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shutdown {
    Poweroff,
    Reset,
}

/// What has been seen of a machine so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    serial: Vec<u8>,
    console: Lines,
    channel: Lines,
    events: Vec<TimedEvent>,
    report: Option<BootReport>,
    /// When the report's end mark came.
    end_at: Option<Duration>,
    /// When each kernel introduced itself.
    kernels: Vec<Duration>,
    /// When the boot kernel said that it jumps, and the first output after it.
    jump_at: Option<Duration>,
    after_jump: Option<Duration>,
    /// When the minimal OS said that it runs, and for how long its kernel had been running then.
    os_up: Option<(Duration, Option<Duration>)>,
    panic_at: Option<Duration>,
    shutdown: Option<(Shutdown, Duration)>,
    /// When the firmware said that it starts nothing, and its words.
    firmware: Option<(Duration, String)>,
    watchdog_at: Option<Duration>,
}

impl Watch {
    /// Bytes from the console.
    pub(super) fn console(&mut self, bytes: &[u8], at: Duration) {
        let room = MAX_SERIAL.saturating_sub(self.serial.len());
        self.serial.extend(bytes.iter().take(room));
        for line in self.console.feed(bytes) {
            self.console_line(&line, at);
        }
    }

    fn console_line(&mut self, line: &str, at: Duration) {
        if self.jump_at.is_some()
            && self.after_jump.is_none()
            && line.contains(char::is_alphanumeric)
        {
            self.after_jump = Some(at);
        }
        if line.contains(JUMP) {
            self.jump_at.get_or_insert(at);
        }
        if line.contains("Linux version ") {
            self.kernels.push(at);
        }
        let refused = line.contains(NOT_LOADED) && REFUSALS.iter().any(|why| line.contains(why));
        if refused || NOTHING_LEFT.iter().any(|words| line.contains(words)) {
            self.firmware.get_or_insert_with(|| (at, printable(line)));
        }
        if let Some((_, rest)) = line.split_once(OS_UP) {
            let uptime = rest.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
            let uptime = uptime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            self.os_up.get_or_insert((at, uptime));
        }
        if line.contains("Kernel panic - not syncing") {
            self.panic_at.get_or_insert(at);
        }
    }

    /// Bytes from the report channel. Behind the end mark they are somebody else's and not read.
    pub(super) fn channel(&mut self, bytes: &[u8], at: Duration) {
        for line in self.channel.feed(bytes) {
            if self.end_at.is_some() || self.events.len() >= MAX_EVENTS {
                return;
            }
            let Some(event) = Event::from_line(&line) else { continue };
            if let Event::End { report } = &event {
                self.report = Some(report.clone());
                self.end_at = Some(at);
            }
            self.events.push(TimedEvent { at, event });
        }
    }

    /// A message of QEMU's control channel.
    pub(super) fn qmp(&mut self, message: &Value, at: Duration) {
        if message["event"] == "WATCHDOG" {
            self.watchdog_at.get_or_insert(at);
        }
        if message["event"] != "SHUTDOWN" {
            return;
        }
        let shutdown = match message["data"]["reason"].as_str() {
            Some("guest-shutdown") => Shutdown::Poweroff,
            Some("guest-reset") => Shutdown::Reset,
            Some("guest-panic") => {
                self.panic_at.get_or_insert(at);
                return;
            }
            // Ours: we ended it.
            _ => return,
        };
        self.shutdown.get_or_insert((shutdown, at));
    }

    /// When a kernel panicked: nothing of interest will follow.
    pub(super) const fn panic_at(&self) -> Option<Duration> {
        self.panic_at
    }

    /// When the machine switched itself off or reset itself.
    pub(super) fn shutdown_at(&self) -> Option<Duration> {
        self.shutdown.map(|(_, at)| at)
    }

    /// When the firmware said that it starts nothing; forgotten once a kernel speaks after all.
    pub(super) fn firmware_gave_up_at(&self) -> Option<Duration> {
        let (at, _) = self.firmware.as_ref()?;
        (self.kernels.is_empty() && self.events.is_empty()).then_some(*at)
    }

    /// Whether the machine ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.shutdown.is_some() || self.panic_at.is_some() || self.firmware_gave_up_at().is_some()
    }

    /// The result for a machine that ended, or was ended, at this time.
    pub(super) fn finish(mut self, at: Duration) -> BootResult {
        if let Some(line) = self.console.rest() {
            self.console_line(&line, at);
        }
        BootResult {
            status: self.status(),
            ended: self.ended(),
            marks: self.marks(at),
            screen: None,
            firmware: self.firmware.map(|(_, words)| words),
            report: self.report,
            serial: String::from_utf8_lossy(&self.serial).into_owned(),
            events: self.events,
        }
    }

    fn status(&self) -> Status {
        match self.report.as_ref().map(|report| report.outcome) {
            Some(Outcome::Failed) => Status::Refused,
            Some(Outcome::Dryrun) => Status::Dryrun,
            Some(Outcome::Kexec) if self.new_kernel_spoke() => Status::Booted,
            Some(Outcome::Kexec) | None => Status::Neither,
        }
    }

    /// Only asked once `/init` has reported kexec. A reset proves nothing: a failed jump ends so.
    fn new_kernel_spoke(&self) -> bool {
        let switched_off = matches!(self.shutdown, Some((Shutdown::Poweroff, _)));
        self.after_jump.is_some()
            || self.os_kernel_at().is_some()
            || self.os_up_at().is_some()
            || switched_off
    }

    /// With `quiet` the kernel of the OS does not introduce itself; then its uptime tells.
    fn os_kernel_at(&self) -> Option<Duration> {
        let end = self.end_at?;
        let spoke = self.kernels.iter().copied().find(|&at| at > end);
        spoke.or_else(|| {
            let (at, uptime) = self.os_up.filter(|&(at, _)| at > end)?;
            Some(at.saturating_sub(uptime?).max(end))
        })
    }

    /// Before the end mark it was no OS that `/init` has started.
    fn os_up_at(&self) -> Option<Duration> {
        let (at, _) = self.os_up?;
        self.end_at.is_none_or(|end| at > end).then_some(at)
    }

    /// With `quiet` the boot kernel does not introduce itself; then the report's figure tells.
    fn kernel_at(&self, init: Option<Duration>) -> Option<Duration> {
        let spoke = self.kernels.first().copied();
        spoke.filter(|&at| self.end_at.is_none_or(|end| at < end)).or_else(|| {
            let running = Duration::from_micros(self.report.as_ref()?.kernel_us);
            init?.checked_sub(running)
        })
    }

    fn ended(&self) -> Ended {
        match (self.panic_at, self.shutdown) {
            (Some(_), _) => Ended::Panic,
            (None, Some((Shutdown::Poweroff, _))) => Ended::Poweroff,
            (None, Some((Shutdown::Reset, _))) => Ended::Reboot,
            (None, None) if self.firmware_gave_up_at().is_some() => Ended::Firmware,
            (None, None) => Ended::Timeout,
        }
    }

    fn marks(&self, end: Duration) -> Vec<Mark> {
        let start = self.events.iter().find(|timed| matches!(timed.event, Event::Start { .. }));
        let init = start.map(|timed| timed.at);
        let kexec = matches!(&self.report, Some(report) if report.outcome == Outcome::Kexec);
        let marks = [
            ("kernel", self.kernel_at(init)),
            ("init", init),
            (if kexec { "kexec" } else { "report" }, self.end_at),
            ("os-kernel", self.os_kernel_at()),
            ("os-up", self.os_up_at()),
            ("watchdog", self.watchdog_at),
            ("end", Some(self.shutdown.map_or(end, |(_, at)| at))),
        ];
        let mut marks: Vec<Mark> = marks
            .into_iter()
            .filter_map(|(name, at)| Some(Mark { name: name.to_owned(), at: at? }))
            .collect();
        marks.sort_by_key(|mark| mark.at);
        marks
    }
}

/// A line of firmware without what moves the cursor and sets colours.
fn printable(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // A sequence ends with its first letter.
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).map_or(piece.len(), |at| at + 1);
        clean.push_str(piece.get(end..).unwrap_or_default());
    }
    clean.retain(|c| !c.is_control());
    clean.trim().to_owned()
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = MAX_LINE.saturating_sub(self.partial.len());
            self.partial.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                lines.extend(self.rest());
            }
        }
        lines
    }

    /// What has come since the last line's end.
    fn rest(&mut self) -> Option<String> {
        if self.partial.is_empty() {
            return None;
        }
        let line = String::from_utf8_lossy(&self.partial).trim().to_owned();
        self.partial.clear();
        Some(line)
    }
}

#[cfg(test)]
mod tests;
