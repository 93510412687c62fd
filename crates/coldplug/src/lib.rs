//! Loads the kernel modules that a machine's hardware asks for.
//!
//! Devices say what they are in `modalias` files, modules say what they drive in `modules.alias`:
//! what matches is loaded, dependencies first. Loading a bus driver makes new devices appear, so
//! this goes on until nothing new turns up. A kernel without modules has no `/lib/modules`, and
//! nothing happens.
//!
//! Needs `/sys` mounted and root; no other program, no thread.

#![forbid(unsafe_code)]

mod glob;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::kmod::ModuleInitFlags;
use nix::kmod::finit_module;
use tracing::debug;

/// Bus drivers make devices, whose drivers make devices: more rounds than any machine has layers.
const MAX_ROUNDS: usize = 8;

/// The modules of the running kernel that are in its root file system.
#[derive(Debug)]
pub struct Modules {
    directory: PathBuf,
    /// Module name → file and the files it needs, nearest first.
    files: HashMap<String, Vec<String>>,
    /// Pattern and module name, in the order of `modules.alias`.
    aliases: Vec<(String, String)>,
    loaded: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Modules {
    /// Reads the indices below `/lib/modules`; `None` if there are none for the running kernel.
    #[must_use]
    pub fn find() -> Option<Self> {
        let uname = nix::sys::utsname::uname().ok()?;
        let directory = Path::new("/lib/modules").join(uname.release());
        let dependencies = fs::read_to_string(directory.join("modules.dep")).ok()?;
        let aliases = fs::read_to_string(directory.join("modules.alias")).unwrap_or_default();
        Some(Self {
            files: parse_dependencies(&dependencies),
            aliases: parse_aliases(&aliases),
            directory,
            loaded: BTreeSet::new(),
            failed: BTreeSet::new(),
        })
    }

    /// Names of the modules that were loaded so far, or had been before; sorted.
    pub fn loaded(&self) -> impl Iterator<Item = &str> {
        self.loaded.iter().map(String::as_str)
    }

    /// Loads what the devices that are there ask for, and what the devices ask for that then appear.
    ///
    /// Some buses take their time to find what is on them: call it again until it finds nothing
    /// more that is of interest. Returns whether it loaded anything.
    pub fn load_for_devices(&mut self) -> bool {
        let at_first = self.loaded.len();
        for _ in 0..MAX_ROUNDS {
            let before = self.loaded.len();
            for alias in device_aliases() {
                self.load_for(&alias);
            }
            if self.loaded.len() == before {
                break;
            }
        }
        self.loaded.len() > at_first
    }

    /// Loads every module that drives a device with this alias.
    fn load_for(&mut self, alias: &str) {
        let names: Vec<String> = self
            .aliases
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, alias))
            .map(|(_, name)| name.clone())
            .collect();
        for name in names {
            self.load(&name);
        }
    }

    /// Loads a module behind everything that it needs. What is built in, not there or finds none
    /// of its hardware is left out.
    pub fn load(&mut self, name: &str) {
        let name = module_name(name);
        if self.loaded.contains(&name) || self.failed.contains(&name) {
            return;
        }
        let Some(files) = self.files.get(&name).cloned() else {
            return; // built in, or not part of this boot image
        };
        for file in files.iter().rev() {
            self.insert(file);
        }
    }

    fn insert(&mut self, file: &str) {
        let name = module_name(file);
        if self.loaded.contains(&name) || self.failed.contains(&name) {
            return;
        }
        let result = File::open(self.directory.join(file))
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
            .and_then(|module| finit_module(&module, c"", ModuleInitFlags::empty()));
        match result {
            Ok(()) | Err(Errno::EEXIST) => {
                self.loaded.insert(name);
            }
            // ENODEV: the driver found none of its hardware (efivarfs without EFI).
            Err(errno) => {
                debug!("module {name}: {errno}");
                self.failed.insert(name);
            }
        }
    }
}

/// Module names are written with `-` and `_` alike; the kernel's own form has `_`.
fn module_name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split(".ko").next().unwrap_or(base).replace('-', "_")
}

/// `modules.dep`: `file: file file …`, nearest dependency first.
fn parse_dependencies(text: &str) -> HashMap<String, Vec<String>> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, needs)| {
            let files = core::iter::once(file).chain(needs.split_whitespace());
            (module_name(file), files.map(str::to_owned).collect())
        })
        .collect()
}

/// `modules.alias`: `alias PATTERN NAME`.
fn parse_aliases(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.strip_prefix("alias "))
        .filter_map(|rest| rest.rsplit_once(' '))
        .map(|(pattern, name)| (pattern.trim().to_owned(), name.to_owned()))
        .collect()
}

/// What all present devices say they are: every device on a bus, and the processors as one.
fn device_aliases() -> BTreeSet<String> {
    let on_buses =
        entries(Path::new("/sys/bus")).into_iter().flat_map(|bus| entries(&bus.join("devices")));
    on_buses
        .chain([PathBuf::from("/sys/devices/system/cpu")])
        .filter_map(|device| fs::read_to_string(device.join("modalias")).ok())
        .map(|alias| alias.trim().to_owned())
        .filter(|alias| !alias.is_empty())
        .collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.path()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::module_name;
    use super::parse_aliases;
    use super::parse_dependencies;

    #[test]
    fn indices_are_read_as_depmod_writes_them() {
        let files = parse_dependencies(
            "kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko kernel/virtio.ko\n\
             kernel/virtio.ko:\n",
        );
        assert_eq!(files["virtio_net"].len(), 3);
        assert_eq!(files["virtio"], ["kernel/virtio.ko"]);
        let aliases = parse_aliases(
            "# Aliases\nalias virtio:d00000001v* virtio_net\nalias acpi*:A B:* some_module\n",
        );
        assert_eq!(aliases[0], ("virtio:d00000001v*".to_owned(), "virtio_net".to_owned()));
        assert_eq!(aliases[1].1, "some_module");
    }

    #[test]
    fn names_have_one_form() {
        assert_eq!(module_name("kernel/arch/x86/crypto/sha256-ssse3.ko"), "sha256_ssse3");
        assert_eq!(module_name("sha256_ssse3"), "sha256_ssse3");
        assert_eq!(module_name("kernel/a/b.ko.zst"), "b");
    }
}
