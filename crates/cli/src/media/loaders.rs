//! The pieces of other projects that stand in front of the kernel: a UEFI stub, and ISOLINUX.

use std::path::Path;
use std::path::PathBuf;

use sha2::Digest;
use sha2::Sha256;

use crate::Error;
use crate::Result;
use crate::files;

/// A file that a medium takes over from the distribution.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Loader {
    /// The UEFI executable that starts a kernel from its own sections.
    Stub,
    /// The BIOS loader of an ISO.
    Isolinux,
    /// The part of it that reads its configuration.
    Ldlinux,
    /// The boot sector that finds it on an ISO that was written to a stick.
    HybridMbr,
}

/// Where these files are: at the distribution's places, or all in one directory.
#[derive(Clone, Debug, Default)]
pub struct Loaders {
    directory: Option<PathBuf>,
    stub: Option<PathBuf>,
}

impl Loader {
    /// Its name in a directory that is given with [`Loaders::in_directory`].
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Stub => "linuxx64.efi.stub",
            Self::Isolinux => "isolinux.bin",
            Self::Ldlinux => "ldlinux.c32",
            Self::HybridMbr => "isohdpfx.bin",
        }
    }

    /// Where Debian and Ubuntu install it.
    fn installed(self) -> &'static str {
        match self {
            Self::Stub => "/usr/lib/systemd/boot/efi",
            Self::Isolinux | Self::HybridMbr => "/usr/lib/ISOLINUX",
            Self::Ldlinux => "/usr/lib/syslinux/modules/bios",
        }
    }

    /// The package of Debian and Ubuntu that has it.
    fn package(self) -> &'static str {
        match self {
            Self::Stub => "systemd-boot-efi",
            Self::Isolinux | Self::HybridMbr => "isolinux",
            Self::Ldlinux => "syslinux-common",
        }
    }

    /// SHA-256 of the file that was tested: Debian 12's systemd-boot-efi 252.39-1~deb12u2, isolinux
    /// and syslinux-common 3:6.04~git20190206.bf6db5b4+dfsg1-3.
    fn pin(self) -> &'static str {
        match self {
            Self::Stub => "c62ae56ffaf49d1a61de4434f4f531dd1d4ed3b5aee46c934c56e3f809b22cc4",
            Self::Isolinux => "f3e2c1786564e148fb394e2321666ddccccedc18f7cf9db3e2416d45d13ea492",
            Self::Ldlinux => "26cbd44c3a3dacbf3971cfbc04db539da07767fa00797f505044e2f68dcfae89",
            Self::HybridMbr => "7b43a4dd2061e95da55af51d57a2385c257d64444ee2a62264bcf634a1d0945b",
        }
    }
}

impl Loaders {
    /// All of them from one directory, by [`Loader::file_name`].
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory: Some(directory), stub: None }
    }

    /// This file as UEFI stub, wherever the others come from.
    #[must_use]
    pub fn with_stub(self, stub: PathBuf) -> Self {
        Self { stub: Some(stub), ..self }
    }

    /// Where a loader is looked for.
    #[must_use]
    pub fn path(&self, loader: Loader) -> PathBuf {
        match (&self.stub, &self.directory) {
            (Some(stub), _) if loader == Loader::Stub => stub.clone(),
            (_, Some(directory)) => directory.join(loader.file_name()),
            (_, None) => Path::new(loader.installed()).join(loader.file_name()),
        }
    }

    /// Reads a loader.
    ///
    /// # Errors
    /// If it is not there. The package that has it is named.
    pub fn read(&self, loader: Loader) -> Result<Vec<u8>> {
        let path = self.path(loader);
        if !path.try_exists().unwrap_or(false) {
            let error = Error::new(format!("there is no {}", path.display()));
            if self.stub.is_some() && loader == Loader::Stub {
                return Err(error.remedy(
                    "give a stub that is there with --stub, or leave that out for the one of the \
                     package systemd-boot-efi",
                ));
            }
            return Err(error.remedy(format!(
                "install it (apt-get install {}), or give a directory that has {} with --loaders",
                loader.package(),
                loader.file_name()
            )));
        }
        files::read(&path)
    }

    /// Says of each of these loaders that is not the tested file what it is instead.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn unpinned(&self, wanted: &[Loader]) -> Result<Vec<String>> {
        let mut words = Vec::new();
        for &loader in wanted {
            let digest = hex::encode(Sha256::digest(self.read(loader)?));
            if digest != loader.pin() {
                words.push(format!(
                    "unpinned: {} is not the file that was tested with this release (SHA-256 {digest})",
                    self.path(loader).display()
                ));
            }
        }
        Ok(words)
    }
}
