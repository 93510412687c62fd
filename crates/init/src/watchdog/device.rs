//! `/dev/watchdogN` (Linux, `Documentation/watchdog/watchdog-api.rst`).

use std::fmt::Debug;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Most watchdogs that are looked at.
const MOST: usize = 8;

/// `WDIOS_DISABLECARD` and `WDIOS_ENABLECARD`.
const DISABLE: libc::c_int = 1;
const ENABLE: libc::c_int = 2;

/// What can be done with a watchdog. Opening one has started it.
pub(super) trait Hardware: Debug + Send {
    /// Where it is.
    fn path(&self) -> &str;
    /// What the driver calls it.
    fn identity(&self) -> String;
    /// The time-out in seconds.
    fn timeout(&self) -> Result<u32, Errno>;
    /// Asks for a time-out; the driver may make something near to it.
    fn set_timeout(&self, seconds: u32) -> Result<(), Errno>;
    /// Starts the time-out anew.
    fn pet(&self) -> Result<(), Errno>;
    /// Stops the timer.
    fn stop(&self) -> Result<(), Errno>;
    /// Starts it again.
    fn start(&self) -> Result<(), Errno>;
    /// Lets the driver stop the timer when the file is closed, should it want to be told.
    fn allow_close(&self);
}

/// An open watchdog.
#[derive(Debug)]
pub(super) struct Device {
    path: String,
    file: File,
}

impl Device {
    /// Opens, and thereby starts, the first that there is.
    pub(super) fn first() -> Option<Self> {
        let numbered = (0..MOST).map(|number| format!("/dev/watchdog{number}"));
        // Drivers that do without the kernel's common code have this name only.
        numbered.chain(["/dev/watchdog".to_owned()]).find_map(|path| {
            let file = OpenOptions::new().write(true).open(&path).ok()?;
            Some(Self { path, file })
        })
    }

    fn set_option(&self, option: libc::c_int) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, the pointer is to an int that lives until the return.
        unsafe { ioctl::set_options(self.file.as_raw_fd(), &raw const option) }.map(drop)
    }
}

impl Hardware for Device {
    fn path(&self) -> &str {
        &self.path
    }

    fn identity(&self) -> String {
        let mut info = ioctl::Info::default();
        // SAFETY: the descriptor is open, the pointer is to a structure of the kernel's layout.
        if unsafe { ioctl::support(self.file.as_raw_fd(), &raw mut info) }.is_err() {
            return "unknown".to_owned();
        }
        let name: Vec<u8> = info.identity.into_iter().take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&name).trim().to_owned()
    }

    fn timeout(&self) -> Result<u32, Errno> {
        let mut seconds = 0;
        // SAFETY: the descriptor is open, the pointer is to an int.
        unsafe { ioctl::timeout(self.file.as_raw_fd(), &raw mut seconds) }?;
        u32::try_from(seconds).map_err(|_| Errno::ERANGE)
    }

    fn set_timeout(&self, seconds: u32) -> Result<(), Errno> {
        let mut seconds = libc::c_int::try_from(seconds).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the descriptor is open, the pointer is to an int.
        unsafe { ioctl::set_timeout(self.file.as_raw_fd(), &raw mut seconds) }.map(drop)
    }

    fn pet(&self) -> Result<(), Errno> {
        write(&self.file, b"\0")
    }

    fn stop(&self) -> Result<(), Errno> {
        self.set_option(DISABLE)
    }

    fn start(&self) -> Result<(), Errno> {
        self.set_option(ENABLE)
    }

    fn allow_close(&self) {
        // Where this is not understood, it counts as petting.
        let _ = write(&self.file, b"V");
    }
}

fn write(mut file: &File, byte: &[u8]) -> Result<(), Errno> {
    file.write_all(byte).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
}

/// The requests of `linux/watchdog.h`.
mod ioctl {
    /// `struct watchdog_info`.
    #[repr(C)]
    #[derive(Debug, Default)]
    pub(super) struct Info {
        options: u32,
        firmware_version: u32,
        pub(super) identity: [u8; 32],
    }

    nix::ioctl_read!(support, b'W', 0, Info);
    // The kernel reads this int, although the request's number says the opposite.
    nix::ioctl_write_ptr_bad!(
        set_options,
        nix::request_code_read!(b'W', 4, size_of::<libc::c_int>()),
        libc::c_int
    );
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
    nix::ioctl_read!(timeout, b'W', 7, libc::c_int);
}
