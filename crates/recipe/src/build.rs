//! From a recipe to a package.

mod record;
mod root;
mod staff;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use ramstrap_cli::package;
use ramstrap_cli::package::Contents;
use ramstrap_cli::package::Created;
use ramstrap_cli::package::Names;
use rebuild::build::Input;
use rebuild::sbom;
use rebuild::source::Source;
use rebuild::store::Store;
use rebuild::toolchain::Toolchain;
use trust::Channel;
use trust::Timestamp;

use crate::Error;
use crate::Recipe;
use crate::Result;
use crate::builder::Builder;
use crate::debs::Debs;
use crate::elf;
use crate::hooks;
use crate::initramfs;
use crate::lock::Lock;
use crate::manifest::Binary;
use crate::overlay;
use crate::room;
use crate::tree::Tree;

pub(crate) use root::skeleton;

/// How a package is built.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of recipes.
    pub recipes: PathBuf,
    /// Name of the recipe.
    pub name: String,
    /// The directory that `NAME.zip` and `NAME.json` go to; made if it is missing.
    pub out: PathBuf,
    /// A label in place of the recipe's.
    pub label: Option<String>,
    /// A command line in place of the recipe's.
    pub cmdline: Option<String>,
    /// A watchdog's time-out in place of the recipe's.
    pub watchdog_seconds: Option<u32>,
    /// Number of the release.
    pub release: Option<u64>,
    /// The last second at which machines boot it.
    pub not_after: Option<Timestamp>,
    /// The line of releases that it belongs to.
    pub channel: Option<Channel>,
    /// Where machines find the archive, if not beside the descriptor.
    pub url: Option<String>,
    /// A directory with public keys of staff, `NAME.pem`.
    pub staff_keys: Option<PathBuf>,
    /// A kernel in place of the recipe's.
    pub kernel: Option<PathBuf>,
    /// Where packages come from.
    pub debs: Debs,
    /// A store that all inputs are put into.
    pub keep_inputs: Option<PathBuf>,
    /// Where compressed root file systems are kept, to be taken again; none: nowhere.
    pub cache: Option<PathBuf>,
    /// Replace a package even if it is signed.
    pub replace: bool,
}

/// A kernel for a package.
#[derive(Clone, Debug, Default)]
pub struct KernelFile {
    /// The bzImage.
    pub image: PathBuf,
    /// Its release, such as `6.12.117`.
    pub version: String,
    /// What it was built of; none if it came as a file.
    pub built: Option<rebuild::build::Kernel>,
    /// Its source, if it was built.
    pub source: Option<Input>,
}

/// What a build takes from the source tree and the machine that it runs on.
pub trait Host {
    /// Builds a binary of the source tree.
    ///
    /// # Errors
    /// If it does not build.
    fn binary(&self, binary: &Binary) -> Result<PathBuf>;

    /// Our own OS kernel.
    ///
    /// # Errors
    /// If it cannot be had.
    fn kernel(&self) -> Result<KernelFile>;

    /// The state of the source tree, and the tools.
    ///
    /// # Errors
    /// If they cannot be told.
    fn provenance(&self) -> Result<(Source, Toolchain)>;

    /// The locked root that everything is compiled in, if there is one.
    fn builder(&self) -> Option<&Builder> {
        None
    }

    /// Puts the source of the kernel that it gave into a store.
    ///
    /// # Errors
    /// If it cannot be had, or not be written.
    fn keep_kernel_source(&self, source: &Input, store: &Store) -> Result<()>;

    /// The crates that are linked into these crates' binaries.
    ///
    /// # Errors
    /// If they cannot be told.
    fn crates(&self, names: &[&str]) -> Result<Vec<sbom::Crate>>;

    /// Says what is being done now.
    fn at(&self, what: &str);
}

/// A package that was built.
#[derive(Debug)]
pub struct Built {
    /// Its two files.
    pub names: Names,
    /// Digest, length, warnings.
    pub created: Created,
    /// Length of the kernel in bytes.
    pub kernel_length: u64,
    /// Length of the initramfs as it is in the package.
    pub initramfs_length: u64,
    /// Length of the root file system when it is unpacked.
    pub root_length: u64,
    /// What takes the room in it, before compression: bytes by where they come from.
    pub room: Vec<(String, u64)>,
    /// What was built, but perhaps not as it was meant.
    pub warnings: Vec<String>,
}

/// The root file system of a recipe, and what it was made of.
#[derive(Debug, Default)]
pub struct Root {
    /// The tree.
    pub tree: Tree,
    /// Time of everything in it.
    pub source_date_epoch: i64,
    /// SHA-256 of the lock file, if there is one.
    pub lock_sha256: Option<String>,
    /// What was taken in, and is not in the source tree.
    pub inputs: Vec<Input>,
    /// The packages in it, for the bill of materials.
    pub debs: Vec<sbom::Deb>,
    /// What is there, but perhaps not as it was meant.
    pub warnings: Vec<String>,
}

/// Builds a package. Its two files appear whole, or not at all.
///
/// # Errors
/// If the recipe or its lock cannot be used, an input cannot be had, or an output not be written.
pub fn build(options: &Options, host: &dyn Host) -> Result<Built> {
    let recipe = Recipe::load(&options.recipes, &options.name)?;
    let before = host.provenance()?;
    let keep = options.keep_inputs.as_deref().map(Store::create).transpose()?;
    let mut root = root_file_system(&recipe, options, host, keep.as_ref())?;
    let kernel = kernel(&recipe, options, host)?;
    if let Some(source) = &kernel.source {
        if let Some(keep) = &keep {
            host.at(&format!("keep {}", source.name));
            host.keep_kernel_source(source, keep)?;
        }
        root.inputs.push(source.clone());
    }
    if let Some(builder) = host.builder() {
        host.at("note the builder's packages");
        root.inputs.extend(builder.inputs(keep.as_ref())?);
    }
    let kernel_bytes =
        fs::read(&kernel.image).map_err(|error| Error::io("read", &kernel.image, &error))?;
    if kernel.built.is_none() {
        root.inputs.push(record::input("kernel", "kernel", &kernel_bytes, keep.as_ref())?);
    }
    host.at("pack the initramfs");
    let archive = initramfs::archive(&root.tree, root.source_date_epoch)?;
    host.at(&format!("compress the initramfs, {} MB", archive.len() / 1_000_000));
    let packed = compress(&archive, options.cache.as_deref())?;
    let provenance = record::provenance(before, host)?;
    let taken = record::Taken { root: &root, kernel: &kernel, kernel_bytes: &kernel_bytes };
    let extra = record::files(&recipe, options, host, provenance, &taken)?;

    fs::create_dir_all(&options.out).map_err(|error| Error::io("create", &options.out, &error))?;
    let names = Names::new(&options.out.join(format!("{}.zip", options.name)));
    let staged = tempfile::Builder::new().prefix(".ramstrap-").tempdir_in(&options.out);
    let staged = staged.map_err(|error| Error::io("write", &options.out, &error))?;
    let place = |name: &str| staged.path().join(name);
    let (kernel_place, initramfs_place) = (place("vmlinuz"), place("initramfs.cpio.zst"));
    let image = fs::canonicalize(&kernel.image)
        .map_err(|error| Error::io("read", &kernel.image, &error))?;
    symlink(image, &kernel_place).map_err(|error| Error::io("write", &kernel_place, &error))?;
    fs::write(&initramfs_place, &packed)
        .map_err(|error| Error::io("write", &initramfs_place, &error))?;
    host.at("write the package");
    let contents = Contents {
        kernel: kernel_place,
        initramfs: initramfs_place,
        cmdline: options.cmdline.clone().or_else(|| recipe.cmdline().map(ToOwned::to_owned)),
        watchdog_seconds: options.watchdog_seconds.or_else(|| recipe.watchdog_seconds()),
        label: Some(label(&recipe, options)),
        url: options.url.clone().unwrap_or_else(|| format!("{}.zip", options.name)),
        release: options.release,
        not_after: options.not_after,
        channel: options.channel.clone(),
        extra,
        replace: options.replace,
        ..Contents::default()
    };
    let created = package::create(&contents, &names)?;
    Ok(Built {
        names,
        created,
        kernel_length: kernel_bytes.len() as u64,
        initramfs_length: packed.len() as u64,
        root_length: archive.len() as u64,
        room: room::by_origin(&root.tree),
        warnings: root.warnings,
    })
}

/// Builds the root file system of a recipe, with everything that is in its image.
///
/// # Errors
/// As [`build`].
pub fn root_file_system(
    recipe: &Recipe,
    options: &Options,
    host: &dyn Host,
    keep: Option<&Store>,
) -> Result<Root> {
    let mut root = root::unpack(recipe, options, host, keep)?;
    overlay::lay(&recipe.layers, &mut root.tree)?;
    for binary in recipe.binaries() {
        host.at(&format!("build {}", binary.krate));
        root::put_file(&mut root.tree, &binary.to, 0o755, &host.binary(binary)?, &binary.krate)?;
    }
    if let Some(dir) = &options.staff_keys {
        root.inputs.extend(staff::add(dir, &mut root.tree, keep)?);
    }
    let hooks = hooks::of(&recipe.layers)?;
    if !hooks.is_empty() {
        host.at("run hooks");
    }
    hooks::run(&hooks, &mut root.tree, root.source_date_epoch, host.builder())?;
    strip(recipe, &mut root.tree)?;
    root::essentials(&mut root.tree)?;
    check(recipe, &mut root)?;
    Ok(root)
}

/// The label that a package gets.
#[must_use]
pub fn label(recipe: &Recipe, options: &Options) -> String {
    let label = options.label.as_deref().or_else(|| recipe.label()).unwrap_or(&recipe.name);
    match options.release {
        Some(release) if options.label.is_none() => format!("{label}, release {release}"),
        _ => label.to_owned(),
    }
}

/// Takes away what the recipe excludes. Files of recipes are meant to be there.
pub(crate) fn strip(recipe: &Recipe, tree: &mut Tree) -> Result<()> {
    let (exclude, keep) = recipe.exclude()?;
    let goes = |path: &str| exclude.matches(path) && !keep.matches(path);
    let ours = tree.iter().find(|(path, node)| {
        node.origin.starts_with("recipe ")
            && !matches!(node.kind, crate::tree::Kind::Directory)
            && goes(path)
    });
    if let Some((path, node)) = ours {
        return Err(Error::new(format!("/{path} of {} is excluded by [exclude]", node.origin))
            .remedy("name it in `keep` of [exclude], or remove it from files/"));
    }
    // Directories that hold something that stays have to stay, too.
    let stays: Vec<String> = tree
        .iter()
        .filter(|(path, _)| !goes(path))
        .flat_map(|(path, _)| {
            path.match_indices('/').map(|(end, _)| path.get(..end).unwrap_or_default().to_owned())
        })
        .collect();
    let stays: std::collections::BTreeSet<String> = stays.into_iter().collect();
    tree.retain(|path, _| !goes(path) || stays.contains(path));
    Ok(())
}

fn check(recipe: &Recipe, root: &mut Root) -> Result<()> {
    if root.tree.find("init").is_none_or(|init| init.mode & 0o111 == 0) {
        return Err(Error::new("the image has no executable /init: its kernel would panic").remedy(
            "name the program that starts first: [[binary]] to = \"/init\", or an [[entry]] with \
             path = \"/init\" and a link to it",
        ));
    }
    let missing = elf::missing(&root.tree, &recipe.may_lack()?);
    let lines =
        missing.iter().map(|(path, lacking)| format!("/{path} needs {}", lacking.join(", ")));
    if recipe.root().is_some() {
        // Somebody else's system may know more ways to a library.
        root.warnings.extend(lines.map(|line| format!("{line}, which was not found")));
        return Ok(());
    }
    if missing.is_empty() {
        return Ok(());
    }
    let error = Error::new("programs or libraries lack libraries that they are linked with");
    Err(lines.take(20).fold(error, Error::detail).remedy(
        "add the packages that have them (or take them out of `without`), exclude what needs them, \
         or name it in `may_lack` of [exclude] if that part is never loaded",
    ))
}

fn kernel(recipe: &Recipe, options: &Options, host: &dyn Host) -> Result<KernelFile> {
    let Some(image) = options.kernel.clone().or_else(|| recipe.kernel()) else {
        host.at("look for our OS kernel");
        return host.kernel();
    };
    if !image.is_file() {
        return Err(Error::new(format!("there is no kernel {}", image.display())).remedy(
            "correct `kernel` in recipe.toml (relative to the recipe) or --kernel; without both, our \
             own OS kernel is taken, which `cargo xtask kernel build os` makes",
        ));
    }
    Ok(KernelFile { image, version: "unknown".to_owned(), built: None, source: None })
}

fn compress(archive: &[u8], cache: Option<&Path>) -> Result<Vec<u8>> {
    let Some(cache) = cache else { return initramfs::compress(archive) };
    let path = cache.join(rebuild::sha256(archive));
    if let Ok(packed) = fs::read(&path) {
        return Ok(packed);
    }
    let packed = initramfs::compress(archive)?;
    fs::create_dir_all(cache).map_err(|error| Error::io("create", cache, &error))?;
    let mut file = ramstrap_cli::files::NewFile::create(&path)?;
    std::io::Write::write_all(&mut file, &packed)
        .map_err(|error| Error::io("write", &path, &error))?;
    file.publish(ramstrap_cli::files::PUBLIC, true)?;
    Ok(packed)
}

/// Fetches what a lock names into the cache, and says how far it is.
pub(crate) fn fetch_all(
    lock: &Lock,
    recipe: &Recipe,
    debs: &Debs,
    host: &dyn Host,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for (number, package) in lock.package.iter().enumerate() {
        host.at(&format!("package {} of {}: {}", number + 1, lock.package.len(), package.name));
        found.insert(package.name.clone(), debs.get(package, &recipe.name)?);
    }
    Ok(found)
}
