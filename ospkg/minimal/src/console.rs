//! Lines on the console.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;

/// The system console. Where there is none, lines go nowhere: an OS without a console still runs.
#[derive(Debug)]
pub(crate) struct Console(Option<File>);

impl Console {
    pub(crate) fn open() -> Self {
        Self(OpenOptions::new().write(true).open("/dev/console").ok())
    }

    /// Writes a line. Control characters of what was handed over are not passed on to a terminal.
    pub(crate) fn line(&mut self, line: &str) {
        let Some(file) = &mut self.0 else { return };
        let clean: String =
            line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let _ = file.write_all(format!("{clean}\n").as_bytes());
    }

    /// Waits until everything has left the machine.
    pub(crate) fn drain(&self) {
        let Some(file) = &self.0 else { return };
        let _ = nix::sys::termios::tcdrain(file);
    }
}
