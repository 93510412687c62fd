//! A case: what is booted, what must come of it, and the runner that judges it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use report::BootReport;
use report::Code;
use report::MirrorReport;
use report::Outcome;
use xtask::harness::BootResult;
use xtask::harness::Ended;
use xtask::harness::Status;

use crate::bench::Bench;
use crate::facts::Facts;
use crate::results;
use crate::results::Row;
use crate::scenario::Scenario;
use crate::site::Requests;
use crate::wire::Record;

/// Line that the minimal OS prints when it is up.
pub const OS_MARKER: &str = "MINIMAL-OS-UP";

/// First words of every Linux kernel.
const KERNEL_MARKER: &str = "Linux version";

/// Which run a case belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    /// Every run.
    Quick,
    /// Only with `RAMSTRAP_TEST_ALL=1`: takes minutes, or a quick case covers the same code.
    All,
}

/// What must come of a boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// The minimal OS runs, says what booted it and powers off.
    Boots,
    /// Everything but the jump; then power off.
    DryRun,
    /// Nothing is booted, the machine says this code and starts again by itself.
    Refused(Code),
    /// The firmware does not start the bootloader, because of its signature.
    Denied,
    /// The minimal OS runs, says what booted it and hangs; then the watchdog resets the machine, or
    /// nobody.
    Hangs {
        /// Whether the watchdog does.
        reset: bool,
    },
}

/// One boot and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name, unique.
    pub name: &'static str,
    /// When it is run.
    pub tier: Tier,
    /// A device that QEMU must have for it.
    pub device: Option<&'static str>,
    /// What must come of it.
    pub expected: Expected,
    scenario: fn(&Bench) -> Result<Scenario>,
    check: fn(&Run) -> Result<()>,
}

impl Case {
    /// A boot that must succeed.
    #[must_use]
    pub const fn boots(name: &'static str, scenario: fn(&Bench) -> Result<Scenario>) -> Self {
        Self::new(name, Expected::Boots, scenario)
    }

    /// A boot that must fail with this code.
    #[must_use]
    pub const fn refused(
        name: &'static str,
        code: Code,
        scenario: fn(&Bench) -> Result<Scenario>,
    ) -> Self {
        Self::new(name, Expected::Refused(code), scenario)
    }

    /// A dry run that must succeed.
    #[must_use]
    pub const fn dry_run(name: &'static str, scenario: fn(&Bench) -> Result<Scenario>) -> Self {
        Self::new(name, Expected::DryRun, scenario)
    }

    /// A boot that the firmware must refuse.
    #[must_use]
    pub const fn denied(name: &'static str, scenario: fn(&Bench) -> Result<Scenario>) -> Self {
        Self::new(name, Expected::Denied, scenario)
    }

    /// A boot into an OS that hangs, which a watchdog ends or nobody.
    #[must_use]
    pub const fn hangs(
        name: &'static str,
        reset: bool,
        scenario: fn(&Bench) -> Result<Scenario>,
    ) -> Self {
        Self::new(name, Expected::Hangs { reset }, scenario)
    }

    /// The same case, for a QEMU that has this device only.
    #[must_use]
    pub const fn needs(mut self, device: &'static str) -> Self {
        self.device = Some(device);
        self
    }

    const fn new(
        name: &'static str,
        expected: Expected,
        scenario: fn(&Bench) -> Result<Scenario>,
    ) -> Self {
        Self { name, tier: Tier::Quick, device: None, expected, scenario, check: |_| Ok(()) }
    }

    /// The same case with more to look at.
    #[must_use]
    pub const fn checked(mut self, check: fn(&Run) -> Result<()>) -> Self {
        self.check = check;
        self
    }

    /// The same case, left out of quick runs.
    #[must_use]
    pub const fn slow(mut self) -> Self {
        self.tier = Tier::All;
        self
    }

    /// Boots, judges, and adds a row to the table.
    ///
    /// # Errors
    /// If something else came of it than what must.
    pub fn run(&self, bench: &Bench) -> Result<()> {
        let mut row = Row {
            case: self.name.to_owned(),
            expected: match self.expected {
                Expected::Boots => "boots".to_owned(),
                Expected::DryRun => "dry run".to_owned(),
                Expected::Refused(code) => format!("{code}: {}", code.title()),
                Expected::Denied => "refused by the firmware".to_owned(),
                Expected::Hangs { reset: true } => "boots, hangs, reset by watchdog".to_owned(),
                Expected::Hangs { reset: false } => "boots, hangs on".to_owned(),
            },
            ..Row::default()
        };
        let judged = self.boot_and_judge(bench, &mut row);
        row.passed = judged.is_ok();
        if let Err(error) = &judged {
            row.outcome = format!("{error:#}");
        }
        bench.table.push(row)?;
        judged
    }

    fn boot_and_judge(&self, bench: &Bench, row: &mut Row) -> Result<()> {
        let run = (self.scenario)(bench)?.run(bench, self.name)?;
        row.outcome = run.outcome();
        row.wall = run.result.mark("end").unwrap_or_default();
        if let Some(words) = &run.result.firmware {
            row.outcome = words.clone();
        }
        row.stages = run.result.report.as_ref().map(results::stages).unwrap_or_default();
        let judged = run.judge(self.expected).and_then(|()| (self.check)(&run));
        judged.with_context(|| format!("see {}", run.directory.display()))
    }
}

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

    /// Asserts that the console has this text.
    ///
    /// # Errors
    /// If it has not.
    pub fn says(&self, text: &str) -> Result<()> {
        ensure!(self.result.serial.contains(text), "the console never says {text:?}");
        Ok(())
    }

    fn outcome(&self) -> String {
        let failure = self.result.failure_code().map(|code| format!(" {code}"));
        format!("{:?}{}", self.result.status, failure.unwrap_or_default()).to_lowercase()
    }

    fn judge(&self, expected: Expected) -> Result<()> {
        match expected {
            Expected::Boots => self.judge_boot(),
            Expected::DryRun => self.judge_dry_run(),
            Expected::Refused(code) => self.judge_refusal(code),
            Expected::Denied => self.judge_denial(),
            Expected::Hangs { reset } => self.judge_hanging(reset),
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
        ensure!(report.package.is_some(), "it booted, but reports no package");
        let served = report.mirrors.iter().filter(|mirror| mirror.failure.is_none()).count();
        ensure!(served == 1, "{served} mirrors are reported to have served the package");
        Ok(())
    }

    fn judge_dry_run(&self) -> Result<()> {
        self.judge_end(Status::Dryrun, Ended::Poweroff, Outcome::Dryrun, 1)?;
        ensure!(!self.result.serial.contains(OS_MARKER), "an OS runs after a dry run");
        Ok(())
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
        ensure!(self.result.serial.contains(code.remedy()), "the console names no remedy");
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
        let json = serde_json::to_vec_pretty(&self.result.to_json())?;
        fs::write(self.directory.join("result.json"), json)?;
        Ok(())
    }
}

/// Asserts that tries are spaced: none but the first few follow each other within `gap`.
///
/// # Errors
/// Which two are too close.
pub fn spaced(times: &[Duration], gap: Duration) -> Result<()> {
    for pair in times.windows(2) {
        let between = pair[1].saturating_sub(pair[0]);
        ensure!(between >= gap, "a retry came {between:?} after the one before: {times:?}");
    }
    Ok(())
}
