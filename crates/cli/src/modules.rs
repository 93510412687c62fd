//! Which modules of a distribution kernel a boot image takes along.
//!
//! The choice is by what a module is for (its place in the tree) and what it needs (its own
//! `depends` and `softdep` notes), so a tree that was just unpacked, without `depmod`, serves as
//! well as an installed one. Modules are stored unpacked: the initramfs is compressed as a whole.

mod info;
mod select;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

pub use select::Nics;
pub use select::Selection;

use crate::Error;
use crate::Result;
use crate::files;
use info::Info;
use select::forbidden;

/// Largest module that is unpacked, as a guard against damaged files.
const MAX_MODULE: u64 = 256 << 20;

/// `/lib/modules/<release>` of some kernel.
#[derive(Debug)]
pub struct Tree {
    release: String,
    root: PathBuf,
    /// Path below `root` by module name.
    files: BTreeMap<String, String>,
    builtin: BTreeSet<String>,
    builtin_text: Vec<u8>,
}

/// The chosen modules, ready to be put into an initramfs.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// Kernel release: the name of the directory below `/lib/modules`.
    pub release: String,
    /// Path below that directory, and the plain (not compressed) module.
    pub files: BTreeMap<String, Vec<u8>>,
    /// `modules.dep`: dependencies of each, complete and with the soft ones that come before, to be
    /// loaded from right to left.
    pub dep: String,
    /// `modules.alias`.
    pub alias: String,
    /// `modules.builtin` as the kernel's package has it.
    pub builtin: Vec<u8>,
    /// Names of modules to load at every boot, whether or not hardware asks for them.
    pub always: Vec<String>,
    /// Files below `/lib/firmware` that modules may ask for, by the module's name. They are not
    /// taken along.
    pub firmware: BTreeMap<String, Vec<String>>,
    /// Things that were asked for and not found.
    pub warnings: Vec<String>,
}

impl Modules {
    /// Bytes of all modules together, uncompressed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }
}

impl Tree {
    /// Reads the list of modules of `/lib/modules/<release>`.
    ///
    /// # Errors
    /// If it is no such directory.
    pub fn open(root: &Path) -> Result<Self> {
        let not_a_tree = || {
            Error::new(format!("{} is no directory of kernel modules", root.display())).remedy(
                "give the directory that has modules.builtin, such as /lib/modules/6.1.0-25-amd64",
            )
        };
        let canonical = root.canonicalize().map_err(|error| Error::io("read", root, &error))?;
        let release =
            canonical.file_name().and_then(|name| name.to_str()).ok_or_else(not_a_tree)?;
        let builtin_text =
            files::read(&canonical.join("modules.builtin")).map_err(|_| not_a_tree())?;
        let builtin = String::from_utf8_lossy(&builtin_text)
            .lines()
            .filter_map(|line| module_name(line).map(|(name, _)| name))
            .collect();
        let mut tree = Self {
            release: release.to_owned(),
            root: canonical.clone(),
            files: BTreeMap::new(),
            builtin,
            builtin_text,
        };
        // Not extra/ or updates/: what is booted with is what the kernel's package has.
        tree.walk(&canonical.join("kernel"))?;
        Ok(tree)
    }

    /// Chooses modules and reads them.
    ///
    /// # Errors
    /// If a module that was named does not exist or needs one that drives a disk, or if one cannot
    /// be read or unpacked.
    pub fn select(&self, selection: &Selection) -> Result<Modules> {
        let wanted = self.wanted(selection)?;
        let mut read = BTreeMap::new();
        let mut chosen = BTreeSet::new();
        for name in wanted.by_name.iter().chain(&wanted.by_place) {
            let needed = self.needed(name, &mut read)?;
            match needed.iter().find(|need| self.is_forbidden(need)) {
                None => chosen.extend(needed),
                Some(need) if wanted.by_name.contains(name) => return Err(forbidden(name, need)),
                // An old NIC whose driver brings a disk's along is not worth it.
                Some(_) => {}
            }
        }
        read.retain(|name, _| chosen.contains(name));
        Ok(self.pack(&read, wanted.always, wanted.warnings))
    }

    /// Chooses modules for an operating system that is to see all of a virtual machine, its disks
    /// too: what a boot image must never be able to.
    ///
    /// # Errors
    /// If a module cannot be read or unpacked.
    pub fn select_for_os(&self) -> Result<Modules> {
        let mut read = BTreeMap::new();
        let mut chosen = BTreeSet::new();
        for name in self.those_for_os() {
            chosen.extend(self.needed(&name, &mut read)?);
        }
        read.retain(|name, _| chosen.contains(name));
        Ok(self.pack(&read, Vec::new(), Vec::new()))
    }

    /// The module and everything that it needs, all of them read.
    fn needed(&self, name: &str, read: &mut BTreeMap<String, Module>) -> Result<BTreeSet<String>> {
        let mut needed = BTreeSet::new();
        let mut queue = vec![name.to_owned()];
        while let Some(name) = queue.pop() {
            if !needed.insert(name.clone()) {
                continue;
            }
            if !read.contains_key(&name) {
                read.insert(name.clone(), self.read_module(&name)?);
            }
            queue.extend(read.get(&name).into_iter().flat_map(|module| module.needs.clone()));
        }
        Ok(needed)
    }

    fn walk(&mut self, directory: &Path) -> Result<()> {
        let failed = |error: std::io::Error| Error::io("read", directory, &error);
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.walk(&path)?;
            } else if kind.is_file()
                && let Ok(relative) = path.strip_prefix(&self.root)
                && let Some(relative) = relative.to_str()
                && let Some((name, _)) = module_name(relative)
            {
                self.files.insert(name, relative.to_owned());
            }
        }
        Ok(())
    }

    fn read_module(&self, name: &str) -> Result<Module> {
        let relative = self.files.get(name).ok_or_else(|| {
            Error::new(format!("the kernel has no module {name}"))
                .remedy("give --modules of the kernel that has it; names are without .ko")
        })?;
        let path = self.root.join(relative);
        let bytes = unpack(&path)?;
        let info = Info::parse(&bytes).ok_or_else(|| {
            Error::new(format!("{} is no kernel module", path.display()))
                .remedy("install the kernel's package anew: the file is damaged")
        })?;
        let (_, suffix) = module_name(relative).unwrap_or_default();
        let plain = relative.strip_suffix(suffix).unwrap_or(relative).to_owned();
        let needs = info.needs().flat_map(|need| self.providers(need)).collect();
        Ok(Module { path: plain, bytes, info, needs })
    }

    /// The modules that are meant by the name of a need: that one; or, where it is the name of an
    /// algorithm (`crc32c`), those that implement it (`crc32c_generic`, `crc32c_intel`).
    fn providers(&self, need: &str) -> Vec<String> {
        if self.files.contains_key(need) {
            return vec![need.to_owned()];
        }
        let prefix = format!("{need}_");
        self.files
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter(|(_, path)| path.contains("/crypto/"))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn pack(
        &self,
        loaded: &BTreeMap<String, Module>,
        always: Vec<String>,
        warnings: Vec<String>,
    ) -> Modules {
        let mut modules = Modules {
            release: self.release.clone(),
            alias: "# Aliases extracted from modules themselves.\n".to_owned(),
            builtin: self.builtin_text.clone(),
            always,
            warnings,
            ..Modules::default()
        };
        for (name, module) in loaded {
            let dependencies: String = closure(loaded, name)
                .iter()
                .filter_map(|need| loaded.get(need))
                .map(|need| format!(" {}", need.path))
                .collect();
            modules.dep.push_str(&format!("{}:{dependencies}\n", module.path));
            for alias in &module.info.aliases {
                modules.alias.push_str(&format!("alias {alias} {name}\n"));
            }
            modules.files.insert(module.path.clone(), module.bytes.clone());
            if !module.info.firmware.is_empty() {
                modules.firmware.insert(name.clone(), module.info.firmware.clone());
            }
        }
        modules
    }
}

struct Module {
    path: String,
    bytes: Vec<u8>,
    info: Info,
    /// Names of modules of this kernel.
    needs: Vec<String>,
}

/// Everything that `name` needs, so ordered that loading from the end to the start works.
fn closure(loaded: &BTreeMap<String, Module>, name: &str) -> Vec<String> {
    fn visit(
        loaded: &BTreeMap<String, Module>,
        name: &str,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<String>,
    ) {
        let Some(module) = loaded.get(name) else { return };
        for need in &module.needs {
            if loaded.contains_key(need) && seen.insert(need.clone()) {
                visit(loaded, need, seen, order);
                order.push(need.clone());
            }
        }
    }
    let mut order = Vec::new();
    visit(loaded, name, &mut BTreeSet::from([name.to_owned()]), &mut order);
    order.reverse();
    order
}

/// Name of the module in a file of this name, and the suffix of its compression.
fn module_name(path: &str) -> Option<(String, &'static str)> {
    let file = path.rsplit('/').next()?;
    ["", ".xz", ".zst", ".gz"].into_iter().find_map(|suffix| {
        let stem = file.strip_suffix(suffix)?.strip_suffix(".ko")?;
        Some((info::normal(stem), suffix))
    })
}

fn unpack(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::io("unpack", path, &error);
    let raw = files::read_large(path)?;
    let mut plain = Vec::new();
    let reader: Box<dyn Read + '_> = match path.extension().and_then(|it| it.to_str()) {
        Some("xz") => Box::new(lzma_rust2::XzReader::new(raw.as_slice(), true)),
        Some("zst") => Box::new(zstd::Decoder::new(raw.as_slice()).map_err(failed)?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(raw.as_slice())),
        _ => return Ok(raw),
    };
    reader.take(MAX_MODULE).read_to_end(&mut plain).map_err(failed)?;
    Ok(plain)
}
