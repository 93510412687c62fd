//! Lines for the operator, on every console of the machine: serial lines and screens alike.
//!
//! A terminal that does not take what is written (flow control, a hung line) must not keep a
//! machine from booting or from wiping its secrets: every write is bounded, what does not fit is
//! lost.
//!
//! The consoles are opened once in the life of a process, by [`open`] or [`open_listed`]; before
//! that, nothing is written anywhere.

mod drain;
mod terminal;

use std::fs;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::TryLockError;
use std::time::Duration;

pub use crate::drain::drain;
pub use crate::terminal::Terminal;

/// How long the last lines may take to leave the machine before it jumps or restarts.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

static CONSOLES: OnceLock<Consoles> = OnceLock::new();

#[derive(Debug)]
struct Consoles {
    terminals: Vec<Terminal>,
    /// What stands in the last row of every screen, to be drawn anew below the next line.
    status: Mutex<String>,
}

/// Opens the terminals of these names in `/dev`; the system console if none of them can be opened.
///
/// Names are used as they are: the caller has seen to it that they are names of terminals. `/dev`
/// must be there.
pub fn open<'a, I: IntoIterator<Item = &'a str>>(names: I) {
    let mut terminals: Vec<Terminal> = names.into_iter().filter_map(Terminal::open).collect();
    if terminals.is_empty() {
        terminals.extend(Terminal::open("console"));
    }
    // Fails only if it was done before.
    let _ = CONSOLES.set(Consoles { terminals, status: Mutex::new(String::new()) });
}

/// [`open`] for every console that the kernel uses. `/proc` must be there, too.
pub fn open_listed() {
    open(listed(&fs::read_to_string("/proc/consoles").unwrap_or_default()));
}

/// The first word of lines such as `ttyS0  -W- (EC  a)  4:64`. `tty0` is whichever screen is shown.
fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| line.split_whitespace().next())
}

/// All terminals that are written to.
#[must_use]
pub fn terminals() -> &'static [Terminal] {
    CONSOLES.get().map_or(&[], |consoles| &consoles.terminals)
}

/// Writes a line (or several) to every console.
///
/// Text may come from servers, certificates and staff: control characters are replaced, so that
/// nobody can steer an operator's terminal.
pub fn line(text: &str) {
    let Some(consoles) = CONSOLES.get() else { return };
    let clean = printable(text) + "\n";
    let status = consoles.status();
    for terminal in &consoles.terminals {
        if terminal.is_screen() && !status.is_empty() {
            terminal.write_or_lose(format!("{CLEAR_ROW}{clean}{status}").as_bytes());
        } else {
            terminal.write_or_lose(clean.as_bytes());
        }
    }
}

/// As [`line`], but not on screens: for what these show in their last row.
pub fn plain_line(text: &str) {
    let clean = printable(text) + "\n";
    for terminal in terminals().iter().filter(|terminal| !terminal.is_screen()) {
        terminal.write_or_lose(clean.as_bytes());
    }
}

/// Shows one row of at most 79 characters below the last line of every screen, in place of the one
/// that was shown before; an empty text takes it away. Terminals that are no screens (serial lines,
/// whose other end may be a file) do not get it.
pub fn status(text: &str) {
    let Some(consoles) = CONSOLES.get() else { return };
    let mut row = printable(text).replace('\n', " ");
    row.truncate(row.char_indices().nth(LONGEST_STATUS).map_or(row.len(), |(at, _)| at));
    for terminal in consoles.terminals.iter().filter(|terminal| terminal.is_screen()) {
        terminal.write_or_lose(format!("{CLEAR_ROW}{row}").as_bytes());
    }
    consoles.set_status(row);
}

/// A screen of 80 columns goes to its next row after the 80th character.
const LONGEST_STATUS: usize = 79;

/// Back to the start of the row, and clear it.
const CLEAR_ROW: &str = "\r\u{1b}[K";

impl Consoles {
    /// Never waits: a panic hook may write while the text is being changed.
    fn status(&self) -> String {
        match self.status.try_lock() {
            Ok(status) => status.clone(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().clone(),
            Err(TryLockError::WouldBlock) => String::new(),
        }
    }

    fn set_status(&self, row: String) {
        if let Ok(mut status) = self.status.try_lock() {
            *status = row;
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::listed;
    use super::printable;

    #[test]
    fn every_console_of_the_kernel_is_named() {
        let list = "tty0                 -WU (EC  p  )    4:1\n\
                    ttyS0                -W- (E   p a)    4:64\n";
        assert_eq!(listed(list).collect::<Vec<_>>(), ["tty0", "ttyS0"]);
    }

    #[test]
    fn nobody_steers_an_operators_terminal() {
        let name = "CN=\u{1b}[2Jalice\r\u{7}\u{9b}31m";
        assert_eq!(printable(name), "CN=\u{fffd}[2Jalice\u{fffd}\u{fffd}\u{fffd}31m");
        assert_eq!(printable("two\nlines of text"), "two\nlines of text");
    }
}
