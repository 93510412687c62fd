//! Tells a person how the upgrade goes, and keeps the report that the next OS is handed.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use report::BootReport;
use report::Outcome;
use report::StageTiming;
use report::micros;

use super::Handover;
use crate::events::Event;
use crate::events::Events;

/// The [`Events`] of an upgrade. Times count from when it was made.
///
/// An OS that has more to do, such as a watchdog to feed, wraps it in [`Events`] of its own.
pub struct Journal<'a> {
    start: Instant,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    report: BootReport,
    tell: Box<dyn FnMut(&str) + Send + 'a>,
}

impl<'a> Journal<'a> {
    /// Starts the report. `tell` is given a line every now and then, without a line break; it must
    /// not take long. URLs in it are redacted; text in it may come from servers.
    pub fn new(handover: &Handover, tell: impl FnMut(&str) + Send + 'a) -> Self {
        let state = State { report: handover.new_report(), tell: Box::new(tell) };
        Self { start: Instant::now(), state: Mutex::new(state) }
    }
}

impl core::fmt::Debug for Journal<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Journal").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Events for Journal<'_> {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn on(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = line(&event) {
            (state.tell)(&line);
        }
        event.note_in(&mut state.report);
    }

    fn hand_over(&self) -> Option<BootReport> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = state.report.clone();
        report.outcome = Outcome::Kexec;
        report.total_us = micros(self.elapsed());
        Some(report)
    }
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::ProgressLine(line) => Some(line.trim().to_owned()),
        // Why one failed comes with the mirror, or at the end.
        Event::StageEnded(StageTiming { stage, ok: true, summary, .. }) => {
            Some(format!("{}: {summary}", stage.name()))
        }
        Event::Mirror(mirror) => {
            mirror.failure.as_ref().map(|failure| format!("{}: {failure}", mirror.url))
        }
        _ => None,
    }
}
