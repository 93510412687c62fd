//! Keeps the boot report while it grows, and tells consoles and harness as things happen.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;

use report::BootReport;
use report::Failure;
use report::MirrorReport;
use report::Outcome;
use report::Stage;
use report::StageTiming;
use report::channel::Event;

use crate::console;
use crate::system;
use crate::watchdog;

static REPORT: OnceLock<Mutex<BootReport>> = OnceLock::new();

/// Starts the report.
pub(crate) fn start() {
    let version = env!("CARGO_PKG_VERSION");
    let mut report = BootReport::new(version);
    report.kernel_us = system::since_kernel_start_us();
    // Called once, before anything else could have set it.
    let _ = REPORT.set(Mutex::new(report));
    console::line(&format!("\nramstrap {version}: network boot, verified before it runs"));
    console::event(&Event::Start { ramstrap: version.to_owned() });
}

/// Changes the report.
pub(crate) fn update(change: impl FnOnce(&mut BootReport)) {
    if let Some(mut report) = lock() {
        change(&mut report);
    }
}

/// The report as it stands, with the time that has passed.
pub(crate) fn snapshot(outcome: Outcome) -> Option<BootReport> {
    let mut report = lock()?.clone();
    report.outcome = outcome;
    report.total_us = system::since_start_us();
    Some(report)
}

/// `None` while a panic interrupted a change, so that the panic hook cannot dead-lock.
fn lock() -> Option<MutexGuard<'static, BootReport>> {
    use std::sync::TryLockError;
    match REPORT.get()?.try_lock() {
        Ok(report) => Some(report),
        Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A stage that is running.
#[derive(Debug)]
#[must_use]
pub(crate) struct Running {
    stage: Stage,
    start: Duration,
}

/// Begins a stage.
pub(crate) fn begin(stage: Stage) -> Running {
    let start = system::since_start();
    watchdog::pet();
    console::event(&Event::Stage { stage, at_us: system::micros(start) });
    Running { stage, start }
}

impl Running {
    /// Ends the stage with what came of it; `summary` says in one line what is good about it.
    ///
    /// What exactly failed is for a warning or the failure summary to say: it may be long.
    pub(crate) fn close<T>(
        self,
        result: Result<T, Failure>,
        summary: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        match &result {
            Ok(value) => self.end(true, &summary(value)),
            Err(failure) => self.end(false, &headline(failure)),
        }
        result
    }

    fn end(self, ok: bool, summary: &str) {
        let duration = system::since_start().saturating_sub(self.start);
        watchdog::pet();
        let position = Stage::ALL.iter().position(|stage| *stage == self.stage).unwrap_or(0) + 1;
        console::line(&format!(
            "[{position}/{}] {:<8}{:<7}{:>8.3} s  {summary}",
            Stage::ALL.len(),
            self.stage.name(),
            if ok { "ok" } else { "FAILED" },
            duration.as_secs_f64(),
        ));
        update(|report| {
            report.stages.push(StageTiming {
                stage: self.stage,
                start_us: system::micros(self.start),
                duration_us: system::micros(duration),
                ok,
                summary: summary.to_owned(),
            });
        });
    }
}

/// A failure in a few words.
pub(crate) fn headline(failure: &Failure) -> String {
    format!("{} {}", failure.code, failure.title)
}

/// Notes what came of one try at a mirror.
///
/// Of a boot that tries for hours, the first and the last tries are kept.
pub(crate) fn mirror(entry: MirrorReport) {
    const MOST: usize = 48;
    update(|report| {
        if report.mirrors.len() >= MOST {
            report.mirrors.remove(MOST / 2);
        }
        report.mirrors.push(entry);
    });
}
