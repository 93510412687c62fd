//! Firmware for NICs: what drivers ask for, found in a directory laid out as linux-firmware, packed
//! into an archive of its own, because most of it is not free software.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use glob::Pattern;
use serde::Serialize;

mod directory;

pub use directory::Directory;

use crate::Error;
use crate::Result;
use crate::boot_image;
use crate::cpio::Archive;
use crate::modules::Modules;

/// Beside a kernel: what the drivers that are built into it say of themselves.
pub const BUILTIN_MODINFO: &str = "modules.builtin.modinfo";

/// Where the sources of wired NICs' drivers are, and those of modules.
const DRIVERS: &str = "drivers/net/";
/// Radios ask for a lot of firmware, and no boot image has their drivers.
const RADIOS: &str = "drivers/net/wireless/";

/// Files below `/lib/firmware`, as patterns, that drivers may ask for, by the driver's name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted(BTreeMap<String, BTreeSet<String>>);

impl Wanted {
    /// Reads `modules.builtin.modinfo` of a kernel's build: notes such as
    /// `tg3.firmware=tigon/tg3.bin`, each ended by a NUL. Only drivers of wired NICs count.
    ///
    /// # Errors
    /// If there is no such note in it.
    pub fn of_builtin(modinfo: &[u8]) -> Result<Self> {
        let notes: Vec<(&str, &str, &str)> = modinfo
            .split(|byte| *byte == 0)
            .filter_map(|note| {
                let (name, value) = core::str::from_utf8(note).ok()?.split_once('=')?;
                let (driver, field) = name.split_once('.')?;
                Some((driver, field, value))
            })
            .collect();
        // Every module has one.
        if !notes.iter().any(|(_, field, _)| *field == "license") {
            return Err(Error::new("no notes of built-in drivers")
                .remedy(format!("give the {BUILTIN_MODINFO} that the kernel's build made")));
        }
        let nics: BTreeSet<&str> = notes
            .iter()
            .filter(|(_, field, value)| *field == "file" && is_wired(value))
            .map(|(driver, ..)| *driver)
            .collect();
        let mut wanted = Self::default();
        for (driver, field, value) in notes {
            if field == "firmware" && nics.contains(driver) {
                wanted.add(driver, value);
            }
        }
        Ok(wanted)
    }

    /// What the chosen modules ask for, as far as they drive wired NICs.
    #[must_use]
    pub fn of_modules(modules: &Modules) -> Self {
        let mut wanted = Self::default();
        for (driver, files) in &modules.firmware {
            let of_nic = |path: &String| {
                let file = path.rsplit('/').next().unwrap_or_default();
                file.strip_suffix(".ko").is_some_and(|name| name.replace('-', "_") == *driver)
                    && path.strip_prefix("kernel/").is_some_and(is_wired)
            };
            if modules.files.keys().any(of_nic) {
                files.iter().for_each(|file| wanted.add(driver, file));
            }
        }
        wanted
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (driver, files) in other.0 {
            self.0.entry(driver).or_default().extend(files);
        }
        self
    }

    /// Names of the drivers.
    pub fn drivers(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn add(&mut self, driver: &str, file: &str) {
        self.0.entry(driver.to_owned()).or_default().insert(file.to_owned());
    }
}

/// Firmware that was found, and what was not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Firmware {
    /// By path below `/lib/firmware`, unpacked.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was found of each driver's, and what was not.
    pub drivers: BTreeMap<String, OfDriver>,
}

/// Firmware of one driver: paths below `/lib/firmware`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct OfDriver {
    /// Taken along.
    pub found: Vec<String>,
    /// Names or patterns that nothing in the directory answers to.
    pub missing: Vec<String>,
}

impl Firmware {
    /// Reads what is wanted. What the directory has not is in [`OfDriver::missing`]: drivers name
    /// files for all models and versions, so not all of it is needed.
    ///
    /// # Errors
    /// If a file that is there cannot be read or unpacked.
    pub fn find(wanted: &Wanted, directory: &Directory) -> Result<Self> {
        let mut firmware = Self::default();
        for (driver, patterns) in &wanted.0 {
            let mut of_driver = OfDriver::default();
            for pattern in patterns {
                let names = matching(pattern, directory);
                if names.is_empty() {
                    of_driver.missing.push(pattern.clone());
                }
                for name in names {
                    if !firmware.files.contains_key(&name) {
                        firmware.files.insert(name.clone(), directory.read(&name)?);
                    }
                    of_driver.found.push(name);
                }
            }
            of_driver.found.dedup();
            firmware.drivers.insert(driver.clone(), of_driver);
        }
        Ok(firmware)
    }

    /// Bytes of all files together, unpacked.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// An archive to be put behind an initramfs; empty if there are no files.
    ///
    /// # Errors
    /// If a name cannot be used, or compression fails.
    pub fn pack(&self) -> Result<Vec<u8>> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let mut archive = Archive::new();
        for (name, bytes) in &self.files {
            archive.file(&format!("lib/firmware/{name}"), 0o644, bytes.clone())?;
        }
        boot_image::compress(&archive)
    }
}

/// Names in the directory that a driver's words mean.
fn matching(pattern: &str, directory: &Directory) -> Vec<String> {
    let has_wildcards = pattern.contains(['*', '?', '[']);
    match Pattern::new(pattern) {
        Ok(glob) if has_wildcards => {
            directory.names().filter(|name| glob.matches(name)).map(str::to_owned).collect()
        }
        _ if directory.has(pattern) => vec![pattern.to_owned()],
        _ => Vec::new(),
    }
}

fn is_wired(path: &str) -> bool {
    path.starts_with(DRIVERS) && !path.starts_with(RADIOS)
}

/// Reads [`BUILTIN_MODINFO`], from `given` or beside the kernel. `None` if it was not given and is
/// not there.
///
/// # Errors
/// If it cannot be read, or is something else.
pub fn builtin_beside(kernel: Option<&Path>, given: Option<&Path>) -> Result<Option<Wanted>> {
    let beside = kernel.map(|kernel| kernel.with_file_name(BUILTIN_MODINFO));
    let path = match (given, &beside) {
        (Some(given), _) => given,
        (None, Some(beside)) if beside.is_file() => beside,
        (None, _) => return Ok(None),
    };
    let wanted = Wanted::of_builtin(&crate::files::read(path)?);
    wanted.map(Some).map_err(|error| error.on(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modinfo(notes: &[&str]) -> Vec<u8> {
        notes.iter().flat_map(|note| [note.as_bytes(), b"\0"].concat()).collect()
    }

    #[test]
    fn only_wired_nics_count() {
        let wanted = Wanted::of_builtin(&modinfo(&[
            "tg3.license=GPL",
            "tg3.firmware=tigon/tg3.bin",
            "tg3.firmware=tigon/tg3_tso.bin",
            "tg3.file=drivers/net/ethernet/broadcom/tg3",
            "radio.firmware=radio.bin",
            "radio.file=drivers/net/wireless/radio/radio",
            "screen.firmware=screen.bin",
            "screen.file=drivers/gpu/screen",
        ]))
        .unwrap();
        assert_eq!(wanted.drivers().collect::<Vec<_>>(), ["tg3"]);
        assert_eq!(wanted.0["tg3"].len(), 2);
    }

    #[test]
    fn something_else_is_refused() {
        let error = Wanted::of_builtin(b"kernel/drivers/net/tg3.ko\n").unwrap_err();
        assert!(error.to_string().contains("no notes of built-in drivers"), "{error}");
    }
}
