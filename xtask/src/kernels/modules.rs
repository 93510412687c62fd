//! Which drivers a kernel has, as modules or built in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use walkdir::WalkDir;

/// Names of all modules of a kernel and of what its `modules.builtin` lists.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ModuleIndex {
    names: BTreeSet<String>,
}

impl ModuleIndex {
    /// Reads the index of a `/lib/modules/RELEASE` directory, be it indexed by `depmod` or not.
    ///
    /// # Errors
    ///
    /// The directory or its `modules.builtin` cannot be read.
    pub fn read(dir: &Path) -> Result<Self> {
        let builtin = dir.join("modules.builtin");
        let builtin = fs::read_to_string(&builtin)
            .with_context(|| format!("cannot read {}", builtin.display()))?;
        let mut files = Vec::new();
        for entry in WalkDir::new(dir) {
            files.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(Self::of(files.iter().map(String::as_str), &builtin))
    }

    /// The index of a kernel that has no modules: what its `modules.builtin` lists.
    #[must_use]
    pub fn of_builtin(builtin: &str) -> Self {
        Self::of(std::iter::empty(), builtin)
    }

    fn of<'a>(files: impl Iterator<Item = &'a str>, builtin: &'a str) -> Self {
        Self { names: files.chain(builtin.lines()).filter_map(module_name).collect() }
    }

    /// Whether there is a module or built-in driver of this name; `-` and `_` are the same.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name.replace('-', "_"))
    }
}

/// `kernel/drivers/net/virtio_net.ko.xz` is `virtio_net`.
fn module_name(path: &str) -> Option<String> {
    let file = path.trim().rsplit('/').next()?;
    let (name, _) = file.split_once(".ko")?;
    (!name.is_empty()).then(|| name.replace('-', "_"))
}

/// The Linux driver for a NIC model of QEMU; `None` for a model that is not known here. Properties
/// behind a comma do not matter.
#[must_use]
pub fn driver_of(model: &str) -> Option<&'static str> {
    let model = model.split(',').next().unwrap_or_default();
    Some(match model {
        "e1000e" => "e1000e",
        "igb" => "igb",
        "ne2k_pci" => "ne2k-pci",
        "pcnet" => "pcnet32",
        "rtl8139" => "8139cp",
        "tulip" => "tulip",
        "usb-net" => "rndis_host",
        "vmxnet3" => "vmxnet3",
        _ if model.starts_with("virtio-net") => "virtio_net",
        _ if model.starts_with("e1000") => "e1000",
        _ if model.starts_with("i825") || model == "i82801" => "e100",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::ModuleIndex;
    use super::driver_of;

    #[test]
    fn modules_and_built_in_drivers_are_found() {
        let files = ["virtio_net.ko.xz", "b-c.ko", "modules.order"];
        let builtin = "kernel/drivers/net/ethernet/e1000e.ko\n";
        let index = ModuleIndex::of(files.into_iter(), builtin);
        assert!(index.has("virtio_net") && index.has("virtio-net"));
        assert!(index.has("b_c") && index.has("e1000e"));
        assert!(!index.has("modules.order") && !index.has(""));
    }

    #[test]
    fn models_have_drivers() {
        assert_eq!(driver_of("virtio-net-pci-non-transitional"), Some("virtio_net"));
        assert_eq!(driver_of("e1000"), Some("e1000"));
        assert_eq!(driver_of("e1000-82545em"), Some("e1000"));
        assert_eq!(driver_of("e1000e,mac=52:54:00:00:00:01"), Some("e1000e"));
        assert_eq!(driver_of("i82551"), Some("e100"));
        assert_eq!(driver_of("something-new"), None);
    }
}
