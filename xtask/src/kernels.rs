//! Kernels to boot: ours, as they were built; the distribution's, downloaded and unpacked under the
//! cache, never installed; or a file.

mod distribution;
mod modules;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Once;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use ospkg::bzimage::BzImage;
use ospkg::bzimage::RELEASE_LEN;

use distribution::distribution_kernel;

use crate::kernel_build;

pub use crate::kernel_build::Which;
pub use distribution::Flavour;
pub use modules::ModuleIndex;
pub use modules::driver_of;

/// A file that every directory of modules has, whether `depmod` has run on it or not.
const MODULES_MARK: &str = "modules.builtin";

/// A kernel to boot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kernel {
    /// The bzImage.
    pub image: PathBuf,
    /// The `/lib/modules/RELEASE` directory; none for a kernel that has all built in.
    pub modules: Option<PathBuf>,
    /// Release, such as `6.1.0-56-cloud-amd64`.
    pub release: String,
}

/// What `--kernel` and `--modules` ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Choice {
    /// Ours if it has been built; else the distribution's cloud kernel, or its generic one if a NIC
    /// needs a driver that the cloud kernel lacks.
    #[default]
    Fitting,
    /// Ours, built with `cargo xtask kernel build`.
    Ours,
    /// This one.
    Distribution(Flavour),
    /// A file, with a directory of modules or without.
    File {
        /// The bzImage.
        image: PathBuf,
        /// A directory with `modules.builtin`, or one that has `lib/modules/RELEASE` below it.
        modules: Option<PathBuf>,
    },
}

impl Choice {
    /// The choice that the values of `--kernel` and `--modules` stand for.
    ///
    /// # Errors
    ///
    /// `--modules` without a kernel file.
    pub fn from_args(kernel: Option<&str>, modules: Option<&Path>) -> Result<Self> {
        let choice = match kernel {
            None => Self::Fitting,
            Some("ours") => Self::Ours,
            Some("cloud") => Self::Distribution(Flavour::Cloud),
            Some("generic") => Self::Distribution(Flavour::Generic),
            Some(file) => {
                return Ok(Self::File {
                    image: file.into(),
                    modules: modules.map(Path::to_path_buf),
                });
            }
        };
        if modules.is_some() {
            bail!("--modules goes with --kernel FILE only");
        }
        Ok(choice)
    }
}

/// The boot kernel of this choice, for a machine with NICs of these QEMU models. Downloads and
/// unpacks it if it is not in the cache.
///
/// # Errors
///
/// The kernel cannot be had: no such file, not built, no known distribution, no download.
pub fn select(choice: &Choice, nic_models: &[String]) -> Result<Kernel> {
    match choice {
        Choice::File { image, modules } => from_file(image, modules.as_deref()),
        Choice::Ours => {
            let kernel = require_ours(Which::Boot)?;
            if let Some((model, driver)) = missing_driver(&kernel, nic_models)? {
                eprintln!("warning: our boot kernel has no driver {driver} for {model}");
            }
            Ok(kernel)
        }
        Choice::Distribution(flavour) => {
            let kernel = distribution_kernel(*flavour)?;
            if let Some((model, driver)) = missing_driver(&kernel, nic_models)? {
                eprintln!("warning: {} has no driver {driver} for {model}", kernel.release);
            }
            Ok(kernel)
        }
        Choice::Fitting => match ours(Which::Boot)? {
            None => {
                say_how_to_get_ours();
                fitting_of_the_distribution(nic_models)
            }
            Some(kernel) => match missing_driver(&kernel, nic_models)? {
                None => Ok(kernel),
                Some((model, driver)) => {
                    eprintln!(
                        "Our boot kernel has no driver {driver} for {model}: taking the distribution's."
                    );
                    fitting_of_the_distribution(nic_models)
                }
            },
        },
    }
}

/// The kernel of an OS package to go with a boot kernel of this choice.
///
/// # Errors
///
/// As [`select`].
pub fn select_os(choice: &Choice) -> Result<Kernel> {
    match choice {
        Choice::File { image, modules } => from_file(image, modules.as_deref()),
        Choice::Ours => require_ours(Which::Os),
        // The smallest package that the distribution's kernels allow.
        Choice::Distribution(_) => distribution_kernel(Flavour::Cloud),
        Choice::Fitting => match ours(Which::Os)? {
            Some(kernel) => Ok(kernel),
            None => {
                say_how_to_get_ours();
                distribution_kernel(Flavour::Cloud)
            }
        },
    }
}

/// Our own kernel, if it has been built of the options and by the tools as they are now. A pinned
/// source goes before any other.
///
/// # Errors
///
/// The option files cannot be read, or there is no place for a cache.
pub fn ours(which: Which) -> Result<Option<Kernel>> {
    Ok(kernel_build::current(which)?.map(|product| product.kernel()))
}

fn require_ours(which: Which) -> Result<Kernel> {
    ours(which)?.with_context(|| {
        format!(
            "our {which} kernel is not in the cache, or was built of other options or by other tools: \
             build it with `cargo xtask kernel build`"
        )
    })
}

/// Says it once, however many machines are booted.
fn say_how_to_get_ours() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        eprintln!(
            "Our own kernels are not built yet: taking the distribution's. To get ours: \
             `cargo xtask kernel build`, about 20 minutes once."
        );
    });
}

fn fitting_of_the_distribution(nic_models: &[String]) -> Result<Kernel> {
    let cloud = distribution_kernel(Flavour::Cloud)?;
    let Some((model, driver)) = missing_driver(&cloud, nic_models)? else {
        return Ok(cloud);
    };
    eprintln!(
        "The cloud kernel {} has no driver {driver} for {model}: taking the generic one.",
        cloud.release
    );
    distribution_kernel(Flavour::Generic)
}

/// The first NIC model whose driver this kernel lacks, with the driver's name.
fn missing_driver(kernel: &Kernel, models: &[String]) -> Result<Option<(String, &'static str)>> {
    let index = match &kernel.modules {
        Some(dir) => ModuleIndex::read(dir)?,
        // What ours have is all built in, and listed beside them; of a lone file nothing is known.
        None => {
            let beside = kernel.image.with_file_name(MODULES_MARK);
            let Ok(builtin) = fs::read_to_string(beside) else { return Ok(None) };
            ModuleIndex::of_builtin(&builtin)
        }
    };
    Ok(models.iter().find_map(|model| {
        let driver = driver_of(model)?;
        (!index.has(driver)).then(|| (model.clone(), driver))
    }))
}

fn from_file(image: &Path, modules: Option<&Path>) -> Result<Kernel> {
    let release = release_of(image)?;
    let modules = match modules {
        None => None,
        Some(dir) if dir.join(MODULES_MARK).exists() => Some(dir.to_path_buf()),
        Some(dir) => Some(modules_below(dir, &release).with_context(|| {
            format!(
                "--modules {}: neither {MODULES_MARK} nor lib/modules/{release} in it",
                dir.display()
            )
        })?),
    };
    Ok(Kernel { image: image.to_path_buf(), modules, release })
}

fn modules_below(dir: &Path, release: &str) -> Option<PathBuf> {
    ["lib/modules", "usr/lib/modules"]
        .iter()
        .map(|below| dir.join(below).join(release))
        .find(|path| path.join(MODULES_MARK).exists())
}

/// The release that a bzImage says it is.
fn release_of(image: &Path) -> Result<String> {
    let mut head = Vec::new();
    let most = u64::try_from(RELEASE_LEN).unwrap_or(u64::MAX);
    fs::File::open(image)
        .and_then(|file| file.take(most).read_to_end(&mut head))
        .with_context(|| format!("cannot read the kernel {}", image.display()))?;
    let kernel =
        BzImage::parse(&head).with_context(|| format!("{} cannot be booted", image.display()))?;
    let release = kernel.release(&head);
    release
        .map(str::to_owned)
        .with_context(|| format!("the kernel {} does not say its release", image.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Choice;
    use super::Flavour;
    use super::Kernel;
    use super::missing_driver;
    use super::release_of;

    #[test]
    fn what_cannot_be_booted_is_named_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vmlinuz");
        std::fs::write(&file, "#!/bin/sh\n".repeat(100)).unwrap();
        let error = format!("{:#}", release_of(&file).unwrap_err());
        assert!(error.contains("vmlinuz") && error.contains("not a bzImage"), "{error}");
        let error = format!("{:#}", release_of(&dir.path().join("none")).unwrap_err());
        assert!(error.contains("none: No such file"), "{error}");
    }

    #[test]
    fn arguments_make_a_choice() {
        let choice = |kernel| Choice::from_args(kernel, None).unwrap();
        assert_eq!(choice(None), Choice::Fitting);
        assert_eq!(choice(Some("ours")), Choice::Ours);
        assert_eq!(choice(Some("generic")), Choice::Distribution(Flavour::Generic));
        assert!(matches!(choice(Some("./vmlinuz")), Choice::File { .. }));
        Choice::from_args(Some("cloud"), Some(Path::new("m"))).unwrap_err();
    }

    #[test]
    fn drivers_that_are_built_in_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let kernel =
            Kernel { image: dir.path().join("bzImage"), modules: None, release: "1".into() };
        let models = ["e1000e".to_owned(), "vmxnet3".to_owned()];
        // Nothing is known about a lone file.
        assert_eq!(missing_driver(&kernel, &models).unwrap(), None);
        let list = "kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko\n";
        std::fs::write(dir.path().join("modules.builtin"), list).unwrap();
        assert_eq!(missing_driver(&kernel, &models[..1]).unwrap(), None);
        let missing = missing_driver(&kernel, &models).unwrap();
        assert_eq!(missing, Some(("vmxnet3".to_owned(), "vmxnet3")));
    }
}
