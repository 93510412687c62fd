//! OS packages from the recipes in `ospkg/`: what building one needs of this source tree and machine.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use ramstrap_cli::Error;
use ramstrap_cli::Result;
use rebuild::sbom;
use rebuild::source::Source;
use rebuild::store::Origin;
use rebuild::toolchain::Toolchain;
use recipe::apt::Sources;
use recipe::build::Host;
use recipe::build::KernelFile;
use recipe::debs::Debs;
use recipe::manifest::Binary;

use crate::build;
use crate::cache;
use crate::kernel_build;
use crate::kernel_build::Settings;
use crate::kernel_build::Which;
use crate::kernel_build::product::Product;
use crate::progress::Step;

/// The directory of recipes.
#[must_use]
pub fn recipes() -> PathBuf {
    build::root().join("ospkg")
}

/// Where packages come from: kept inputs or the archive, with the cache before both.
///
/// # Errors
///
/// There is no place for a cache, or the inputs are neither a directory nor a URL.
pub fn debs(mirror: Option<&str>, inputs: Option<&str>) -> Result<Debs> {
    Ok(Debs {
        cache: cache::subdir("debs").map_err(error)?,
        inputs: inputs.map(Origin::parse).transpose()?,
        sources: mirror.map_or_else(Sources::of_this_host, Sources::mirror),
    })
}

/// Builds the package of a recipe into a directory, with everything else as it is by default: for
/// tests. Compressed root file systems are kept, so that a second build takes seconds.
///
/// # Errors
///
/// As [`recipe::build()`].
pub fn build_for_tests(
    name: &str,
    out: &Path,
    staff_keys: Option<&Path>,
) -> anyhow::Result<recipe::Built> {
    let options =
        recipe::Options { staff_keys: staff_keys.map(Path::to_path_buf), ..options(name, out)? };
    build_package(&options)
}

/// How a package is built by default.
///
/// # Errors
///
/// There is no place for a cache.
pub fn options(name: &str, out: &Path) -> anyhow::Result<recipe::Options> {
    Ok(recipe::Options {
        recipes: recipes(),
        name: name.to_owned(),
        out: out.to_path_buf(),
        label: None,
        cmdline: None,
        watchdog_seconds: None,
        release: None,
        url: None,
        staff_keys: None,
        kernel: None,
        debs: debs(None, None)?,
        keep_inputs: None,
        cache: Some(cache::subdir("roots")?),
        replace: true,
    })
}

/// Builds a package, showing what it is at.
///
/// # Errors
///
/// As [`recipe::build()`].
pub fn build_package(options: &recipe::Options) -> anyhow::Result<recipe::Built> {
    crate::progress::step(&format!("build the OS package {}", options.name), |step| {
        Ok(recipe::build(options, &ThisHost { step: Some(step) })?)
    })
}

/// The initramfs of a recipe, wherever it is, without a package around it. What was compressed before
/// comes from the cache.
///
/// # Errors
///
/// As [`recipe::build()`].
pub fn initramfs(recipes: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let label = format!("build the root file system of {name}");
    crate::progress::step(&label, |step| {
        let recipe = recipe::Recipe::load(recipes, name)?;
        let options =
            recipe::Options { recipes: recipes.to_path_buf(), ..options(name, Path::new(""))? };
        let host = ThisHost { step: Some(step) };
        let root = recipe::build::root_file_system(&recipe, &options, &host, None)?;
        let archive = recipe::initramfs::archive(&root.tree, root.source_date_epoch)?;
        let cached = cache::subdir("roots")?.join(rebuild::sha256(&archive));
        if let Ok(packed) = fs::read(&cached) {
            return Ok(packed);
        }
        let packed = recipe::initramfs::compress(&archive)?;
        cache::publish_file(&cached, &packed)?;
        Ok(packed)
    })
}

/// This source tree and machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisHost<'a> {
    /// Where progress is shown.
    pub step: Option<&'a Step>,
}

impl Host for ThisHost<'_> {
    fn binary(&self, binary: &Binary) -> Result<PathBuf> {
        let name = binary.bin.as_deref().unwrap_or(&binary.krate);
        build::guest_binary(&binary.krate, name).map_err(|error| {
            Error::new(format!("{error:#}"))
                .remedy("see cargo's words above; [[binary]] of recipe.toml names crate and binary")
        })
    }

    fn kernel(&self) -> Result<KernelFile> {
        let current = kernel_build::current(Which::Os).map_err(error)?;
        let product = match current {
            Some(product) => product,
            None => {
                eprintln!("Our OS kernel is not built yet: building it, about 10 minutes, once.");
                let built = kernel_build::build_all(&[Which::Os], &Settings::default());
                let built = built.map_err(error)?.pop().map(|it| it.product);
                built.ok_or_else(|| Error::new("no OS kernel was built"))?
            }
        };
        kernel_file(&product)
    }

    fn provenance(&self) -> Result<(Source, Toolchain)> {
        let root = build::root();
        // A source tree without git builds as well; only nobody can rebuild what comes of it.
        let source = rebuild::source::of_checkout(root)
            .unwrap_or_else(|_| Source { revision: "unknown".to_owned(), dirty: true });
        Ok((source, rebuild::toolchain::of_this_host(root)?))
    }

    fn crates(&self, names: &[&str]) -> Result<Vec<sbom::Crate>> {
        Ok(sbom::crates_of(build::root(), names)?)
    }

    fn at(&self, what: &str) {
        if let Some(step) = self.step {
            step.at(what);
        }
    }
}

fn kernel_file(product: &Product) -> Result<KernelFile> {
    let config = product.dir.join("config");
    let config = fs::read(&config).map_err(|error| Error::io("read", &config, &error))?;
    let record = &product.record;
    Ok(KernelFile {
        image: product.image(),
        version: record.release.clone(),
        built: Some(rebuild::build::Kernel {
            key: Some(record.key.clone()),
            config_sha256: Some(rebuild::sha256(&config)),
            source_sha256: Some(record.source.sha256.clone()),
            unpinned: record.unpinned,
        }),
        source: None,
    })
}

fn error(error: anyhow::Error) -> Error {
    Error::new(format!("{error:#}"))
}
