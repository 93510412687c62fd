//! Shows how a download goes.

use std::time::Duration;

use fetch::Progress;

use crate::events::Event;
use crate::events::Events;

/// Shows how the download goes: the first line after a moment, then every few seconds.
pub(crate) struct Meter<'a> {
    events: &'a dyn Events,
    start: Duration,
    next_line: Duration,
    next_event: Duration,
}

impl<'a> Meter<'a> {
    const LINE_EVERY: Duration = Duration::from_secs(3);
    const EVENT_EVERY: Duration = Duration::from_secs(1);

    /// Starts measuring.
    pub(crate) fn new(events: &'a dyn Events) -> Self {
        let start = events.elapsed();
        Self {
            events,
            start,
            next_line: start + Self::LINE_EVERY,
            next_event: start + Self::EVENT_EVERY,
        }
    }

    /// Takes note of progress; tells it when it is time to.
    pub(crate) fn show(&mut self, progress: Progress) {
        let now = self.events.elapsed();
        if now >= self.next_event {
            self.next_event = now + Self::EVENT_EVERY;
            self.events.on(Event::Progress { bytes: progress.bytes, total: progress.total });
        }
        if now >= self.next_line {
            self.next_line = now + Self::LINE_EVERY;
            self.events.on(Event::ProgressLine(self.line(now, &progress)));
        }
    }

    fn line(&self, now: Duration, progress: &Progress) -> String {
        let rate = progress.bytes as f64 / (now - self.start).as_secs_f64().max(0.001);
        let mut line = format!("      fetch   {} ", megabytes(progress.bytes));
        if let Some(total) = progress.total.filter(|total| *total > 0) {
            let left = total.saturating_sub(progress.bytes) as f64 / rate.max(1.0);
            line.push_str(&format!(
                "of {}  {:>3.0} %  {:.0} s left ",
                megabytes(total),
                progress.bytes as f64 * 100.0 / total as f64,
                left.min(99_999.0),
            ));
        }
        line.push_str(&format!(" {:.1} MB/s", rate / 1e6));
        line
    }
}

/// Decimal, as rates and sizes of downloads usually are.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
