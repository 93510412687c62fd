//! What came of a boot.

use std::time::Duration;

use report::BootReport;
use report::channel::Event;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

/// What `/init` made of the boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `/init` reported kexec and the new kernel spoke.
    Booted,
    /// `/init` did everything but the jump, as `--dryrun` asks.
    Dryrun,
    /// `/init` reported a refusal or a failure.
    Refused,
    /// None of these within the time.
    Neither,
}

/// How the machine ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// It switched itself off.
    Poweroff,
    /// It reset itself.
    Reboot,
    /// It was still running when the time was up.
    Timeout,
    /// A kernel panicked.
    Panic,
    /// The firmware refused the image, or found nothing that it could start:
    /// [`BootResult::firmware`] has its words.
    Firmware,
}

/// An event of the report channel and when it came.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedEvent {
    /// Since the start of QEMU.
    pub at: Duration,
    /// What `/init` said.
    pub event: Event,
}

/// A moment that the harness saw from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mark {
    /// `kernel`, `init`, `kexec` (`report` if nothing was booted), `os-kernel`, `os-up`, `watchdog`
    /// (it ran out) or `end`.
    pub name: String,
    /// Since the start of QEMU.
    pub at: Duration,
}

/// What came of a boot.
#[derive(Clone, Debug)]
pub struct BootResult {
    /// What `/init` made of it.
    pub status: Status,
    /// How the machine ended.
    pub ended: Ended,
    /// `/init`'s report, if it came to write one.
    pub report: Option<BootReport>,
    /// The whole console.
    pub serial: String,
    /// Everything that came on the report channel, up to its end mark.
    pub events: Vec<TimedEvent>,
    /// What was seen from outside, in the order of time.
    pub marks: Vec<Mark>,
    /// The line in which the firmware says why it does not start what it found.
    pub firmware: Option<String>,
    /// What is on the screen at the end, line by line, if there is one and it is in text mode.
    pub screen: Option<String>,
}

impl BootResult {
    /// Exit status of `cargo xtask boot`: 0 booted (or a dry run that went well), 3 refused,
    /// 4 neither.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.status {
            Status::Booted | Status::Dryrun => 0,
            Status::Refused => 3,
            Status::Neither => 4,
        }
    }

    /// Number of the failure that ended the boot, such as `E0404`.
    #[must_use]
    pub fn failure_code(&self) -> Option<&'static str> {
        self.report.as_ref()?.failure.as_ref().map(|failure| failure.code.id())
    }

    /// The mark with this name.
    #[must_use]
    pub fn mark(&self, name: &str) -> Option<Duration> {
        self.marks.iter().find(|mark| mark.name == name).map(|mark| mark.at)
    }

    /// The result as `--json` writes it. Keys are always there; what is not known is `null` or
    /// empty. Times of `marks` are seconds since the start of QEMU.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let report = self.report.as_ref();
        let marks: Vec<Value> = self
            .marks
            .iter()
            .map(|mark| json!({ "name": mark.name, "at_s": round(mark.at.as_secs_f64()) }))
            .collect();
        json!({
            "version": 1,
            "status": self.status,
            "exit_code": self.exit_code(),
            "ended": self.ended,
            "firmware": self.firmware,
            "outcome": report.map(|report| report.outcome),
            "failure_code": self.failure_code(),
            "failure": report.and_then(|report| report.failure.as_ref()),
            "stages": report.map_or(&[][..], |report| &report.stages),
            "mirrors": report.map_or(&[][..], |report| &report.mirrors),
            "nics": report.map_or(&[][..], |report| &report.nics),
            "report": report,
            "marks": marks,
        })
    }
}

/// Seconds with milliseconds: more digits would only pretend.
fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
