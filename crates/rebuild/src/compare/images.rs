//! Two boot images, taken apart by who knows their form.

use std::collections::BTreeMap;

use super::Change;
use super::Comparison;
use super::Found;
use super::below;
use super::initramfs;
use super::packages::kernel_release;

/// What a boot image or medium is made of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// What kind of image it is, for people.
    pub kind: String,
    /// The kernel that is started.
    pub kernel: Option<Vec<u8>>,
    /// Its command line.
    pub command_line: Option<String>,
    /// The initramfs.
    pub initramfs: Option<Vec<u8>>,
    /// Everything else that has a name: sections of a UEFI executable, files of a directory.
    pub others: BTreeMap<String, Vec<u8>>,
}

/// Compares two images: `first` and `second` are all their bytes.
#[must_use]
pub fn images((first, one): (&[u8], &Parts), (second, other): (&[u8], &Parts)) -> Comparison {
    let mut found = Found::default();
    if first == second {
        return found.done(first, second);
    }
    found.value(&[], "kind", &one.kind, &other.kind);
    let line = |parts: &Parts| parts.command_line.clone().unwrap_or_else(|| "(none)".to_owned());
    found.value(&[], "command line", &line(one), &line(other));
    part(&mut found, "kernel", one.kernel.as_deref(), other.kernel.as_deref());
    part(&mut found, "initramfs", one.initramfs.as_deref(), other.initramfs.as_deref());
    for (name, content) in &one.others {
        part(&mut found, name, Some(content), other.others.get(name).map(Vec::as_slice));
    }
    for (name, content) in other.others.iter().filter(|(name, _)| !one.others.contains_key(*name)) {
        part(&mut found, name, None, Some(content));
    }
    let hint = "but its parts are the same: the medium around them, or a signature";
    found.packing(&[], 0, (first, second), hint);
    found.done(first, second)
}

fn part(found: &mut Found, name: &str, first: Option<&[u8]>, second: Option<&[u8]>) {
    let place = below(&[], name);
    match (first, second) {
        (Some(first), Some(second)) if name == "initramfs" => {
            initramfs::inside(found, &place, first, second);
        }
        (Some(first), Some(second)) => {
            let release = |bytes| kernel_release(bytes).unwrap_or_default();
            found.value(&place, "kernel release", &release(first), &release(second));
            found.content(&place, first, second);
        }
        (Some(_), None) => found.add(&place, Change::Removed),
        (None, Some(_)) => found.add(&place, Change::Added),
        (None, None) => {}
    }
}
