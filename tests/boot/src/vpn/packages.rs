//! Releases of a package: the recipe's, with other release numbers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::io::Read;

use anyhow::Context;
use anyhow::Result;
use provision::Identity;
use ramstrap_cli::boot_image::Base;
use recipe::Options;
use serde_json::Value;
use serde_json::json;
use trust::Sha256Digest;
use xtask::ospkg;
use zip::ZipArchive;

use crate::bench::Bench;
use crate::package::Archive;
use crate::package::CMDLINE;
use crate::package::Descriptor;

/// The member of staff whose key is in the package.
pub const STAFF: &str = "alice";

/// A signed release.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its number.
    pub number: u64,
    /// The archive.
    pub archive: Archive,
    /// The descriptor, signed by two of three.
    pub descriptor: Descriptor,
}

impl Release {
    /// The recipe's package as another release, with more on the kernel's command line.
    ///
    /// # Errors
    /// If the recipe's package is not what it should be.
    pub fn of(bench: &Bench, built: &Archive, number: u64, cmdline: &str) -> Result<Self> {
        Self::changed(bench, built, number, |manifest, _| {
            let own = manifest["cmdline"].as_str().unwrap_or_default();
            manifest["cmdline"] = json!(format!("{own} {cmdline}").trim());
            Ok(())
        })
    }

    /// The recipe's package with another `/init`, which asks for a watchdog with this time-out.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn with_init(
        bench: &Bench,
        built: &Archive,
        number: u64,
        (init, watchdog_seconds): (&[u8], u32),
    ) -> Result<Self> {
        let over = Base { init: init.to_vec(), modules: None }.pack()?;
        Self::changed(bench, built, number, |manifest, files| {
            manifest["watchdog_seconds"] = json!(watchdog_seconds);
            let name = manifest["initramfs"].as_str().context("no initramfs")?;
            let initramfs = files.get_mut(name).context("the initramfs is missing")?;
            // The kernel unpacks one archive after the other, and the later file stays.
            initramfs.resize(initramfs.len().next_multiple_of(4), 0);
            initramfs.extend_from_slice(over.as_bytes());
            Ok(())
        })
    }

    /// The recipe's package as another release, on a console that tests read, with a change to its
    /// manifest and files.
    fn changed(
        bench: &Bench,
        built: &Archive,
        number: u64,
        change: impl FnOnce(&mut Value, &mut Files) -> Result<()>,
    ) -> Result<Self> {
        let mut files = entries(built)?;
        let manifest = files.remove("manifest.json").context("no manifest.json")?;
        let mut manifest: Value = serde_json::from_slice(&manifest)?;
        let own = manifest["cmdline"].as_str().unwrap_or_default();
        manifest["cmdline"] = json!(format!("{own} {CMDLINE}").trim());
        manifest["release"] = json!(number);
        change(&mut manifest, &mut files)?;
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
        let archive = Archive::zip(manifest.to_string().as_bytes(), &files)?;
        let descriptor = archive.descriptor(&bench.keys.two())?;
        Ok(Self { number, archive, descriptor })
    }

    /// The archive's digest.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.archive.bytes)
    }
}

/// Files of an archive, by name.
type Files = BTreeMap<String, Vec<u8>>;

fn entries(archive: &Archive) -> Result<Files> {
    let mut zip = ZipArchive::new(Cursor::new(&archive.bytes[..]))?;
    let mut files = BTreeMap::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        if entry.is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(entry.name()?.into_owned(), content);
        }
    }
    Ok(files)
}

/// Builds a recipe's package with this key of staff.
///
/// # Errors
/// If it cannot be built.
pub(crate) fn build(name: &str, staff: &Identity) -> Result<Archive> {
    let directory = tempfile::tempdir()?;
    let keys = directory.path().join("staff");
    fs::create_dir(&keys)?;
    fs::write(keys.join(format!("{STAFF}.pem")), staff.public().to_pem())?;
    let options = Options { staff_keys: Some(keys), ..ospkg::options(name, directory.path())? };
    let built = ospkg::build_package(&options)?;
    Ok(Archive::of(fs::read(built.names.archive)?))
}
