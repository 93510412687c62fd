//! Shows how a download goes.

use std::time::Duration;

use fetch::Progress;

use crate::events::Event;
use crate::events::Events;

/// Shows how the download goes: the first line after a moment, then every few seconds.
pub(crate) struct Meter<'a> {
    events: &'a dyn Events,
    rate: Rate,
    next_line: Duration,
    next_event: Duration,
}

impl<'a> Meter<'a> {
    const LINE_EVERY: Duration = Duration::from_secs(3);
    const EVENT_EVERY: Duration = Duration::from_secs(1);

    /// Starts measuring, with so many bytes there already.
    pub(crate) fn new(events: &'a dyn Events, bytes: u64) -> Self {
        let start = events.elapsed();
        Self {
            events,
            rate: Rate::new(start, bytes),
            next_line: start + Self::LINE_EVERY,
            next_event: start + Self::EVENT_EVERY,
        }
    }

    /// Takes note of progress; tells it when it is time to.
    pub(crate) fn show(&mut self, progress: Progress) {
        let now = self.events.elapsed();
        if now < self.next_event {
            return;
        }
        self.next_event = now + Self::EVENT_EVERY;
        let Progress { bytes, total, .. } = progress;
        let rate = self.rate.at(now, bytes);
        let left = total.and_then(|total| time_left(total.saturating_sub(bytes), rate));
        self.events.on(Event::Progress { bytes, total, rate, left });
        if now >= self.next_line {
            self.next_line = now + Self::LINE_EVERY;
            self.events.on(Event::ProgressLine(line(bytes, total, rate, left)));
        }
    }
}

/// Bytes per second, of late: of the last few seconds more than of those before.
struct Rate {
    at: Duration,
    bytes: u64,
    smooth: Option<f64>,
}

impl Rate {
    /// What the newest second counts, beside all before it.
    const WEIGHT: f64 = 0.25;

    const fn new(at: Duration, bytes: u64) -> Self {
        Self { at, bytes, smooth: None }
    }

    fn at(&mut self, now: Duration, bytes: u64) -> u64 {
        let seconds = now.saturating_sub(self.at).as_secs_f64().max(0.001);
        // A download that began again has fewer bytes than before.
        let newest = bytes.saturating_sub(self.bytes) as f64 / seconds;
        // A pause of many seconds outweighs as many.
        let weight = 1.0 - (1.0 - Self::WEIGHT).powf(seconds.max(1.0));
        let smooth = self.smooth.map_or(newest, |before| before + (newest - before) * weight);
        (self.at, self.bytes, self.smooth) = (now, bytes, Some(smooth));
        smooth as u64
    }
}

/// `None` if nothing comes.
fn time_left(bytes: u64, rate: u64) -> Option<Duration> {
    bytes.checked_div(rate).map(Duration::from_secs)
}

fn line(bytes: u64, total: Option<u64>, rate: u64, left: Option<Duration>) -> String {
    let mut line = format!("      fetch   {} ", megabytes(bytes));
    if let Some(total) = total.filter(|total| *total > 0) {
        let percent = bytes as f64 * 100.0 / total as f64;
        line.push_str(&format!("of {}  {percent:>3.0} %  ", megabytes(total)));
        if let Some(left) = left {
            line.push_str(&format!("{} left ", clock(left)));
        }
    }
    line.push_str(&format!(" {:.1} MB/s", rate as f64 / 1e6));
    line
}

/// `42 s`, `3 min`, `2 h`: an estimate is not better than that.
fn clock(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Decimal, as rates and sizes of downloads usually are.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rate;
    use super::line;
    use super::time_left;

    #[test]
    fn lines_say_how_far_how_fast_and_how_long() {
        let left = time_left(60_000_000, 1_500_000);
        assert_eq!(left, Some(Duration::from_secs(40)));
        assert_eq!(
            line(40_000_000, Some(100_000_000), 1_500_000, left).trim(),
            "fetch   40.0 MB of 100.0 MB   40 %  40 s left  1.5 MB/s"
        );
        assert_eq!(line(40_000_000, None, 0, None).trim(), "fetch   40.0 MB  0.0 MB/s");
        assert_eq!(time_left(1, 0), None);
        let hours = line(1, Some(1 << 30), 100_000, time_left(1 << 30, 100_000));
        assert!(hours.contains(" 2 h left "), "{hours}");
    }

    #[test]
    fn the_rate_follows_what_comes_now() {
        let second = |n: u64| Duration::from_secs(n);
        let mut rate = Rate::new(second(10), 500);
        assert_eq!(rate.at(second(11), 1500), 1000, "what was there before does not count");
        for n in 0..20 {
            rate.at(second(12 + n), 1500 + (n + 1) * 2000);
        }
        assert!((1950..=2000).contains(&rate.at(second(32), 43_500)));
        assert!(rate.at(second(92), 43_500) < 10, "nothing for a minute");
        assert!(rate.at(second(93), 0) < 10, "began again");
    }
}
