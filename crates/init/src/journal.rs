//! Keeps the boot report while it grows, and tells consoles and harness as things happen.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;

use hostcfg::LogLevel;
use netboot::Event;
use netboot::Events;
use report::BootReport;
use report::Outcome;
use report::Stage;
use report::StageTiming;
use report::channel::Event as Told;
use report::micros;

use crate::channel;
use crate::progress;
use crate::remote;
use crate::summary::wrapped;
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
    channel::event(&Told::Start { ramstrap: version.to_owned() });
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

/// Tells consoles and harness what happens, and notes it in the report.
#[derive(Debug)]
pub(crate) struct Journal;

impl Events for Journal {
    fn elapsed(&self) -> Duration {
        pid1::since_start()
    }

    fn on(&self, event: Event) {
        match &event {
            Event::StageBegins { stage, at } => {
                watchdog::pet();
                channel::event(&Told::Stage { stage: *stage, at_us: micros(*at) });
            }
            Event::StageEnded(timing) => {
                watchdog::pet();
                progress::end();
                let line = stage_line(timing);
                console::line(&line);
                // In one line there.
                let words: Vec<&str> = line.split_whitespace().collect();
                remote::push(LogLevel::Info, &words.join(" "));
            }
            Event::Progress { bytes, total, rate, left } => {
                progress::show(*bytes, *total, *rate, *left);
                channel::event(&Told::Progress { bytes: *bytes, total: *total });
            }
            Event::ProgressLine(line) => {
                console::plain_line(line);
                remote::push(LogLevel::Debug, line.trim_start());
            }
            Event::Link { link, used } => remote::link(link, *used),
            Event::Loading { bytes, watchdog_seconds } => {
                watchdog::before_loading(*bytes, *watchdog_seconds);
            }
            _ => {}
        }
        update(|report| event.note_in(report));
    }

    fn hand_over(&self) -> Option<BootReport> {
        snapshot(Outcome::Kexec)
    }
}

fn stage_line(timing: &StageTiming) -> String {
    let position = Stage::ALL.iter().position(|stage| *stage == timing.stage).unwrap_or(0) + 1;
    let mut line = format!(
        "[{position}/{}] {:<8}{:<7}{:>8.3} s  ",
        Stage::ALL.len(),
        timing.stage.name(),
        if timing.ok { "ok" } else { "FAILED" },
        timing.duration_us as f64 / 1e6,
    );
    let indent = line.chars().count();
    let rows = wrapped(&timing.summary, 80_usize.saturating_sub(indent));
    line.push_str(&rows.join(&format!("\n{:indent$}", "")));
    line
}
