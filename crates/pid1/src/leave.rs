//! How the machine is left.

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::reboot::RebootMode;
use nix::sys::reboot::reboot;

/// Between two tries to leave.
const PAUSE: Duration = Duration::from_secs(5);

/// How the machine is left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leave {
    /// Start again with the firmware.
    Reboot,
    /// Switch off.
    PowerOff,
    /// Start the kernel that was loaded.
    Jump,
}

impl Leave {
    /// The word for it, between two lives of PID 1 and for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::PowerOff => "poweroff",
            Self::Jump => "jump",
        }
    }

    /// From [`Leave::name`]; whatever else it says, a reboot.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "poweroff" => Self::PowerOff,
            "jump" => Self::Jump,
            _ => Self::Reboot,
        }
    }
}

/// Leaves; tries again for ever, because PID 1 has nothing else left to do. What the kernel refuses
/// becomes a reboot.
pub fn leave(how: Leave) -> ! {
    let mut mode = match how {
        Leave::Reboot => RebootMode::RB_AUTOBOOT,
        Leave::PowerOff => RebootMode::RB_POWER_OFF,
        Leave::Jump => RebootMode::RB_KEXEC,
    };
    loop {
        let Err(errno) = reboot(mode);
        console::line(&format!("cannot leave: {errno}; restarting"));
        mode = RebootMode::RB_AUTOBOOT;
        thread::sleep(PAUSE);
        // The way around a driver that hangs in its shutdown hook.
        let _ = fs::write("/proc/sysrq-trigger", "b");
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::Leave;

    #[test]
    fn the_way_out_survives_as_a_word() {
        for how in [Leave::Reboot, Leave::PowerOff, Leave::Jump] {
            assert_eq!(Leave::from_name(how.name()), how);
        }
        assert_eq!(Leave::from_name("anything"), Leave::Reboot);
    }
}
