//! One terminal, and writes to it that never wait for long.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;

/// How long a write may wait for a terminal that takes nothing at all.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// How long one write may take in all: 60 kB at 115,200 baud.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// A terminal that is written to.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    screen: bool,
    /// It took nothing when it was last written to: it is not waited for again until it does.
    stalled: AtomicBool,
}

impl Terminal {
    /// Opens `/dev/<name>`; it does not become the terminal that controls this process. `None` if it
    /// cannot be opened. The name is used as it is.
    #[must_use]
    pub fn open(name: &str) -> Option<Self> {
        let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits())
            .open(format!("/dev/{name}"))
            .ok()?;
        Some(Self::new(file, is_screen(name)))
    }

    fn new(file: File, screen: bool) -> Self {
        Self { file, screen, stalled: AtomicBool::new(false) }
    }

    /// Whether this is a screen of the machine, on which a row can be drawn anew.
    #[must_use]
    pub const fn is_screen(&self) -> bool {
        self.screen
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Writes these bytes as they are. Waits up to half a second for a terminal that takes nothing,
    /// and up to five in all; what is left then is lost.
    pub fn write(&self, bytes: &[u8]) {
        self.write_within(bytes, WRITE_PATIENCE);
    }

    /// Like [`Terminal::write`], but waits for a terminal that hangs only once, not again for each
    /// line: until it takes something, everything is lost that it does not take at once.
    pub(crate) fn write_or_lose(&self, bytes: &[u8]) {
        let stalled = self.stalled.load(Ordering::Relaxed);
        let patience = if stalled { Duration::ZERO } else { WRITE_PATIENCE };
        let complete = self.write_within(bytes, patience);
        self.stalled.store(!complete, Ordering::Relaxed);
    }

    /// Whether everything was written. `patience` is for a terminal that takes nothing at all.
    fn write_within(&self, mut bytes: &[u8], patience: Duration) -> bool {
        let mut file = &self.file;
        let started = Instant::now();
        let mut progress = started;
        while !bytes.is_empty() {
            match file.write(bytes) {
                Ok(0) => return false,
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    progress = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = patience
                        .saturating_sub(progress.elapsed())
                        .min(WRITE_TIME.saturating_sub(started.elapsed()));
                    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                    if left.is_zero() || poll(&mut fds, timeout).is_err() {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }
}

/// Virtual terminals are `tty` and a number; everything else is a line to somewhere.
fn is_screen(name: &str) -> bool {
    name.strip_prefix("tty")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::sync::atomic::Ordering;

    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;

    use super::Terminal;
    use super::is_screen;

    /// A line that nobody reads: the kernel's buffer is all that it takes.
    fn pipe() -> (File, Terminal) {
        let (read, write) = pipe2(OFlag::O_NONBLOCK).unwrap();
        (read.into(), Terminal::new(write.into(), false))
    }

    #[test]
    fn a_screen_is_told_from_a_line() {
        assert!(["tty0", "tty1", "tty12"].into_iter().all(is_screen));
        assert!(
            !["ttyS0", "tty", "console", "hvc0", "ttyAMA0", "ttyUSB1"].into_iter().any(is_screen)
        );
    }

    #[test]
    fn a_terminal_that_hangs_loses_what_does_not_fit_and_is_used_again_when_it_does() {
        let (mut reader, terminal) = pipe();
        terminal.write_or_lose(&vec![b'.'; 1 << 20]);
        assert!(terminal.stalled.load(Ordering::Relaxed), "it hangs");
        terminal.write_or_lose(b"lost");
        let mut buffer = vec![0; 1 << 20];
        let held = reader.read(&mut buffer).unwrap();
        assert!(buffer.get(..held).unwrap().iter().all(|byte| *byte == b'.'));
        terminal.write_or_lose(b"taken");
        assert!(!terminal.stalled.load(Ordering::Relaxed), "it takes lines again");
        let held = reader.read(&mut buffer).unwrap();
        assert_eq!(buffer.get(..held), Some(b"taken".as_slice()));
    }
}
