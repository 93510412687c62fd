//! Kernel, initramfs and command line, checked.

use std::path::Path;

use ospkg::bzimage::BzImage;

use crate::Error;
use crate::Result;
use crate::files;

/// What stands first on the command line of every medium: messages on screen and first serial port,
/// a restart half a minute after a failure, and a console that is the bootloader's.
pub const COMMAND_LINE: &str = "console=tty0 console=ttyS0,115200 panic=30 quiet";

/// Largest kernel that is read: several times what a distribution's is.
const MAX_KERNEL: usize = 256 << 20;

/// Where the setup header has the address of the kernel's version, less 0x200.
const VERSION_POINTER: usize = 0x20e;
/// Where it has the length of what follows the setup code, in units of 16 bytes.
const SYSTEM_SIZE: usize = 0x1f4;

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
        let release = release(&kernel).ok_or_else(|| {
            Error::new("the kernel does not say its release")
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

/// The kernel's release, such as `6.12.117`, if this is a bzImage that says it.
pub(crate) fn release(kernel: &[u8]) -> Option<String> {
    let at: [u8; 2] = kernel.get(VERSION_POINTER..VERSION_POINTER + 2)?.try_into().ok()?;
    let at = usize::from(u16::from_le_bytes(at));
    if at == 0 {
        return None;
    }
    let text = kernel.get(at + 0x200..)?;
    let text = text.get(..text.iter().take(256).position(|byte| *byte == 0)?)?;
    let release = core::str::from_utf8(text).ok()?.split_whitespace().next()?;
    let plain = |letter: char| letter.is_ascii_graphic() && letter != '/';
    release.chars().all(plain).then(|| release.to_owned())
}

fn check_kernel(kernel: &[u8]) -> Result<BzImage> {
    const REMEDY: &str =
        "give an x86-64 bzImage: arch/x86/boot/bzImage of a build, or /boot/vmlinuz-RELEASE";
    if kernel.len() > MAX_KERNEL {
        return Err(Error::new("larger than any kernel is (256 MiB)").remedy(REMEDY));
    }
    let header = BzImage::parse(kernel).map_err(|error| Error::coded(&error).remedy(REMEDY))?;
    let units: Option<[u8; 4]> =
        kernel.get(SYSTEM_SIZE..SYSTEM_SIZE + 4).and_then(|bytes| bytes.try_into().ok());
    // Rounded up to 16 bytes by the build.
    let least = u64::from(units.map_or(0, u32::from_le_bytes)).saturating_mul(16);
    let least = (u64::from(header.setup_len) + least).saturating_sub(15);
    if (kernel.len() as u64) < least {
        return Err(Error::new(format!(
            "kernel: cut short: {} bytes, and its header speaks of {least}",
            kernel.len()
        ))
        .remedy("copy the kernel again, whole"));
    }
    Ok(header)
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
