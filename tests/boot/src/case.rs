//! A case: what is booted, what must come of it, and the runner that judges it.

mod run;

use std::fmt;
use std::fmt::Display;
use std::fmt::Formatter;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use report::Code;

pub use run::Run;

use crate::bench::Bench;
use crate::net::Lab;
use crate::results;
use crate::results::Row;
use crate::scenario::Scenario;
use crate::story::Story;

/// Line that the minimal OS prints when it is up.
pub const OS_MARKER: &str = "MINIMAL-OS-UP";

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
    /// `/init` hangs, and the watchdog resets the machine.
    InitHangs,
    /// Every step of a story succeeds.
    Shown,
}

/// As the table of results has it.
impl Display for Expected {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(code) => return write!(f, "{code}: {}", code.title()),
            Self::Boots => "boots",
            Self::DryRun => "dry run",
            Self::Denied => "refused by the firmware",
            Self::Hangs { reset: true } => "boots, hangs, reset by watchdog",
            Self::Hangs { reset: false } => "boots, hangs on",
            Self::InitHangs => "/init hangs, reset by watchdog",
            Self::Shown => "every step",
        })
    }
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
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A machine that boots once, and is looked at.
    Boot { scenario: fn(&Bench) -> Result<Scenario>, check: fn(&Run) -> Result<()> },
    /// Machines that a test talks to while they run.
    Story(fn(&mut Story<'_>) -> Result<()>),
    /// A machine that boots once in a network of the shared lab VM, and is looked at.
    Network {
        network: &'static str,
        scenario: fn(&Bench) -> Result<Scenario>,
        check: fn(&Run) -> Result<()>,
    },
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

    /// A boot in which `/init` hangs, which a watchdog ends.
    #[must_use]
    pub const fn init_hangs(name: &'static str, scenario: fn(&Bench) -> Result<Scenario>) -> Self {
        Self::new(name, Expected::InitHangs, scenario)
    }

    /// A story, every step of which must succeed. It has two guests.
    #[must_use]
    pub const fn story(name: &'static str, tell: fn(&mut Story<'_>) -> Result<()>) -> Self {
        let kind = Kind::Story(tell);
        Self { name, tier: Tier::Quick, device: None, expected: Expected::Shown, kind }
    }

    /// A boot in this network of the lab VM, in the words of [`crate::net::LIBRARY`]. It must
    /// succeed.
    #[must_use]
    pub const fn boots_in(
        name: &'static str,
        network: &'static str,
        scenario: fn(&Bench) -> Result<Scenario>,
    ) -> Self {
        let kind = Kind::Network { network, scenario, check: |_| Ok(()) };
        Self { name, tier: Tier::All, device: None, expected: Expected::Boots, kind }
    }

    /// The same, but everything is done except for the jump into the OS, which takes as long as all
    /// else.
    #[must_use]
    pub const fn reaches_in(
        name: &'static str,
        network: &'static str,
        scenario: fn(&Bench) -> Result<Scenario>,
    ) -> Self {
        Self { expected: Expected::DryRun, ..Self::boots_in(name, network, scenario) }
    }

    /// The same, but it must fail with this code.
    #[must_use]
    pub const fn refused_in(
        name: &'static str,
        code: Code,
        network: &'static str,
        scenario: fn(&Bench) -> Result<Scenario>,
    ) -> Self {
        let refused = Expected::Refused(code);
        Self { expected: refused, ..Self::boots_in(name, network, scenario) }
    }

    /// The same case, run by every run. Those in networks of the lab VM are left out of quick ones
    /// unless they say so.
    #[must_use]
    pub const fn quick(mut self) -> Self {
        self.tier = Tier::Quick;
        self
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
        let kind = Kind::Boot { scenario, check: |_| Ok(()) };
        Self { name, tier: Tier::Quick, device: None, expected, kind }
    }

    /// The same case with more to look at. A story looks for itself.
    #[must_use]
    pub const fn checked(mut self, check: fn(&Run) -> Result<()>) -> Self {
        match self.kind {
            Kind::Boot { scenario, .. } => self.kind = Kind::Boot { scenario, check },
            Kind::Network { network, scenario, .. } => {
                self.kind = Kind::Network { network, scenario, check };
            }
            Kind::Story(_) => {}
        }
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
            expected: self.expected.to_string(),
            day: results::today(),
            ..Row::default()
        };
        let judged = match self.kind {
            Kind::Boot { scenario, check } => self.boot_and_judge(bench, scenario, check, &mut row),
            Kind::Story(tell) => self.tell(bench, tell, &mut row),
            Kind::Network { network, scenario, check } => {
                self.boot_in_network(bench, network, scenario, check, &mut row)
            }
        };
        row.passed = judged.is_ok();
        if let Err(error) = &judged {
            row.outcome = format!("{error:#}");
        }
        bench.table.push(row)?;
        judged
    }

    fn tell(
        &self,
        bench: &Bench,
        tell: fn(&mut Story<'_>) -> Result<()>,
        row: &mut Row,
    ) -> Result<()> {
        let _turn = bench.turns.take(2);
        let mut story = Story::begin(bench, self.name)?;
        let told = tell(&mut story);
        row.wall = story.so_far();
        row.outcome = story.outcome();
        row.stages = story.steps();
        story.save_figures()?;
        told.with_context(|| format!("{}; see {}", row.outcome, story.directory.display()))
    }

    fn boot_and_judge(
        &self,
        bench: &Bench,
        scenario: fn(&Bench) -> Result<Scenario>,
        check: fn(&Run) -> Result<()>,
        row: &mut Row,
    ) -> Result<()> {
        let scenario = scenario(bench)?;
        let turn = bench.turns.take(1);
        let run = scenario.run(bench, self.name)?;
        drop(turn);
        self.judge(&run, check, row)
    }

    fn boot_in_network(
        &self,
        bench: &Bench,
        network: &str,
        scenario: fn(&Bench) -> Result<Scenario>,
        check: fn(&Run) -> Result<()>,
        row: &mut Row,
    ) -> Result<()> {
        let mut scenario = scenario(bench)?;
        if self.expected == Expected::DryRun {
            scenario = scenario.argument("--dryrun");
        }
        let mut shared = bench.shared_lab.lock().unwrap_or_else(PoisonError::into_inner);
        let _turn = bench.turns.take(2);
        // Taken out: one in which a case has failed does not serve another.
        let mut lab = shared.take().map_or_else(|| Lab::start(bench), Ok)?;
        lab.set(network)?;
        let mut run = scenario.wired(lab.wires()).run(bench, self.name)?;
        run.lab = lab.logs()?;
        run.save()?;
        self.judge(&run, check, row)?;
        *shared = Some(lab);
        Ok(())
    }

    fn judge(&self, run: &Run, check: fn(&Run) -> Result<()>, row: &mut Row) -> Result<()> {
        row.outcome = run.outcome();
        row.wall = run.result.mark("end").unwrap_or_default();
        if let Some(words) = &run.result.firmware {
            row.outcome = words.clone();
        }
        row.stages = run.result.report.as_ref().map(results::stages).unwrap_or_default();
        let judged = run.judge(self.expected).and_then(|()| check(run));
        judged.with_context(|| format!("see {}", run.directory.display()))
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
