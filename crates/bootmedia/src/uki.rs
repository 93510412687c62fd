//! Unified kernel images: kernel, initramfs and command line in one PE image that firmware starts,
//! measures and, with Secure Boot, verifies as a whole.
//!
//! Source: UAPI Group, "Unified Kernel Image". The code in front is a stub such as systemd's
//! (`linuxx64.efi.stub`), which finds its sections by name and starts the kernel through the
//! kernel's own EFI stub.

use ospkg::bzimage::BzImage;
use ospkg::bzimage::BzImageError;
use thiserror::Error;

use crate::pe::Image;
use crate::pe::NewSection;
use crate::pe::PeError;

/// The sections that are written; a stub's own ones of these names go.
const SECTIONS: [&str; 6] = [".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"];

/// The line of ours in `.sbat`: component, generation, vendor, package, version, address. The
/// generation counts up when a hole is closed that old images must not be started with any more.
const OUR_SBAT: &str = concat!("ramstrap,1,ramstrap,ramstrap,", env!("CARGO_PKG_VERSION"), ",-\n");

/// What `.sbat` starts with, always.
const SBAT_HEADER: &str =
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n";

/// Why no unified kernel image could be built or read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum UkiError {
    /// The stub cannot be used.
    #[error("the UEFI stub cannot be used: {0}")]
    Stub(PeError),
    /// The stub is for something else.
    #[error("the UEFI stub cannot be used: it has a section {0} already; is it a complete image?")]
    StubInUse(&'static str),
    /// The stub is a kernel, which would start alone.
    #[error("the UEFI stub cannot be used: it is a kernel itself")]
    StubIsKernel,
    /// The kernel cannot be used.
    #[error(transparent)]
    Kernel(#[from] BzImageError),
    /// The kernel cannot be started by UEFI.
    #[error("kernel: it has no EFI stub (CONFIG_EFI_STUB), so no UEFI firmware can start it")]
    NoEfiStub,
    /// The command line has a character that ends it or means something else to the stub.
    #[error("the kernel command line has a control character (byte {byte:#04x}) at position {at}")]
    CommandLineCharacter {
        /// The byte.
        byte: u8,
        /// How many bytes are before it.
        at: usize,
    },
    /// The kernel would cut the command line off.
    #[error("the kernel command line has {len} bytes; this kernel takes {limit}")]
    CommandLineTooLong {
        /// Its length, in bytes.
        len: usize,
        /// What the kernel takes, in bytes.
        limit: u32,
    },
    /// Nothing to unpack.
    #[error("the initramfs is empty")]
    NoInitramfs,
    /// The image that was to be read is none.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// What this stub measures is not known.
    #[error("what it leaves in the TPM is known for systemd-stub 252 only; its stub is {0}")]
    UnknownStub(String),
    /// A section takes far more in memory than the file has of it.
    #[error("section {0} claims more memory than any unified kernel image needs")]
    MostlyZeros(&'static str),
    /// A PE image without a kernel inside.
    #[error("it is no unified kernel image: it has no section {0}")]
    NotUki(&'static str),
}

/// The parts of a unified kernel image.
#[derive(Clone, Copy, Debug)]
pub struct Uki<'a> {
    /// A UEFI stub, such as systemd's `linuxx64.efi.stub`.
    pub stub: &'a [u8],
    /// The kernel: a bzImage with an EFI stub.
    pub kernel: &'a [u8],
    /// The initramfs, as the kernel unpacks it.
    pub initramfs: &'a [u8],
    /// The kernel's command line, without NUL.
    pub command_line: &'a str,
    /// What `/etc/os-release` would say.
    pub os_release: &'a str,
    /// Release of the kernel, such as `6.12.1`.
    pub uname: &'a str,
    /// What `.sbat` says.
    pub sbat: Sbat<'a>,
}

/// What `.sbat` says: generations of what is inside, by which old images are revoked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sbat<'a> {
    /// The lines of the stub, and one of ours.
    #[default]
    Ours,
    /// These lines and no other; the header line is put in front if it is missing.
    Only(&'a str),
    /// The lines of the stub, and these.
    Append(&'a str),
}

impl Uki<'_> {
    /// Builds the image, unsigned. The same parts give the same bytes.
    ///
    /// The kernel is the last section, as newer stubs start it where it lies and it then unpacks
    /// itself behind its own end.
    ///
    /// # Errors
    /// [`UkiError`], which names the part that cannot be used.
    pub fn build(&self) -> Result<Vec<u8>, UkiError> {
        let stub = Image::parse(self.stub).map_err(UkiError::Stub)?;
        if BzImage::parse(self.stub).is_ok() {
            return Err(UkiError::StubIsKernel);
        }
        for name in [".linux", ".initrd", ".cmdline"] {
            if stub.section(name).is_some() {
                return Err(UkiError::StubInUse(name));
            }
        }
        let kernel = BzImage::parse(self.kernel)?;
        if Image::parse(self.kernel).is_err() {
            return Err(UkiError::NoEfiStub);
        }
        self.check_command_line(kernel.cmdline_size)?;
        if self.initramfs.is_empty() {
            return Err(UkiError::NoInitramfs);
        }
        let sbat = self.sbat(&stub);
        // Without a command line of its own, an image would take the one that the firmware hands
        // it, even with Secure Boot.
        let command_line = if self.command_line.is_empty() { " " } else { self.command_line };
        let contents = [
            sbat.as_bytes(),
            self.os_release.as_bytes(),
            command_line.as_bytes(),
            self.uname.as_bytes(),
            self.initramfs,
            self.kernel,
        ];
        let sections: Vec<NewSection<'_>> = SECTIONS
            .into_iter()
            .zip(contents)
            .filter(|(_, content)| !content.is_empty())
            .map(|(name, content)| NewSection { name, content })
            .collect();
        stub.with_sections(&SECTIONS, &sections).map_err(UkiError::Stub)
    }

    fn check_command_line(&self, limit: u32) -> Result<(), UkiError> {
        let mut bytes = self.command_line.bytes().enumerate();
        if let Some((at, byte)) = bytes.find(|(_, byte)| byte.is_ascii_control()) {
            return Err(UkiError::CommandLineCharacter { byte, at });
        }
        let len = self.command_line.len();
        if u32::try_from(len).map_or(true, |len| len > limit) {
            return Err(UkiError::CommandLineTooLong { len, limit });
        }
        Ok(())
    }

    /// The whole content of `.sbat`. It cannot grow in place, where the stub has other sections
    /// right behind it, so the section is replaced.
    fn sbat(&self, stub: &Image<'_>) -> String {
        let stubs = stub.section(".sbat").map(|section| stub.content(section));
        let stubs = stubs.map(text).filter(|lines| lines.starts_with("sbat,"));
        let stubs = stubs.map_or_else(|| SBAT_HEADER.to_owned(), ended);
        match self.sbat {
            Sbat::Ours => stubs + OUR_SBAT,
            Sbat::Append(lines) => stubs + &ended(without_header(lines).to_owned()),
            Sbat::Only(lines) if lines.starts_with("sbat,") => ended(lines.to_owned()),
            Sbat::Only(lines) => ended(format!("{SBAT_HEADER}{lines}")),
        }
    }
}

/// What is in a unified kernel image, each section where there is one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Contents<'a> {
    /// The kernel.
    pub linux: &'a [u8],
    /// The initramfs.
    pub initrd: Option<&'a [u8]>,
    /// The kernel's command line.
    pub command_line: Option<&'a [u8]>,
    /// What `/etc/os-release` would say.
    pub os_release: Option<&'a [u8]>,
    /// Release of the kernel.
    pub uname: Option<&'a [u8]>,
    /// Generations of what is inside, for revocation.
    pub sbat: Option<&'a [u8]>,
    /// A picture.
    pub splash: Option<&'a [u8]>,
    /// A device tree.
    pub device_tree: Option<&'a [u8]>,
    /// Signatures of expected PCR values.
    pub pcr_signature: Option<&'a [u8]>,
    /// The key that those are made with.
    pub pcr_key: Option<&'a [u8]>,
    /// What the stub says that it is, such as `systemd-stub 252.39-1~deb12u2`.
    pub stub: Option<&'a str>,
}

/// Finds the sections of a unified kernel image.
///
/// # Errors
/// If it is no PE image, or one without a kernel.
pub fn read(image: &[u8]) -> Result<Contents<'_>, UkiError> {
    let image = Image::parse(image)?;
    let section = |name: &str| image.section(name).map(|section| image.content(section));
    Ok(Contents {
        linux: section(".linux").ok_or(UkiError::NotUki(".linux"))?,
        initrd: section(".initrd"),
        command_line: section(".cmdline"),
        os_release: section(".osrel"),
        uname: section(".uname"),
        sbat: section(".sbat"),
        splash: section(".splash"),
        device_tree: section(".dtb"),
        pcr_signature: section(".pcrsig"),
        pcr_key: section(".pcrpkey"),
        stub: section(".sdmagic").and_then(stub_name),
    })
}

/// What stands in `.sdmagic` between the marks that systemd puts around it.
fn stub_name(magic: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(magic).ok()?.trim_end_matches('\0');
    text.strip_prefix("#### LoaderInfo: ")?.strip_suffix(" ####")
}

/// Text up to the first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// Lines of `.sbat` without the header line, which is there already.
fn without_header(lines: &str) -> &str {
    match lines.split_once('\n') {
        Some((first, rest)) if first.starts_with("sbat,") => rest,
        _ => lines,
    }
}

/// Ends the last line, if it has no end.
fn ended(mut lines: String) -> String {
    if !lines.is_empty() && !lines.ends_with('\n') {
        lines.push('\n');
    }
    lines
}
