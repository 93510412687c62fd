//! Makes what a machine needs before it can be switched on.

use std::fs;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;
use xtask::harness::BootOptions;

use super::Scenario;
use super::hardware::Hardware;
use crate::bench::Bench;
use crate::medium;
use crate::medium::Signature;
use crate::site::Site;
use crate::wire::Cable;

/// File of the second console.
pub(super) const SECOND_CONSOLE: &str = "second-console";

/// What a machine needs, as long as it needs it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) options: BootOptions,
    pub(super) sites: Vec<Site>,
    pub(super) cables: Vec<Cable>,
    pub(super) scratch: TempDir,
    pub(super) _medium: medium::Prepared,
}

impl Scenario {
    /// Makes everything that the machine needs.
    pub(super) fn prepare(&self, bench: &Bench, directory: &Path) -> Result<Prepared> {
        let scratch = tempfile::tempdir()?;
        let sites = self.mirrors.iter().enumerate();
        let sites = sites
            .map(|(index, mirror)| Site::open(mirror, index, &bench.identities))
            .collect::<Result<Vec<_>>>()?;
        let policy = scratch.path().join("trust_policy");
        fs::create_dir(&policy)?;
        for (file, content) in &self.policy {
            fs::write(policy.join(file), content)?;
        }

        let kernel = self.kernel.as_ref().unwrap_or(&bench.kernel).clone();
        let Hardware {
            machine,
            cpus,
            firmware,
            nic_model: _,
            later_nic_model: _,
            disks,
            display,
            watchdog,
            random_numbers,
            tpm: _,
            freezes: _,
        } = self.hardware.clone();
        let mut options = BootOptions {
            machine,
            cpus,
            firmware,
            disks,
            display,
            watchdog,
            random_numbers,
            screenshot: display.has_screen().then(|| directory.join("screen.png")),
            packages: self.packages.clone(),
            uefi_variables: self.uefi_variables.clone(),
            uefi_store: self.uefi_store.as_deref().map(Path::to_path_buf),
            ..BootOptions::new(kernel, &policy)
        };
        self.place_host_configuration(&sites, scratch.path(), &mut options)?;
        options.rtc.clone_from(&self.rtc);
        options.timeout = self.timeout;
        if let Some(memory_mib) = self.memory_mib {
            options.memory_mib = memory_mib;
        }
        options.append =
            format!("panic={} {} {}", self.reboot_delay, self.parameters, options.append);
        if self.second_console {
            options.append += " console=ttyS2";
            let file = format!("file:{}", scratch.path().join(SECOND_CONSOLE).display());
            options.qemu_args.extend(["-serial".to_owned(), file]);
        }
        options.append += &format!(" -- {}", self.arguments.join(" "));
        let cables = self.lay_cables(scratch.path(), &mut options)?;
        let signer = match self.signature {
            Signature::None => None,
            Signature::Good | Signature::Broken => Some(&bench.secure_boot()?.signer),
        };
        let signature = (self.signature, signer);
        let _medium =
            medium::prepare((self.medium, &self.beside), signature, &mut options, scratch.path())?;
        Ok(Prepared { options, sites, cables, scratch, _medium })
    }
}
