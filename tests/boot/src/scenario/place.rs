//! Host configurations outside of the boot image and the EFI variable.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xtask::harness::uefi_vars::Variable;

use super::Place;
use super::Scenario;
use crate::package::Archive;
use crate::package::Descriptor;
use crate::site::Site;

/// Length of the pieces that a configuration is cut into for OEM strings, in characters.
const PIECE: usize = 60;

impl Scenario {
    /// With the mirrors' URLs in settings on the kernel command line, and no other host
    /// configuration.
    #[must_use]
    pub const fn host_config_on_command_line(mut self) -> Self {
        self.place = Place::CommandLine;
        self
    }

    /// With the host configuration in OEM strings in place of the boot image, in pieces.
    #[must_use]
    pub const fn host_config_in_oem_strings(mut self) -> Self {
        self.place = Place::OemStrings;
        self
    }

    /// With nothing but the URL that the boot image came from, beside the first mirror's descriptor.
    #[must_use]
    pub const fn boot_origin(mut self) -> Self {
        self.place = Place::BootOrigin;
        self
    }

    /// With nothing but what the web server has beside the boot image: this descriptor, under the boot
    /// image's name, and this archive.
    #[must_use]
    pub fn beside_the_boot_image(mut self, descriptor: &Descriptor, archive: &Archive) -> Self {
        self.place = Place::Nowhere;
        let files = [("ramstrap.json", descriptor.to_json()), ("os.zip", archive.bytes.clone())];
        self.beside = files.into();
        self
    }
}

/// Settings for the kernel command line.
pub(super) fn settings(sites: &[Site]) -> String {
    let urls: Vec<String> =
        sites.iter().map(|site| format!("ramstrap.url={}", site.url())).collect();
    format!("ramstrap.network_mode=dhcp {}", urls.join(" "))
}

/// A configuration in OEM strings, cut, with those of a vendor before it.
pub(super) fn oem_strings(configuration: &[u8]) -> [String; 2] {
    let encoded = URL_SAFE_NO_PAD.encode(configuration);
    let mut strings = "type=11,value=vendor string".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(PIECE));
        strings.push_str(&format!(",value=ramstrap.host_config={piece}"));
        rest = behind;
    }
    ["-smbios".to_owned(), strings]
}

/// What a boot stub would have stored, had it been fetched from beside the descriptor.
pub(super) fn boot_origin(site: &Site) -> Variable {
    Variable::boot_url(&site.url().replace(".json", ".efi?by=firmware"))
}
