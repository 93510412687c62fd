//! Places that a host configuration comes from, other than a file of its JSON.
//!
//! Order and rules are in `docs/host-configuration.md`: the first source that exists is used as a
//! whole, and none of them is a source of trust. Everything here is pure: bytes and lines in, a
//! JSON document out, which [`crate::HostConfig::parse`] then judges as any other.

mod boot_origin;
mod command_line;
mod settings;
mod smbios;

use core::fmt;

pub use boot_origin::MAX_VARIABLE_LEN;
pub use boot_origin::boot_option_url;
pub use boot_origin::document_for;
pub use boot_origin::url_of_variable;
pub use boot_origin::variable_content;
pub use command_line::CommandLine;
pub use command_line::MAX_COMMAND_LINE_LEN;
pub use settings::Document;
pub use settings::KEYS;
pub use settings::Settings;
pub use smbios::MAX_TABLE_LEN;
pub use smbios::oem_strings;

/// The built-in host configuration of a machine that has no other (provision mode): it boots the
/// package of that name in its boot image, which may set the machine up.
pub const PROVISION: &str = r#"{"network_mode":"dhcp","ospkg_pointer":"provision.zip"}"#;

/// Where a host configuration came from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    /// `/etc/host_configuration.json` of the boot image.
    Initramfs,
    /// The EFI variable `STHostConfig`.
    EfiVariable,
    /// `ramstrap.…=` on the kernel command line.
    CommandLine,
    /// The same in OEM strings (SMBIOS, type 11).
    Smbios,
    /// The URL that the firmware loaded the boot image from.
    BootOrigin,
    /// None at all, where the boot image holds the package `provision`: [`PROVISION`].
    Provision,
}

impl Source {
    /// Every source in the order in which they are looked at.
    pub const ALL: [Self; 6] = [
        Self::Initramfs,
        Self::EfiVariable,
        Self::CommandLine,
        Self::Smbios,
        Self::BootOrigin,
        Self::Provision,
    ];

    /// What the boot report calls it, such as `efi-variable`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initramfs => "initramfs",
            Self::EfiVariable => "efi-variable",
            Self::CommandLine => "command-line",
            Self::Smbios => "smbios",
            Self::BootOrigin => "boot-origin",
            Self::Provision => "provision",
        }
    }

    /// What a message to a person calls it.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::Initramfs => "/etc/host_configuration.json",
            Self::EfiVariable => "EFI variable STHostConfig",
            Self::CommandLine => "kernel command line",
            Self::Smbios => "SMBIOS OEM strings",
            Self::BootOrigin => "boot origin",
            Self::Provision => "/ospkg/provision.zip",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
