//! The distribution's kernels, out of its packages.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::Kernel;
use super::modules_below;
use super::release_of;
use crate::apt::Apt;
use crate::cache;
use crate::progress;
use crate::setup::Distribution;

/// Which of the distribution's kernels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flavour {
    /// Small, for virtual machines.
    Cloud,
    /// With the drivers of real hardware.
    Generic,
}

impl Flavour {
    const fn name(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Generic => "generic",
        }
    }

    /// Packages that lead to this kernel; the first that exists is taken.
    const fn packages(self, distribution: Distribution) -> &'static [&'static str] {
        match (distribution, self) {
            (Distribution::Debian, Self::Cloud) => &["linux-image-cloud-amd64"],
            (Distribution::Debian, Self::Generic) => &["linux-image-amd64"],
            (Distribution::Ubuntu, Self::Cloud) => &["linux-image-virtual", "linux-image-kvm"],
            (Distribution::Ubuntu, Self::Generic) => &["linux-image-generic"],
        }
    }
}

/// The newest one of this flavour; without a network, the newest that was unpacked before.
pub(super) fn distribution_kernel(flavour: Flavour) -> Result<Kernel> {
    let Some(distribution) = Distribution::of_this_machine() else {
        bail!(
            "kernels are downloaded on Debian and Ubuntu only: \
             use --kernel FILE --modules DIR with a kernel of your own"
        );
    };
    let resolved = Apt::open().and_then(|apt| {
        let package = resolve(&apt, flavour, distribution)?;
        Ok((apt, package))
    });
    match resolved {
        Ok((apt, package)) => {
            let dir = kernels_dir(flavour)?.join(package.directory_name());
            if !dir.is_dir() {
                obtain(apt, flavour, distribution, package, &dir)?;
            }
            unpacked(&dir)
        }
        // Without a network what was unpacked before will do.
        Err(error) => match newest(&kernels_dir(flavour)?) {
            Some(dir) => {
                eprintln!("warning: {error:#}; taking {}", dir.display());
                unpacked(&dir)
            }
            None => Err(error.context(
                "the distribution's kernel cannot be had: use --kernel FILE --modules DIR with a kernel \
                 of your own",
            )),
        },
    }
}

/// A kernel package and its version.
#[derive(Clone, Debug)]
struct Package {
    name: String,
    version: String,
}

impl Package {
    fn directory_name(&self) -> String {
        // Versions may hold a colon, which is awkward in paths.
        format!("{}_{}", self.name, self.version.replace(':', "%3a"))
    }
}

/// Follows the distribution's entry package to the kernel that it stands for now.
fn resolve(apt: &Apt, flavour: Flavour, distribution: Distribution) -> Result<Package> {
    for entry in flavour.packages(distribution) {
        let depends = apt.depends(entry)?;
        let Some(name) = depends.into_iter().find(|name| is_kernel_package(name)) else { continue };
        if let Some(version) = apt.candidate(&name)? {
            return Ok(Package { name, version });
        }
    }
    bail!(
        "no {} kernel in the package lists (looked for {})",
        flavour.name(),
        flavour.packages(distribution).join(", ")
    )
}

fn is_kernel_package(name: &str) -> bool {
    name.strip_prefix("linux-image-")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn obtain(
    apt: Apt,
    flavour: Flavour,
    distribution: Distribution,
    package: Package,
    dir: &Path,
) -> Result<()> {
    eprintln!(
        "Kernel: {} {} (downloaded and unpacked under the cache, not installed)",
        package.name, package.version
    );
    if cache::publish_dir(dir, |new| unpack(&apt, flavour, &package, new)).is_ok() {
        return Ok(());
    }
    // The archive may have dropped the version that the lists name.
    let apt = Apt::refreshed()?;
    let package = resolve(&apt, flavour, distribution)?;
    let dir = kernels_dir(flavour)?.join(package.directory_name());
    cache::publish_dir(&dir, |new| unpack(&apt, flavour, &package, new))
}

/// Fills `dir` with the files of the kernel's packages.
fn unpack(apt: &Apt, flavour: Flavour, package: &Package, dir: &Path) -> Result<()> {
    // Ubuntu has modules in packages of their own.
    let mut packages = vec![package.name.clone()];
    packages.extend(
        apt.depends(&package.name)?.into_iter().filter(|name| name.starts_with("linux-modules-")),
    );
    if flavour == Flavour::Generic
        && let Some(release) = package.name.strip_prefix("linux-image-")
    {
        let extra = format!("linux-modules-extra-{release}");
        if apt.candidate(&extra)?.is_some() {
            packages.push(extra);
        }
    }
    let downloads = dir.join("download");
    fs::create_dir(&downloads)?;
    apt.download(&packages, &downloads)?;
    for entry in fs::read_dir(&downloads)? {
        let mut extract = Command::new("dpkg-deb");
        progress::run("unpack the kernel", extract.arg("-x").arg(entry?.path()).arg(dir))?;
    }
    fs::remove_dir_all(&downloads)?;
    // Now, not at the first use: an incomplete kernel must not get into the cache.
    unpacked(dir).map(drop)
}

/// The kernel in a directory that [`unpack`] has filled.
fn unpacked(dir: &Path) -> Result<Kernel> {
    let image = find_image(dir)?;
    let release = release_of(&image)?;
    let modules = modules_below(dir, &release)
        .with_context(|| format!("{} has no modules: delete it and try again", dir.display()))?;
    Ok(Kernel { image, modules: Some(modules), release })
}

fn find_image(dir: &Path) -> Result<PathBuf> {
    let boot = dir.join("boot");
    fs::read_dir(&boot)
        .with_context(|| format!("cannot read {}", boot.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        })
        .with_context(|| format!("no kernel in {}", boot.display()))
}

fn kernels_dir(flavour: Flavour) -> Result<PathBuf> {
    cache::subdir(&format!("kernels/{}", flavour.name()))
}

fn newest(dir: &Path) -> Option<PathBuf> {
    fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .max()
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::is_kernel_package;

    #[test]
    fn only_versioned_images_are_kernels() {
        assert!(is_kernel_package("linux-image-6.1.0-56-cloud-amd64"));
        assert!(!is_kernel_package("linux-image-virtual"));
        assert!(!is_kernel_package("linux-base"));
    }
}
