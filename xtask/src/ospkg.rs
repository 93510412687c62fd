//! OS packages from the recipes in `ospkg/`: what building one needs of this source tree and machine.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use ramstrap_cli::Error;
use ramstrap_cli::Result;
use rebuild::build::Input;
use rebuild::sbom;
use rebuild::source::Source;
use rebuild::store::Origin;
use rebuild::store::Store;
use rebuild::toolchain::Toolchain;
use recipe::apt::Sources;
use recipe::build::Host;
use recipe::build::KernelFile;
use recipe::builder::Builder;
use recipe::debs::Debs;
use recipe::manifest::Binary;

use crate::build;
use crate::cache;
use crate::kernel_build;
use crate::kernel_build::Settings;
use crate::kernel_build::Which;
use crate::kernel_build::product::Product;
use crate::kernel_build::source;
use crate::kernel_build::tarball;
use crate::kernel_build::tarball::Tarballs;
use crate::locked::Locked;
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
        not_after: None,
        channel: None,
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
    build_in(options, None)
}

/// The same in a locked builder root, if there is one.
///
/// # Errors
///
/// As [`recipe::build()`].
pub fn build_in(
    options: &recipe::Options,
    locked: Option<&Locked>,
) -> anyhow::Result<recipe::Built> {
    crate::progress::step(&format!("build the OS package {}", options.name), |step| {
        let inputs = options.debs.inputs.as_ref();
        Ok(recipe::build(options, &ThisHost { step: Some(step), inputs, locked })?)
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
        let host = ThisHost { step: Some(step), ..ThisHost::default() };
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
    /// Kept inputs, which the source of a kernel is taken from before the distribution is asked.
    pub inputs: Option<&'a Origin>,
    /// The root that everything is compiled in, if not this machine's own.
    pub locked: Option<&'a Locked>,
}

impl Host for ThisHost<'_> {
    fn binary(&self, binary: &Binary) -> Result<PathBuf> {
        let name = binary.bin.as_deref().unwrap_or(&binary.krate);
        let built = match self.locked {
            Some(locked) => build::locked_binary(locked, &binary.krate, name),
            None => build::guest_binary(&binary.krate, name),
        };
        built.map_err(|error| {
            Error::new(format!("{error:#}"))
                .remedy("see cargo's words above; [[binary]] of recipe.toml names crate and binary")
        })
    }

    fn kernel(&self) -> Result<KernelFile> {
        let builder = self.locked.map(|it| it.builder().clone());
        let current = kernel_build::current_of(Which::Os, builder.as_ref()).map_err(error)?;
        let product = match current {
            Some(product) => product,
            None => {
                let how =
                    if builder.is_some() { "not built by the locked builder" } else { "not built" };
                eprintln!("Our OS kernel is {how} yet: building it, about 10 minutes, once.");
                if let Some(inputs) = self.inputs {
                    let pins = kernel_build::pins().map_err(error)?;
                    Tarballs::of_this_user().map_err(error)?.take_from(inputs, &pins);
                }
                let settings = Settings { builder, ..Settings::default() };
                let built = kernel_build::build_all(&[Which::Os], &settings);
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
        Ok((source, crate::provenance::toolchain(self.locked)?))
    }

    fn builder(&self) -> Option<&Builder> {
        self.locked.map(Locked::builder)
    }

    fn keep_kernel_source(&self, source: &Input, store: &Store) -> Result<()> {
        let pins = kernel_build::pins().map_err(error)?;
        let pin = pins.with_hash(&source.sha256).ok_or_else(|| {
            Error::new(format!("{} is not in kernel-config/pins.toml any more", source.name))
                .remedy(
                    "build the kernel anew, from a source that is: `cargo xtask kernel build os`",
                )
        })?;
        let tarballs = Tarballs::of_this_user().map_err(error)?;
        tarballs.put(pin, self.inputs, store, source::download_tarball).map_err(error)
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
    let pins = kernel_build::pins().map_err(error)?;
    Ok(KernelFile {
        image: product.image(),
        version: record.release.clone(),
        built: Some(rebuild::build::Kernel {
            key: Some(record.key.clone()),
            config_sha256: Some(rebuild::sha256(&config)),
            source_sha256: Some(record.source.sha256.clone()),
            unpinned: record.unpinned,
        }),
        // What is not pinned nobody else can have: such a package cannot be rebuilt.
        source: pins.with_hash(&record.source.sha256).map(tarball::input),
    })
}

fn error(error: anyhow::Error) -> Error {
    Error::new(format!("{error:#}"))
}
