//! Lines on the console.

use core::fmt;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use serde::Serialize;

/// Written to each console by itself; followed by the console's name.
const MARK: &str = "MINIMAL-OS-CONSOLE";

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

/// One of the kernel's consoles.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct ConsoleFact {
    name: String,
    /// As `/proc/consoles` has them: `E` enabled, `C` the preferred one, `B` a boot console.
    flags: String,
    /// Whether it took a line.
    written: bool,
    problem: Option<String>,
}

impl fmt::Display for ConsoleFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let works = self.problem.as_deref().unwrap_or("writes");
        write!(f, "{} ({}) {works}", self.name, self.flags)
    }
}

/// Writes a line to every console that `/proc/consoles` lists.
pub(crate) fn try_all(list: &str) -> Vec<ConsoleFact> {
    let consoles = list.lines().filter_map(parse);
    consoles
        .map(|(name, flags)| {
            let problem = write_line(&name).err().map(|error| error.to_string());
            ConsoleFact { name, flags, written: problem.is_none(), problem }
        })
        .collect()
}

/// A line such as `ttyS0  -W- (EC  a)  4:64`.
fn parse(line: &str) -> Option<(String, String)> {
    let name = line.split_whitespace().next()?;
    let flags = line.split_once('(')?.1.split_once(')')?.0;
    Some((name.to_owned(), flags.split_whitespace().collect()))
}

fn write_line(name: &str) -> std::io::Result<()> {
    // Not blocking: a line under flow control must not keep the machine from its end.
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let path = format!("/dev/{name}");
    let mut terminal = OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)?;
    terminal.write_all(format!("{MARK} {name}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_list_of_consoles_is_read() {
        let line = "ttyS0                -W- (EC  a)    4:64";
        assert_eq!(parse(line), Some(("ttyS0".to_owned(), "ECa".to_owned())));
        assert_eq!(parse("tty0 -WU (E  p  )    4:1").unwrap().1, "Ep");
        assert_eq!(parse(""), None);
    }
}
