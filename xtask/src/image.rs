//! The boot image that the harness starts a machine with.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::Result;
use ramstrap_cli::boot_image;
use ramstrap_cli::boot_image::Base;
use ramstrap_cli::boot_image::Config;
use ramstrap_cli::boot_image::PackedBase;
use ramstrap_cli::modules::Modules;
use ramstrap_cli::modules::Nics;
use ramstrap_cli::modules::Selection;
use ramstrap_cli::modules::Tree;

use crate::build;
use crate::cache;
use crate::harness::BootOptions;
use crate::kernels::Kernel;
use crate::kernels::driver_of;
use crate::progress;

/// How many packed bases stay in the cache: a few kernels, a few states of `/init`.
const CACHED_BASES: usize = 8;

/// NIC drivers that are in every image for virtual machines.
const VIRTUAL_DRIVERS: [&str; 4] = ["virtio_net", "vmxnet3", "e1000", "e1000e"];

/// The initramfs for these options: `/init` as it is in the source tree now, the kernel's modules,
/// trust policy, host configuration.
///
/// # Errors
///
/// `/init` does not build, a file cannot be read, or (unless invalid ones are allowed) policy or
/// host configuration is refused.
pub fn boot_image(options: &BootOptions) -> Result<Vec<u8>> {
    let init = build::init()?;
    let models: Vec<&str> = options.nics.iter().map(|nic| nic.model.as_str()).collect();
    let base = packed_base(&init, &options.kernel, &models)?;
    let config = config(options)?;
    if !options.allow_invalid {
        config.check()?;
    }
    Ok(boot_image::assemble(&base, &config)?)
}

/// The part with `/init` and modules, from the cache if it has been packed before.
///
/// # Errors
///
/// A file cannot be read, or is not what it should be.
pub fn packed_base(init: &Path, kernel: &Kernel, nic_models: &[&str]) -> Result<PackedBase> {
    let base = Base {
        init: fs::read(init).with_context(|| format!("cannot read {}", init.display()))?,
        modules: kernel
            .modules
            .as_deref()
            .map(|dir| select_modules(dir, nic_models))
            .transpose()?,
    };
    let dir = cache::subdir("bases")?;
    let cached = dir.join(base.digest());
    if let Ok(bytes) = fs::read(&cached) {
        return Ok(PackedBase::from_bytes(bytes));
    }
    let packed = progress::step("pack /init and kernel modules", |_| Ok(base.pack()?))?;
    cache::publish_file(&cached, packed.as_bytes())?;
    cache::prune(&dir, CACHED_BASES);
    Ok(packed)
}

fn select_modules(dir: &Path, nic_models: &[&str]) -> Result<Modules> {
    let drivers: Vec<Option<&str>> = nic_models.iter().map(|model| driver_of(model)).collect();
    let virtual_ones =
        drivers.iter().all(|driver| driver.is_some_and(|name| VIRTUAL_DRIVERS.contains(&name)));
    let nics = if virtual_ones {
        Nics::Virtual
    } else {
        // A model that is not known here may need any of them.
        let names: Option<Vec<String>> =
            drivers.into_iter().map(|driver| driver.map(str::to_owned)).collect();
        names.map_or(Nics::All, Nics::Only)
    };
    Ok(Tree::open(dir)?.select(&Selection { nics, add: Vec::new() })?)
}

fn config(options: &BootOptions) -> Result<Config> {
    let trust_policy = if options.trust_policy.is_dir() {
        Config::read_trust_policy(&options.trust_policy)?
    } else {
        BTreeMap::new()
    };
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(Config {
        trust_policy,
        host_config: options.host_config.as_deref().map(read).transpose()?,
        packages: options.packages.clone(),
        build_time: options.build_time.map_or_else(build_time, Ok)?,
        ..Config::default()
    })
}

/// Now, unless `SOURCE_DATE_EPOCH` says otherwise.
fn build_time() -> Result<i64> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => {
            text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number"))
        }
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(i64::try_from(now.as_secs())?)
        }
    }
}
