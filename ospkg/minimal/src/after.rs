//! What happens once everything is said: `minimal.after=` on the kernel command line.

use std::thread;
use std::time::Duration;

use nix::sys::reboot::RebootMode;
use nix::sys::reboot::reboot;

use crate::settings;

/// The end of the machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum After {
    /// Run on and do nothing.
    Hang,
    /// End PID 1, at which the kernel panics.
    Panic,
    /// Switch off.
    #[default]
    Poweroff,
    /// Reset.
    Reboot,
}

impl After {
    /// The last `minimal.after=` on the command line; switching off if there is none or it says
    /// something else.
    pub(crate) fn from_cmdline(cmdline: &str) -> Self {
        match settings::value(cmdline, "after") {
            Some("hang") => Self::Hang,
            Some("panic") => Self::Panic,
            Some("reboot") => Self::Reboot,
            _ => Self::Poweroff,
        }
    }

    /// The value of the parameter.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::Panic => "panic",
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
        }
    }

    /// Does it. Returns if PID 1 is to end.
    pub(crate) fn carry_out(self) {
        let mode = match self {
            Self::Hang => loop {
                thread::sleep(Duration::from_secs(3600));
            },
            Self::Panic => return,
            Self::Poweroff => RebootMode::RB_POWER_OFF,
            Self::Reboot => RebootMode::RB_AUTOBOOT,
        };
        // Returns only if the kernel refuses, and then there is nothing better to do than to end.
        let _ = reboot(mode);
    }
}

/// A field of `/proc/meminfo` in KiB.
pub(crate) fn field_kib(meminfo: &str, field: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::After;
    use super::field_kib;

    #[test]
    fn the_command_line_decides() {
        let after = After::from_cmdline;
        assert_eq!(after("console=ttyS0"), After::Poweroff);
        assert_eq!(after("minimal.after=reboot quiet"), After::Reboot);
        assert_eq!(after("minimal.after=reboot minimal.after=hang\n"), After::Hang);
        assert_eq!(after("minimal.after=panic"), After::Panic);
        assert_eq!(after("minimal.after=dance"), After::Poweroff);
    }

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:         984932 kB\nMemFree:  1 kB\n";
        assert_eq!(field_kib(text, "MemTotal"), Some(984_932));
        assert_eq!(field_kib(text, "Mem"), None);
    }
}
