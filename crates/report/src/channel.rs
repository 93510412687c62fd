//! The report channel: one JSON object a line, written by `/init` to a serial port of its own and
//! read by the harness. The line [`Event::End`] is the last that `/init` writes; what comes after
//! it was written by somebody else and must not be read.

use serde::Deserialize;
use serde::Serialize;

use crate::BootReport;
use crate::Stage;

/// One line on the report channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "lines are made and read one at a time")]
pub enum Event {
    /// `/init` runs.
    Start {
        /// Version of ramstrap.
        ramstrap: String,
    },
    /// A stage began.
    Stage {
        /// Which one.
        stage: Stage,
        /// Microseconds since the start of `/init`.
        at_us: u64,
    },
    /// Bytes of the archive have come.
    Progress {
        /// So far.
        bytes: u64,
        /// In all, where the server said so.
        total: Option<u64>,
    },
    /// The boot is over: with outcome `kexec` the jump follows at once.
    End {
        /// What happened.
        report: BootReport,
    },
}

impl Event {
    /// The event as a line, newline included.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Our own types always serialise: no map with non-string keys, no failing implementation.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Reads a line; `None` for anything that is not an event.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Event;
    use crate::Stage;

    #[test]
    fn lines_round_trip() {
        let event = Event::Stage { stage: Stage::Fetch, at_us: 17 };
        let line = event.to_line();
        assert!(line.ends_with('\n') && !line.trim_end().contains('\n'));
        assert_eq!(Event::from_line(&line), Some(event));
        assert_eq!(Event::from_line("[    0.1] Linux version"), None);
    }
}
