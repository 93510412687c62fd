//! Lines that wait to be sent: as many as fit, the newest of them.

use core::time::Duration;
use std::collections::VecDeque;

use hostcfg::LogLevel;

/// Most lines that wait.
pub const MAX_LINES: usize = 1000;

/// Most bytes of text that wait.
pub const MAX_BYTES: usize = 256 << 10;

/// Longest line in bytes: with its header it fits into a packet that every network carries.
const MAX_LINE: usize = 1000;

/// One line of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    /// Counts all lines of this boot, dropped ones as well.
    pub(crate) number: u64,
    /// Time since the start of the program.
    pub(crate) at: Duration,
    pub(crate) level: LogLevel,
    pub(crate) text: String,
}

/// What is sent in one go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Batch {
    /// How many lines before these were dropped.
    lost: u64,
    lines: Vec<Line>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines; in front of them, if lines were dropped, one that says so.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let lost = self.lines.first().filter(|_| self.lost > 0).map(|first| Line {
            number: first.number.saturating_sub(1),
            at: first.at,
            level: LogLevel::Warn,
            text: format!("{} older lines were dropped, nobody took them in time", self.lost),
        });
        lost.into_iter().chain(self.lines.iter().cloned())
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    next: u64,
    /// Lines dropped since the last word about it.
    dropped: u64,
}

impl Queue {
    /// Takes a line; what does not fit on one is cut, control characters are replaced.
    pub(crate) fn push(&mut self, at: Duration, level: LogLevel, text: &str) {
        let text = one_line(text);
        while !self.lines.is_empty()
            && (self.lines.len() >= MAX_LINES || self.bytes + text.len() > MAX_BYTES)
        {
            self.pop();
            self.dropped += 1;
        }
        self.bytes += text.len();
        self.lines.push_back(Line { number: self.next, at, level, text });
        self.next += 1;
    }

    fn pop(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.text.len();
        Some(line)
    }

    /// The oldest lines, at most so many.
    pub(crate) fn batch(&self, most: usize) -> Batch {
        Batch { lost: self.dropped, lines: self.lines.iter().take(most).cloned().collect() }
    }

    /// Forgets the lines of a batch, which have been sent.
    pub(crate) fn sent(&mut self, batch: &Batch) {
        let Some(last) = batch.lines.last() else { return };
        let before = self.lines.len();
        while self.lines.front().is_some_and(|line| line.number <= last.number) {
            self.pop();
        }
        // Some of them may have been dropped while they were under way: those are not lost.
        let dropped_since = batch.lines.len().saturating_sub(before - self.lines.len()) as u64;
        self.dropped = self.dropped.saturating_sub(batch.lost + dropped_since);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Forgets all lines but these.
    pub(crate) fn keep(&mut self, wanted: impl Fn(&Line) -> bool) {
        self.lines.retain(wanted);
        self.bytes = self.lines.iter().map(|line| line.text.len()).sum();
        self.dropped = 0;
    }
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for c in text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        if line.len() + c.len_utf8() > MAX_LINE {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use hostcfg::LogLevel;

    use super::MAX_BYTES;
    use super::MAX_LINES;
    use super::Queue;

    fn push(queue: &mut Queue, text: &str) {
        queue.push(Duration::ZERO, LogLevel::Info, text);
    }

    fn texts(queue: &Queue) -> Vec<String> {
        queue.batch(usize::MAX).lines().map(|line| line.text).collect()
    }

    #[test]
    fn lines_leave_in_their_order_and_once() {
        let mut queue = Queue::default();
        ["a", "b", "c"].into_iter().for_each(|text| push(&mut queue, text));
        let batch = queue.batch(2);
        push(&mut queue, "d");
        queue.sent(&batch);
        assert_eq!(texts(&queue), ["c", "d"]);
        queue.sent(&queue.batch(usize::MAX));
        assert!(queue.is_empty() && queue.batch(9).is_empty());
    }

    #[test]
    fn the_oldest_are_dropped_and_that_is_said_once() {
        let mut queue = Queue::default();
        (0..MAX_LINES + 7).for_each(|n| push(&mut queue, &n.to_string()));
        let lines = texts(&queue);
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines[0], "7 older lines were dropped, nobody took them in time");
        assert_eq!(lines[1], "7");
        // Dropped while it is under way, but sent.
        let batch = queue.batch(5);
        push(&mut queue, "newest");
        queue.sent(&batch);
        let lines = texts(&queue);
        assert_eq!((lines[0].as_str(), lines.len()), ("12", MAX_LINES - 4));
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_and_each_line_as_well() {
        let mut queue = Queue::default();
        let long = "ü".repeat(10_000);
        (0..MAX_LINES).for_each(|_| push(&mut queue, &long));
        assert!(queue.bytes <= MAX_BYTES);
        assert!(texts(&queue).iter().all(|line| line.len() <= 1003 && line.len() > 50));
    }

    #[test]
    fn no_line_can_forge_another() {
        let mut queue = Queue::default();
        push(&mut queue, "one\n<14>1 two\u{1b}[2J");
        assert_eq!(texts(&queue), ["one\u{fffd}<14>1 two\u{fffd}[2J"]);
    }
}
