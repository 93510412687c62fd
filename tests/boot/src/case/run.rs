//! A boot that has ended, and whether it ended as it must.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use report::BootReport;
use report::Code;
use report::MirrorReport;
use report::NicReport;
use report::Outcome;
use xtask::harness::BootResult;
use xtask::harness::Ended;
use xtask::harness::Status;

use super::Expected;
use super::OS_MARKER;
use crate::facts::Facts;
use crate::site::Requests;
use crate::wire::Record;

/// First words of every Linux kernel.
const KERNEL_MARKER: &str = "Linux version";

/// A boot that has ended, and what was seen of it from all sides.
#[derive(Debug)]
pub struct Run {
    /// What the harness saw.
    pub result: BootResult,
    /// What each mirror was asked, in the order of the scenario's mirrors.
    pub requests: Vec<Requests>,
    /// What went over each cable.
    pub cables: Vec<Record>,
    /// What the second console says, if the scenario has one.
    pub second_console: Option<String>,
    /// A picture of the screen, if there is one.
    pub picture: Option<PathBuf>,
    /// How many of the machine's disks have other bytes than before.
    pub disks_changed: usize,
    /// Whether the boot kernel has no console to speak on.
    pub mute: bool,
    /// What the servers in the lab VM have said, by the names of their logs.
    pub lab: BTreeMap<String, String>,
    /// Where console and result were written.
    pub directory: PathBuf,
}

impl Run {
    /// `/init`'s report.
    ///
    /// # Errors
    /// If there is none.
    pub fn report(&self) -> Result<&BootReport> {
        self.result.report.as_ref().context("/init wrote no report")
    }

    /// Tries at the mirror with this place in the list of URLs, in their order.
    ///
    /// # Errors
    /// If there is no report.
    pub fn tries(&self, mirror: usize) -> Result<Vec<&MirrorReport>> {
        let path = format!("/{mirror}/");
        Ok(self.report()?.mirrors.iter().filter(|entry| entry.url.contains(&path)).collect())
    }

    /// Codes of the failures at that mirror, in their order.
    ///
    /// # Errors
    /// If there is no report.
    pub fn failures(&self, mirror: usize) -> Result<Vec<Code>> {
        let tries = self.tries(mirror)?;
        Ok(tries.iter().filter_map(|entry| Some(entry.failure.as_ref()?.code)).collect())
    }

    /// Codes of the signatures that were skipped, by their place in the descriptor.
    ///
    /// # Errors
    /// If no package was authorised.
    pub fn skipped(&self) -> Result<Vec<(usize, Code)>> {
        let package = self.report()?.package.as_ref().context("no package was authorised")?;
        Ok(package.skipped.iter().map(|skipped| (skipped.entry, skipped.code)).collect())
    }

    /// What the console has after the OS came up.
    ///
    /// # Errors
    /// If it never did.
    pub fn os_says(&self) -> Result<&str> {
        let (_, said) = self.result.serial.split_once(OS_MARKER).context("no OS came up")?;
        Ok(said)
    }

    /// Every text that came out of the machine, with a name for each.
    #[must_use]
    pub fn outputs(&self) -> Vec<(&'static str, String)> {
        let events = self.result.events.iter().map(|event| event.event.to_line());
        vec![
            ("console", self.result.serial.clone()),
            ("second console", self.second_console.clone().unwrap_or_default()),
            ("report channel", events.collect()),
            ("result JSON", self.result.to_json().to_string()),
        ]
    }

    /// What the OS says of the machine.
    ///
    /// # Errors
    /// If it never came up, or its words cannot be read.
    pub fn facts(&self) -> Result<Facts> {
        Facts::on(self.os_says()?)
    }

    /// The one interface that was used.
    ///
    /// # Errors
    /// If it was none, or more than one.
    pub fn used(&self) -> Result<&NicReport> {
        let mut used = self.report()?.nics.iter().filter(|nic| nic.used);
        let nic = used.next().context("no interface was used")?;
        ensure!(used.next().is_none(), "more than one interface was used");
        Ok(nic)
    }

    /// The lines that a server in the lab VM has written to this log, as far as they have this text.
    #[must_use]
    pub fn logged(&self, log: &str, text: &str) -> Vec<&str> {
        let said = self.lab.get(log).map_or("", String::as_str);
        said.lines().filter(|line| line.contains(text)).collect()
    }

    /// Asserts that the console has this text.
    ///
    /// # Errors
    /// If it has not.
    pub fn says(&self, text: &str) -> Result<()> {
        ensure!(self.result.serial.contains(text), "the console never says {text:?}");
        Ok(())
    }

    pub(super) fn outcome(&self) -> String {
        let failure = self.result.failure_code().map(|code| format!(" {code}"));
        format!("{:?}{}", self.result.status, failure.unwrap_or_default()).to_lowercase()
    }

    pub(super) fn judge(&self, expected: Expected) -> Result<()> {
        match expected {
            Expected::Boots => self.judge_boot(),
            Expected::DryRun => self.judge_dry_run(),
            Expected::Refused(code) => self.judge_refusal(code),
            Expected::Denied => self.judge_denial(),
            Expected::Hangs { reset } => self.judge_hanging(reset),
            Expected::InitHangs => self.judge_hanging_init(),
            Expected::Shown => bail!("a story judges itself"),
        }
    }

    fn judge_boot(&self) -> Result<()> {
        self.judge_end(Status::Booted, Ended::Poweroff, Outcome::Kexec, 2)?;
        self.judge_os()
    }

    fn judge_os(&self) -> Result<()> {
        let said = |text: &str| text.contains(OS_MARKER);
        let screen = self.result.screen.as_deref();
        // A screen that shows graphics, and nothing besides, cannot be read: the machine has
        // switched itself off after the jump, and there is a picture to look at.
        let unreadable = self.result.serial.is_empty() && screen.is_none();
        let said = said(&self.result.serial) || screen.is_some_and(said);
        ensure!(said || unreadable, "the OS never said {OS_MARKER}");
        let report = self.report()?;
        ensure!(report.failure.is_none(), "it booted, but reports {:?}", report.failure);
        self.judge_package()
    }

    fn judge_package(&self) -> Result<()> {
        let report = self.report()?;
        let package = report.package.as_ref().context("it reports no package")?;
        let expected = usize::from(!package.archive_url.starts_with("initramfs:"));
        let served = report.mirrors.iter().filter(|mirror| mirror.failure.is_none()).count();
        ensure!(served == expected, "{served} mirrors are reported to have served the package");
        Ok(())
    }

    fn judge_dry_run(&self) -> Result<()> {
        self.judge_end(Status::Dryrun, Ended::Poweroff, Outcome::Dryrun, 1)?;
        ensure!(!self.result.serial.contains(OS_MARKER), "an OS runs after a dry run");
        self.judge_package()
    }

    fn judge_refusal(&self, code: Code) -> Result<()> {
        self.judge_end(Status::Refused, Ended::Reboot, Outcome::Failed, 1)?;
        let Some(failure) = &self.report()?.failure else { bail!("no failure is reported") };
        ensure!(failure.code == code, "expected {code}, got {failure}");
        ensure!(failure.class == code.class(), "{code} is reported as {}", failure.class);
        ensure!(self.result.mark("os-kernel").is_none(), "another kernel spoke");
        ensure!(!self.result.serial.contains(OS_MARKER), "an OS runs after a refusal");
        let summary = format!("BOOT FAILED  {code}");
        ensure!(self.result.serial.contains(&summary), "the console never says {summary:?}");
        // Wrapped to the width of a terminal.
        let words = self.result.serial.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(words.contains(code.remedy()), "the console names no remedy");
        Ok(())
    }

    fn judge_denial(&self) -> Result<()> {
        let words = self.result.firmware.as_deref().unwrap_or_default();
        ensure!(self.result.ended == Ended::Firmware, "the firmware started something");
        ensure!(words.contains("Access Denied"), "the firmware says {words:?}");
        let spoke = self.result.serial.contains(KERNEL_MARKER);
        ensure!(!spoke && self.result.report.is_none(), "a kernel was started");
        Ok(())
    }

    fn judge_hanging(&self, reset: bool) -> Result<()> {
        let ended = if reset { Ended::Reboot } else { Ended::Timeout };
        self.judge_end(Status::Booted, ended, Outcome::Kexec, 2)?;
        let ran_out = self.result.mark("watchdog").is_some();
        ensure!(ran_out == reset, "the watchdog ran out: {ran_out}, and should: {reset}");
        self.judge_os()
    }

    /// It hangs before its report, so that nothing but the watchdog is left to end the machine.
    fn judge_hanging_init(&self) -> Result<()> {
        let BootResult { status, ended, .. } = self.result;
        ensure!(status == Status::Neither, "expected neither, got {}", self.outcome());
        ensure!(ended == Ended::Reboot, "expected a reset, but it ended by {ended:?}");
        ensure!(self.result.mark("init").is_some(), "/init never ran");
        ensure!(self.result.mark("watchdog").is_some(), "the watchdog did not run out");
        ensure!(self.result.report.is_none(), "/init reported after it was made to hang");
        Ok(())
    }

    fn judge_end(
        &self,
        status: Status,
        ended: Ended,
        outcome: Outcome,
        kernels: usize,
    ) -> Result<()> {
        let BootResult { status: was, ended: how, .. } = self.result;
        ensure!(was == status, "expected {status:?}, got {}", self.outcome());
        ensure!(how == ended, "expected the machine to end by {ended:?}, it did by {how:?}");
        let reported = self.report()?.outcome;
        ensure!(reported == outcome, "expected outcome {outcome:?}, got {reported:?}");
        let spoke = self.result.serial.matches(KERNEL_MARKER).count();
        // A machine with nothing but a screen does not keep what has scrolled off it.
        let heard = !self.result.serial.is_empty();
        let kernels = kernels - usize::from(self.mute);
        ensure!(!heard || spoke == kernels, "{spoke} kernels spoke in place of {kernels}");
        Ok(())
    }

    /// Writes console and result for people.
    pub(crate) fn save(&self) -> Result<()> {
        fs::create_dir_all(&self.directory)?;
        fs::write(self.directory.join("console.log"), &self.result.serial)?;
        if let Some(screen) = &self.result.screen {
            fs::write(self.directory.join("screen.txt"), screen)?;
        }
        if let Some(said) = &self.second_console {
            fs::write(self.directory.join("second-console.log"), said)?;
        }
        for (log, said) in &self.lab {
            fs::write(self.directory.join(format!("lab-{log}.log")), said)?;
        }
        let json = serde_json::to_vec_pretty(&self.result.to_json())?;
        fs::write(self.directory.join("result.json"), json)?;
        Ok(())
    }
}
