//! Notices a download that goes on, but gets nowhere.

use core::time::Duration;

use tokio::time::Instant;

/// Counts bytes in windows of time that follow each other.
///
/// A download that stops is noticed after one to two windows, and one that only drips as well.
#[derive(Debug)]
pub(crate) struct StallWatch {
    min_bytes: u64,
    window: Duration,
    end: Instant,
    bytes: u64,
}

impl StallWatch {
    pub(crate) fn start(min_bytes: u64, window: Duration, now: Instant) -> Self {
        Self { min_bytes, window, end: now + window, bytes: 0 }
    }

    /// When the current window ends, and [`StallWatch::check`] must be asked.
    pub(crate) fn deadline(&self) -> Instant {
        self.end
    }

    /// Bytes have come.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether the window that has ended, if one has, brought enough. Starts the next one.
    ///
    /// # Errors
    /// The number of bytes that came in too slow a window.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), u64> {
        if now < self.end {
            return Ok(());
        }
        if self.bytes < self.min_bytes {
            return Err(self.bytes);
        }
        self.bytes = 0;
        self.end = now + self.window;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;
    use super::Instant;
    use super::StallWatch;

    #[test]
    fn a_window_with_enough_bytes_is_followed_by_the_next() {
        let start = Instant::now();
        let window = Duration::from_secs(10);
        let mut watch = StallWatch::start(4096, window, start);
        watch.add(4095);
        assert_eq!(watch.check(start + window / 2), Ok(()));
        watch.add(1);
        assert_eq!(watch.check(start + window), Ok(()));
        assert_eq!(watch.deadline(), start + window * 2);
    }

    #[test]
    fn dripping_and_silence_are_stalls() {
        let start = Instant::now();
        let window = Duration::from_secs(10);
        let mut watch = StallWatch::start(4096, window, start);
        for _ in 0..10 {
            watch.add(1);
        }
        assert_eq!(watch.check(start + window), Err(10));
        let mut silent = StallWatch::start(1, window, start);
        assert_eq!(silent.check(start + window), Err(0));
    }
}
