//! Kernel, initramfs and command line, checked.

use std::path::Path;

use ospkg::bzimage::BzImage;
use ospkg::bzimage::BzImageError;

use crate::Error;
use crate::Result;
use crate::files;

/// What stands first on the command line of every medium: messages on screen and first serial port,
/// a restart half a minute after a failure, and a console that is the bootloader's.
pub const COMMAND_LINE: &str = "console=tty0 console=ttyS0,115200 panic=30 quiet";

/// Largest kernel that is read: several times what a distribution's is.
const MAX_KERNEL: usize = 256 << 20;

/// What every boot medium holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parts {
    /// A bzImage.
    pub kernel: Vec<u8>,
    /// One or more cpio archives, as the kernel takes them.
    pub initramfs: Vec<u8>,
    /// All of the kernel's command line.
    pub command_line: String,
    /// The kernel's release, as `uname -r` will have it.
    pub release: String,
    /// Unix seconds: the time that the medium bears.
    pub build_time: i64,
}

impl Parts {
    /// Checks the kernel, and puts `more` behind [`COMMAND_LINE`]: of two words that set the same,
    /// the kernel takes the later one.
    ///
    /// # Errors
    /// If the kernel is no x86-64 bzImage, is cut short or does not say its release, or if it would
    /// not take the command line.
    pub fn new(
        kernel: Vec<u8>,
        initramfs: Vec<u8>,
        more: Option<&str>,
        build_time: i64,
    ) -> Result<Self> {
        let header = check_kernel(&kernel)?;
        let release = header.release(&kernel).map(str::to_owned).ok_or_else(|| {
            Error::new("kernel: it does not say its release")
                .remedy("give the bzImage as its build made it (vmlinuz of a distribution is one)")
        })?;
        let command_line = command_line(more.unwrap_or_default(), header.cmdline_size)?;
        Ok(Self { kernel, initramfs, command_line, release, build_time })
    }
}

/// Reads a kernel and checks that it is one.
///
/// # Errors
/// If it cannot be read, or is no x86-64 bzImage. The file is named.
pub(crate) fn read_kernel(path: &Path) -> Result<Vec<u8>> {
    let kernel = files::read_large(path)?;
    check_kernel(&kernel).map_err(|error| error.on(path.display()))?;
    Ok(kernel)
}

/// The kernel's release, such as `6.12.117`, if this is a kernel that says it.
pub(crate) fn release(kernel: &[u8]) -> Option<String> {
    BzImage::parse(kernel).ok()?.release(kernel).map(str::to_owned)
}

/// Not with the code of the parser's errors: that is for the kernel of an OS package.
fn check_kernel(kernel: &[u8]) -> Result<BzImage> {
    const REMEDY: &str = "give an x86-64 bzImage with --kernel: arch/x86/boot/bzImage of a build, or \
                          /boot/vmlinuz-RELEASE of a distribution";
    if kernel.len() > MAX_KERNEL {
        return Err(Error::new("larger than any kernel is (256 MiB)").remedy(REMEDY));
    }
    BzImage::parse_whole(kernel).map_err(|error| {
        Error::new(error.to_string()).remedy(match error {
            BzImageError::Cut { .. } => "copy the kernel again, whole",
            _ => REMEDY,
        })
    })
}

fn command_line(more: &str, longest: u32) -> Result<String> {
    if let Some(odd) = more.chars().find(|letter| !letter.is_ascii_graphic() && *letter != ' ') {
        return Err(Error::usage(format!("the command line has {odd:?} in it"))
            .remedy("a kernel's command line is one line of printable ASCII"));
    }
    let text = format!("{COMMAND_LINE} {}", more.trim()).trim_end().to_owned();
    if text.len() > longest as usize {
        return Err(Error::usage(format!(
            "the command line has {} characters, and this kernel takes {longest}",
            text.len()
        ))
        .remedy("shorten what --cmdline says"));
    }
    Ok(text)
}
