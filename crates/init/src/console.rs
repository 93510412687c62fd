//! Writes to every console of the kernel command line, and to the report channel.
//!
//! A terminal that does not take what is written (flow control, a hung line) must not keep a
//! machine from booting: writes do not block for longer than a moment, what does not fit is lost.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::termios::tcdrain;
use report::channel::Event;

use crate::cmdline::KernelSettings;

/// How long a write may wait for a terminal that takes nothing at all.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// How long one write may take in all: 60 kB at 115,200 baud.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// How long the last lines may take to leave the machine before it jumps or reboots.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

static CONSOLE: OnceLock<Console> = OnceLock::new();

/// All terminals that a boot is told on.
#[derive(Debug)]
pub(crate) struct Console {
    terminals: Vec<File>,
    report: Option<File>,
}

impl Console {
    /// Opens what the command line names; without any `console=`, the kernel's own choice.
    pub(crate) fn open(settings: &KernelSettings) {
        let mut terminals: Vec<File> =
            settings.consoles.iter().filter_map(|name| open_terminal(name)).collect();
        if terminals.is_empty() {
            terminals.extend(open_terminal("console"));
        }
        let report = settings.report.as_deref().and_then(open_terminal);
        // Called once, before anything else could have set it.
        let _ = CONSOLE.set(Self { terminals, report });
    }
}

fn open_terminal(name: &str) -> Option<File> {
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    OpenOptions::new().write(true).custom_flags(flags.bits()).open(format!("/dev/{name}")).ok()
}

/// Writes a line (or several) to every console.
///
/// Text may come from servers and certificates: control characters are replaced, so that nobody
/// can steer an operator's terminal.
pub(crate) fn line(text: &str) {
    let Some(console) = CONSOLE.get() else { return };
    let clean = printable(text) + "\n";
    for terminal in &console.terminals {
        write_patiently(terminal, clean.as_bytes());
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Tells the harness; without a report channel, nobody.
pub(crate) fn event(event: &Event) {
    if let Some(report) = CONSOLE.get().and_then(|console| console.report.as_ref()) {
        write_patiently(report, event.to_line().as_bytes());
    }
}

/// Waits until what was written has left the machine.
pub(crate) fn drain() {
    let Some(console) = CONSOLE.get() else { return };
    let (done, wait) = mpsc::channel();
    let started = Instant::now();
    for terminal in console.terminals.iter().chain(&console.report) {
        let Ok(terminal) = terminal.try_clone() else { continue };
        let done = done.clone();
        // In a thread of its own: a terminal under flow control may never drain.
        let spawned = thread::Builder::new().stack_size(64 << 10).spawn(move || {
            let _ = tcdrain(&terminal);
            let _ = done.send(());
        });
        if spawned.is_ok() {
            let _ = wait.recv_timeout(DRAIN_PATIENCE.saturating_sub(started.elapsed()));
        }
    }
}

fn write_patiently(mut file: &File, mut bytes: &[u8]) {
    let started = Instant::now();
    let mut progress = started;
    while !bytes.is_empty() && started.elapsed() < WRITE_TIME {
        match file.write(bytes) {
            Ok(0) => return,
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                progress = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = WRITE_PATIENCE.saturating_sub(progress.elapsed());
                if left.is_zero() {
                    return;
                }
                let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut fds, timeout).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nobody_steers_an_operators_terminal() {
        let name = "CN=\u{1b}[2Jalice\r\u{7}\u{9b}31m";
        assert_eq!(printable(name), "CN=\u{fffd}[2Jalice\u{fffd}\u{fffd}\u{fffd}31m");
        assert_eq!(printable("two\nlines of text"), "two\nlines of text");
    }
}
