//! OS packages inside a boot image: below `/ospkg`, in an archive of their own.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use hostcfg::PackageName;
use ospkg::Descriptor;
use ospkg::Package;
use report::Coded;
use trust::Clock;
use trust::Sha256Digest;
use trust::Timestamp;
use trust::TrustPolicy;

use crate::Error;
use crate::Result;
use crate::cpio;
use crate::cpio::Archive;
use crate::files;
use crate::package;
use crate::package::Names;

/// Where they are in the initramfs.
pub const PACKAGES: &str = "ospkg";

/// Descriptor and archive of a package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EmbeddedPackage {
    /// `NAME.json`.
    pub descriptor: Vec<u8>,
    /// `NAME.zip`.
    pub archive: Vec<u8>,
}

impl EmbeddedPackage {
    /// Reads both files of a package. With the name that it has in the boot image.
    ///
    /// # Errors
    /// If a file cannot be read, or is called what nothing in a boot image may be called.
    pub fn read(descriptor: &Path) -> Result<(String, Self)> {
        let names = Names::of_descriptor(descriptor)?;
        let stem = descriptor.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        // As a machine will read it: of `a.json.json` it would look for `a`.
        if PackageName::parse(stem).is_none_or(|name| name.descriptor() != format!("{stem}.json")) {
            return Err(Error::new(format!(
                "{} cannot be named in a boot image",
                descriptor.display()
            ))
            .remedy("call it by letters and digits and . _ - + ~, not with a dot in front"));
        }
        let stem = stem.to_owned();
        let descriptor = files::read(&names.descriptor)?;
        let archive = files::read_large(&names.archive)?;
        Ok((stem, Self { descriptor, archive }))
    }

    /// Judges it as a machine will, whose clock says nothing against it: what has expired at
    /// `build_time` never boots.
    ///
    /// # Errors
    /// With the code that the boot would end with. Each signature that did not count is a detail.
    pub fn check(&self, policy: &TrustPolicy, build_time: i64) -> Result<()> {
        let descriptor =
            Descriptor::parse(&self.descriptor).map_err(|error| Error::coded(&error))?;
        let digest = Sha256Digest::of(&self.archive);
        let floor = Timestamp::from_unix(build_time);
        let skew = policy.document().max_clock_skew();
        let clock = Clock::from_rtc(Timestamp::from_unix(0), floor, skew);
        let authorized = trust::authorize(policy, descriptor.endorsements(), digest, &clock)
            .map_err(|refusal| {
                let error = Error::with_code(refusal.code(), refusal.counts());
                refusal.skipped().iter().fold(error, |error, skipped| {
                    error.detail(format!("{skipped} [{}]", skipped.code))
                })
            })?;
        let mut package = Package::open(authorized, digest, Cursor::new(&self.archive))
            .map_err(|error| Error::coded(&error))?;
        let head = package
            .kernel_start(ospkg::bzimage::HEADER_LEN)
            .map_err(|error| Error::coded(&error))?;
        package::check_kernel(&head)
    }
}

/// Packs them. Not compressed: what is in a package is, and what is not would be unpacked twice.
pub(super) fn pack(packages: &BTreeMap<String, EmbeddedPackage>) -> Result<Vec<u8>> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let mut archive = Archive::new();
    for (stem, EmbeddedPackage { descriptor, archive: zip }) in packages {
        archive.file(&format!("{PACKAGES}/{stem}.json"), files::PUBLIC, descriptor.clone())?;
        archive.file(&format!("{PACKAGES}/{stem}.zip"), files::PUBLIC, zip.clone())?;
    }
    let mut bytes = archive.to_bytes();
    cpio::pad(&mut bytes);
    Ok(bytes)
}
