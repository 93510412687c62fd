//! One UEFI executable of kernel, initramfs and command line.

use std::path::Path;

use bootmedia::signer::Signer;
use bootmedia::uki;
use bootmedia::uki::Sbat;
use bootmedia::uki::Uki;
use bootmedia::uki::UkiError;

use super::Loader;
use super::Loaders;
use super::Parts;
use crate::Error;
use crate::Result;
use crate::dates;

/// Makes the executable; with a `signer`, firmware with Secure Boot takes it.
///
/// # Errors
/// If the stub is missing (its package is named) or cannot be used, if the kernel has no EFI stub,
/// or if signing fails.
pub fn uki(parts: &Parts, loaders: &Loaders, signer: Option<&Signer>) -> Result<Vec<u8>> {
    uki_of(parts, loaders, signer, None, Sbat::Ours)
}

/// As [`uki`], for an image of somebody else: with this os-release in place of ours, and these lines
/// in `.sbat`.
///
/// # Errors
/// As [`uki`].
pub(crate) fn uki_of(
    parts: &Parts,
    loaders: &Loaders,
    signer: Option<&Signer>,
    release: Option<&str>,
    sbat: Sbat<'_>,
) -> Result<Vec<u8>> {
    let stub = loaders.read(Loader::Stub)?;
    let image = Uki {
        stub: &stub,
        kernel: &parts.kernel,
        initramfs: &parts.initramfs,
        command_line: &parts.command_line,
        os_release: &release.map_or_else(|| os_release(parts.build_time), str::to_owned),
        uname: &parts.release,
        sbat,
    };
    let image = image.build().map_err(|error| match error {
        UkiError::Stub(_) | UkiError::StubInUse(_) | UkiError::StubIsKernel => {
            no_stub(&error, &loaders.path(Loader::Stub))
        }
        UkiError::NoEfiStub => Error::new(error.to_string()).remedy(
            "give a kernel that was built with CONFIG_EFI_STUB, or choose --format initramfs",
        ),
        _ => Error::new(format!("making a unified kernel image: {error}")),
    })?;
    match signer {
        Some(signer) => signer
            .sign(&image)
            .map_err(|error| Error::new(format!("signing for Secure Boot: {error}"))),
        None => Ok(image),
    }
}

/// What a stub is, for whoever gave something else as one.
fn no_stub(error: &UkiError, path: &Path) -> Error {
    Error::new(error.to_string())
        .on(path.display())
        .detail(
            "a UEFI stub is the small executable in front of a UKI that finds kernel, initramfs and \
             command line behind itself and starts them",
        )
        .remedy(
            "leave --stub out, and the one of the package systemd-boot-efi is taken (apt-get install \
             systemd-boot-efi); or give another linuxx64.efi.stub",
        )
}

impl Parts {
    /// Takes a UKI apart, so that other media hold exactly what it holds. `build_time` is the time
    /// that they bear.
    ///
    /// # Errors
    /// If it is no UKI with a kernel, an initramfs and a command line.
    pub fn from_uki(image: &[u8], build_time: i64) -> Result<Self> {
        const REMEDY: &str = "give what `boot-image build --format uki` made, signed or not";
        let contents =
            uki::read(image).map_err(|error| Error::new(error.to_string()).remedy(REMEDY))?;
        let part = |content: Option<&[u8]>, name: &str| {
            content.map(<[u8]>::to_vec).ok_or_else(|| {
                Error::new(format!("this executable has no section {name}")).remedy(REMEDY)
            })
        };
        let initramfs = part(contents.initrd, ".initrd")?;
        let command_line = part(contents.command_line, ".cmdline")?;
        let command_line = text(&command_line);
        let parts = Self::new(contents.linux.to_vec(), initramfs, None, build_time)?;
        Ok(Self { command_line, ..parts })
    }
}

/// Text of a section: up to the first NUL, in one line.
pub(crate) fn text(section: &[u8]) -> String {
    let end = section.iter().position(|byte| *byte == 0).unwrap_or(section.len());
    let text = String::from_utf8_lossy(section.get(..end).unwrap_or_default());
    text.trim_end().to_owned()
}

/// What the image says of itself where boot menus and `bootctl` look.
fn os_release(build_time: i64) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let date = dates::format(build_time);
    format!(
        "ID=ramstrap\n\
         NAME=\"ramstrap\"\n\
         PRETTY_NAME=\"ramstrap {version} ({date})\"\n\
         VERSION_ID=\"{version}\"\n\
         BUILD_ID=\"{date}\"\n"
    )
}
