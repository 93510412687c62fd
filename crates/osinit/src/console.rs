//! Lines for the operator, on every console of the machine.
//!
//! A terminal that takes nothing (flow control, a hung line) must not stop the machine: a write waits
//! for a moment, and what does not fit is lost.

use std::fs;
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

/// How long a write may wait for a terminal that takes nothing at all.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// How long the last lines may take to leave the machine.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

static TERMINALS: OnceLock<Vec<File>> = OnceLock::new();

/// Opens every console that the kernel lists; the system console if it lists none. `/proc` and `/dev`
/// must be there.
pub(crate) fn open() {
    let list = fs::read_to_string("/proc/consoles").unwrap_or_default();
    let mut terminals: Vec<File> = names(&list).filter_map(open_terminal).collect();
    if terminals.is_empty() {
        terminals.extend(open_terminal("console"));
    }
    // Called once, before anything else could have set it.
    let _ = TERMINALS.set(terminals);
}

/// The first word of lines such as `ttyS0  -W- (EC  a)  4:64`. `tty0` is whichever screen is shown.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| line.split_whitespace().next())
}

fn open_terminal(name: &str) -> Option<File> {
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    OpenOptions::new().write(true).custom_flags(flags.bits()).open(format!("/dev/{name}")).ok()
}

/// Writes a line (or several) to every console. Control characters are replaced: text may come from
/// staff and servers, and nobody is to steer an operator's terminal.
pub(crate) fn line(text: &str) {
    let clean = printable(text) + "\n";
    for terminal in TERMINALS.get().into_iter().flatten() {
        write_patiently(terminal, clean.as_bytes());
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Waits until what was written has left the machine.
pub(crate) fn drain() {
    let started = Instant::now();
    let (done, wait) = mpsc::channel();
    for terminal in TERMINALS.get().into_iter().flatten() {
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
    let mut progress = Instant::now();
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return,
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                progress = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = WRITE_PATIENCE.saturating_sub(progress.elapsed());
                let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                if left.is_zero() || poll(&mut fds, timeout).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::names;
    use super::printable;

    #[test]
    fn every_console_of_the_kernel_is_named() {
        let list = "tty0                 -WU (EC  p  )    4:1\n\
                    ttyS0                -W- (E   p a)    4:64\n";
        assert_eq!(names(list).collect::<Vec<_>>(), ["tty0", "ttyS0"]);
    }

    #[test]
    fn nobody_steers_an_operators_terminal() {
        assert_eq!(printable("refused: \u{1b}[2J\r"), "refused: \u{fffd}[2J\u{fffd}");
    }
}
