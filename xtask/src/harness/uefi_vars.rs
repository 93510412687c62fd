//! UEFI variables that a machine finds when it is switched on for the first time.

mod boot_entry;

use anyhow::Result;
use bootmedia::efi_vars;
use bootmedia::efi_vars::NewVariable;
use bootmedia::secure_boot;
use bootmedia::secure_boot::ATTRIBUTES;
use bootmedia::secure_boot::GLOBAL;
use bootmedia::secure_boot::Guid;

pub use boot_entry::boot_from_url;

/// `f401f2c1-b005-4be0-8cee-f2e5945bcbe7`: who gave `STHostConfig` its name.
const SYSTEM_TRANSPARENCY: Guid = Guid([
    0xc1, 0xf2, 0x01, 0xf4, 0x05, 0xb0, 0xe0, 0x4b, 0x8c, 0xee, 0xf2, 0xe5, 0x94, 0x5b, 0xcb, 0xe7,
]);

/// `4a67b082-0a4c-41cf-b6c7-440b29bb8c4f`: the interface between boot loaders and the OS.
const BOOT_LOADER: Guid = Guid([
    0x82, 0xb0, 0x67, 0x4a, 0x4c, 0x0a, 0xcf, 0x41, 0xb6, 0xc7, 0x44, 0x0b, 0x29, 0xbb, 0x8c, 0x4f,
]);

/// Kept without power; seen by boot services; seen by the OS.
const PLAIN: u32 = 0x7;

/// 1 January 2020, in Unix seconds: keys are as old as that, so that any later update may replace
/// them.
const KEYS_ENTERED: u64 = 1_577_836_800;

/// A UEFI variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Variable {
    name: String,
    vendor: Guid,
    attributes: u32,
    time: [u8; 16],
    content: Vec<u8>,
}

impl Variable {
    /// The host configuration.
    #[must_use]
    pub fn host_configuration(content: &[u8]) -> Self {
        Self::new("STHostConfig", SYSTEM_TRANSPARENCY, content)
    }

    /// The URL that a boot stub says to have been loaded from.
    #[must_use]
    pub fn boot_url(url: &str) -> Self {
        let units = url.encode_utf16().chain([0]);
        let content: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
        Self::new("LoaderDeviceURL", BOOT_LOADER, &content)
    }

    /// One of the keys of Secure Boot, as a signature list. With all three, the firmware starts what
    /// they signed and nothing else.
    ///
    /// # Errors
    ///
    /// There is no date to enter it at.
    pub fn key(variable: secure_boot::Variable, list: &[u8]) -> Result<Self> {
        let time = secure_boot::efi_time(KEYS_ENTERED)?;
        let new = Self::new(variable.name(), variable.vendor(), list);
        Ok(Self { attributes: ATTRIBUTES, time, ..new })
    }

    fn new(name: &str, vendor: Guid, content: &[u8]) -> Self {
        let content = content.to_vec();
        Self { name: name.to_owned(), vendor, attributes: PLAIN, time: [0; 16], content }
    }
}

/// The store with these variables behind those that it has.
///
/// # Errors
///
/// It is no store of authenticated variables, one of them is there already, or there is no room.
pub fn add(store: &[u8], variables: &[Variable]) -> Result<Vec<u8>> {
    let mut store = store.to_vec();
    for Variable { name, vendor, attributes, time, content } in variables {
        let (vendor, attributes, time) = (*vendor, *attributes, *time);
        let new = NewVariable { name, vendor, attributes, time, content };
        store = efi_vars::with_variable(&store, &new)?;
    }
    Ok(store)
}
