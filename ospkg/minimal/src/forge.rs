//! A lie on the report channel: `minimal.forge=ttyS1` on the kernel command line.
//!
//! Whoever reads `/init`'s report must not believe what an OS writes to the same port afterwards.
//! A boot test uses this to see that it does not.

use std::fs::OpenOptions;
use std::io::Write;

use report::BootReport;
use report::Code;
use report::Failure;
use report::Outcome;
use report::channel::Event;

use crate::settings;

/// The terminal to lie on, if the command line names one. A name, never a path.
pub(crate) fn terminal(cmdline: &str) -> Option<&str> {
    let name = settings::value(cmdline, "forge")?;
    (name.starts_with("tty") && name.bytes().all(|it| it.is_ascii_alphanumeric())).then_some(name)
}

/// Writes the end of a boot that failed, as `/init` would; the true report is what it is made of.
/// Returns what became of it, for the console.
pub(crate) fn lie(terminal: &str, truth: &BootReport) -> String {
    let failure = Some(Failure::new(Code::Panicked, "forged"));
    let report = BootReport { outcome: Outcome::Failed, failure, ..truth.clone() };
    let line = format!("\n{}", Event::End { report }.to_line());
    let port = OpenOptions::new().write(true).open(format!("/dev/{terminal}"));
    let written = port.and_then(|mut port| {
        port.write_all(line.as_bytes())?;
        Ok(nix::sys::termios::tcdrain(&port)?)
    });
    match written {
        Ok(()) => format!("forged an end on {terminal}"),
        Err(error) => format!("cannot write to {terminal}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::terminal;

    #[test]
    fn only_terminals_are_written_to() {
        assert_eq!(terminal("console=ttyS0 minimal.forge=ttyS1 quiet"), Some("ttyS1"));
        assert_eq!(terminal("minimal.forge=sda"), None);
        assert_eq!(terminal("minimal.forge=tty/../sda"), None);
        assert_eq!(terminal("console=ttyS1"), None);
    }
}
