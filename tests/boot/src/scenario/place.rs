//! Where a machine finds its host configuration.

use std::fs;
use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use xtask::harness::BootOptions;
use xtask::harness::Firmware;
use xtask::harness::uefi_vars::Variable;

use super::Scenario;
use crate::package::Archive;
use crate::package::Descriptor;
use crate::site::Site;

/// Where the machine finds its host configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// In a file of the boot image.
    Image,
    /// In the EFI variable.
    EfiVariable,
    /// In settings on the kernel command line: what [`Scenario::new`] has.
    CommandLine,
    /// In OEM strings of the machine, as a whole.
    OemStrings,
    /// Beside the boot image, as a URL that the firmware says to have loaded it from.
    BootOrigin,
    Nowhere,
}

/// Length of the pieces that a configuration is cut into for OEM strings, in characters.
const PIECE: usize = 60;

impl Scenario {
    /// Without a host configuration.
    #[must_use]
    pub const fn no_host_config(mut self) -> Self {
        self.place = Place::Nowhere;
        self
    }

    /// With the host configuration in the EFI variable in place of the boot image.
    #[must_use]
    pub const fn host_config_in_efi_variable(mut self) -> Self {
        self.place = Place::EfiVariable;
        self
    }

    /// With these bytes in the EFI variable, whatever is in the boot image.
    #[must_use]
    pub fn efi_variable(mut self, content: &[u8]) -> Self {
        self.efi_variable = Some(content.to_vec());
        self
    }

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

    /// Puts it there.
    pub(super) fn place_host_configuration(
        &self,
        sites: &[Site],
        directory: &Path,
        options: &mut BootOptions,
    ) -> Result<()> {
        let mut variable = self.efi_variable.clone();
        match self.place {
            Place::Image => {
                let file = directory.join("host_configuration.json");
                fs::write(&file, self.host_configuration(sites)?)?;
                options.host_config = Some(file);
            }
            Place::EfiVariable => variable = Some(self.host_configuration(sites)?),
            Place::CommandLine => options.append = settings(sites),
            Place::OemStrings => {
                options.qemu_args.extend(oem_strings(&self.host_configuration(sites)?));
            }
            Place::BootOrigin => {
                options.firmware = Firmware::Uefi;
                options.uefi_variables.extend(sites.iter().map(boot_origin));
            }
            Place::Nowhere => {}
        }
        if let Some(content) = variable {
            if options.firmware == Firmware::Bios {
                options.firmware = Firmware::Uefi;
            }
            options.uefi_variables.push(Variable::host_configuration(&content));
        }
        Ok(())
    }

    fn host_configuration(&self, sites: &[Site]) -> Result<Vec<u8>> {
        if let Some(raw) = &self.raw_host_config {
            return Ok(raw.clone());
        }
        let mut host_config = self.host_config.clone();
        let urls: Vec<String> = sites.iter().map(Site::url).collect();
        if self.old_form {
            host_config.insert("provisioning_urls".to_owned(), json!(urls));
        } else {
            host_config.entry("ospkg_pointer".to_owned()).or_insert_with(|| json!(urls.join(",")));
        }
        Ok(serde_json::to_vec_pretty(&host_config)?)
    }
}

/// Settings for the kernel command line.
fn settings(sites: &[Site]) -> String {
    let urls: Vec<String> =
        sites.iter().map(|site| format!("ramstrap.url={}", site.url())).collect();
    format!("ramstrap.network_mode=dhcp {}", urls.join(" "))
}

/// A configuration in OEM strings, cut, with those of a vendor before it.
fn oem_strings(configuration: &[u8]) -> [String; 2] {
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
fn boot_origin(site: &Site) -> Variable {
    Variable::boot_url(&site.url().replace(".json", ".efi?by=firmware"))
}
