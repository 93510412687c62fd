//! Kernels of our own: built from pinned source by the options in `kernel-config/`, checked, the same
//! bytes every time, and kept in the cache.

pub mod kconfig;
pub mod make;
pub mod options;
pub mod pins;
pub mod product;
pub mod reproduce;
pub mod room;
pub mod source;
pub mod tarball;
pub mod tools;
pub mod tree;
mod unpack;
pub mod verify;

use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;
use recipe::builder::Builder;
use serde::Deserialize;
use serde::Serialize;
use tempfile::TempDir;

use crate::build;
use crate::cache;
use crate::kernels::Kernel;
use crate::setup;
use kconfig::Kconfig;
use make::Make;
use make::Surroundings;
use options::Requests;
use pins::Pins;
use product::Effort;
use product::Product;
use room::Lock;
use source::Unpacked;
use tools::Tools;

pub use source::Source;

/// What the output of one build takes on disk, in bytes.
const ROOM: u64 = 700_000_000;

/// One of our kernels.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The bootloader's.
    Boot,
    /// That of RAM-only OS packages.
    Os,
}

impl Which {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Boot, Self::Os];

    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Os => "os",
        }
    }

    /// Steps of a build of Linux 6.12, for the progress of the first one.
    const fn usual_steps(self) -> usize {
        match self {
            Self::Boot => 2430,
            Self::Os => 2890,
        }
    }

    /// What its option files ask for.
    ///
    /// # Errors
    ///
    /// A file cannot be read or understood.
    pub fn requests(self) -> Result<Requests> {
        let dir = config_dir();
        let own = dir.join(format!("{self}.config"));
        Requests::read(&[&dir.join("common.config"), &own])
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where the source comes from.
    pub source: Source,
    /// Things done at a time; none: as many as there are processors.
    pub jobs: Option<usize>,
    /// Refuse a source that is not pinned.
    pub release: bool,
    /// The root to build in; none: this machine's own, with its own tools.
    pub builder: Option<Builder>,
}

impl Settings {
    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
    }
}

/// A kernel, built now or before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Built {
    /// What it is.
    pub product: Product,
    /// Whether it was in the cache.
    pub cached: bool,
}

/// Builds a kernel, unless it has been built from the same inputs before.
///
/// # Errors
///
/// As [`build_all`].
pub fn build(which: Which, source: &Source) -> Result<Kernel> {
    let settings = Settings { source: source.clone(), ..Settings::default() };
    let built = build_all(&[which], &settings)?;
    match built.as_slice() {
        [built] => Ok(built.product.kernel()),
        _ => bail!("one kernel was asked for, and {} were built", built.len()),
    }
}

/// Builds kernels, unless they have been built from the same inputs before. One source tree serves
/// all of them.
///
/// # Errors
///
/// A tool is missing, the source cannot be had or is not what it should be, an option did not survive,
/// the disk is too full, or it does not compile. Nothing half-made is left to be used.
pub fn build_all(which: &[Which], settings: &Settings) -> Result<Vec<Built>> {
    // A locked root has what it needs, but the source is unpacked outside.
    if settings.builder.is_none() {
        setup::ensure(&setup::for_kernel())?;
    }
    let pins = pins()?;
    let wanted = which
        .iter()
        .map(|&which| Ok((which, which.requests()?)))
        .collect::<Result<Vec<(Which, Requests)>>>()?;
    let tools = match &settings.builder {
        Some(builder) => Tools::of_root(builder)?,
        None => Tools::of_this_host()?,
    };
    // Before it waits for anybody: what cannot be used is said at once.
    let identities = source::identities(&settings.source, &pins)?;
    if settings.release {
        identities.iter().try_for_each(|identity| source::require_pinned(identity, &pins))?;
    }
    let find = |(which, requests): &(Which, Requests)| {
        let keys = identities.iter().map(|it| product::key(requests, &tools, &it.sha256));
        keys.filter_map(|key| product::find(*which, &key).transpose()).next().transpose()
    };
    // Where nothing is to be built, nobody has to be waited for.
    let there = wanted.iter().map(find).collect::<Result<Option<Vec<Product>>>>()?;
    if let Some(products) = there {
        return Ok(products.into_iter().map(|product| Built { product, cached: true }).collect());
    }
    let _lock = Lock::take()?;
    let mut unpacked = None;
    let mut built = Vec::new();
    for request in &wanted {
        // While it was waited for, somebody may have built it.
        if let Some(product) = find(request)? {
            built.push(Built { product, cached: true });
            continue;
        }
        if unpacked.is_none() {
            let tree = source::obtain(&settings.source, &pins)?;
            if settings.release {
                source::require_pinned(&tree.identity, &pins)?;
            }
            unpacked = Some(tree);
        }
        let Some(tree) = unpacked.take() else { continue };
        let (which, requests) = request;
        let (product, tree) = one(*which, requests, &tools, tree, &pins, settings)?;
        built.push(product);
        unpacked = Some(tree);
    }
    Ok(built)
}

/// Builds both kernels if they are not there, from whatever source is the default.
///
/// # Errors
///
/// As [`build_all`].
pub fn ensure() -> Result<()> {
    build_all(&Which::ALL, &Settings::default()).map(drop)
}

/// Resolves the options of a kernel and checks that all of them survive; compiles nothing.
///
/// # Errors
///
/// As [`build_all`].
pub fn check(which: Which, source: &Source) -> Result<String> {
    setup::ensure(&setup::for_kernel())?;
    let requests = which.requests()?;
    let _lock = Lock::take()?;
    let tree = source::obtain(source, &pins()?)?;
    let out = work_directory()?;
    let surroundings = Surroundings::plain(1);
    let make = Make { tree: &tree.dir, out: out.path(), surroundings: &surroundings };
    configure(which, &requests, &tree, &make)?;
    Ok(tree.kernel)
}

/// The kernel that was built of the options as they are now, if one was.
///
/// # Errors
///
/// The option files cannot be read, or there is no place for a cache.
pub fn current(which: Which) -> Result<Option<Product>> {
    current_of(which, None)
}

/// The same of the tools of a builder root, if one is given.
///
/// # Errors
///
/// As [`current`], or the root's tools cannot be run.
pub fn current_of(which: Which, builder: Option<&Builder>) -> Result<Option<Product>> {
    let requests = which.requests()?;
    if let Some(builder) = builder {
        return product::current(which, &requests, &Tools::of_root(builder)?);
    }
    // A machine without a compiler has built none.
    let Ok(tools) = Tools::of_this_host() else { return Ok(None) };
    product::current(which, &requests, &tools)
}

/// `kernel-config/`.
#[must_use]
pub fn config_dir() -> PathBuf {
    build::root().join("kernel-config")
}

/// The pinned sources.
///
/// # Errors
///
/// The list cannot be read or understood.
pub fn pins() -> Result<Pins> {
    Pins::read(&config_dir().join("pins.toml"))
}

fn one(
    which: Which,
    requests: &Requests,
    tools: &Tools,
    tree: Unpacked,
    pins: &Pins,
    settings: &Settings,
) -> Result<(Built, Unpacked)> {
    let key = product::key(requests, tools, &tree.identity.sha256);
    // The distribution may have given another source than the first pinned one.
    if let Some(product) = product::find(which, &key)? {
        return Ok((Built { product, cached: true }, tree));
    }
    let tree = source::intact(tree, &settings.source, pins)?;
    let out = work_directory()?;
    room::require(out.path(), ROOM, "building a kernel")?;
    let surroundings = match &settings.builder {
        Some(builder) => Surroundings::locked(settings.jobs(), builder, &tree.dir, out.path()),
        None => Surroundings::plain(settings.jobs()),
    };
    let make = Make { tree: &tree.dir, out: out.path(), surroundings: &surroundings };
    configure(which, requests, &tree, &make)?;
    let started = Instant::now();
    let expected = product::steps(which).unwrap_or_else(|| which.usual_steps());
    let label = format!("compile the {which} kernel, Linux {}", tree.kernel);
    let steps = make.target(&label, &["bzImage"], expected)?;
    let effort = Effort { steps, seconds: started.elapsed().as_secs(), jobs: surroundings.jobs };
    // Somebody may have edited the tree meanwhile, and its hash is the kernel's name.
    if matches!(settings.source, Source::Tree(_)) && tree::digest(&tree.dir)? != tree.tree_digest {
        bail!("{} was changed while it was compiled: build once more", tree.dir.display());
    }
    let unpinned = pins.with_hash(&tree.identity.sha256).is_none();
    let inputs = (requests, tools, &tree.identity);
    let product = product::collect(which, out.path(), inputs, unpinned, &tree.kernel, effort)?;
    Ok((Built { product, cached: false }, tree))
}

fn configure(which: Which, requests: &Requests, tree: &Unpacked, make: &Make<'_>) -> Result<()> {
    let result = make.configure(requests)?;
    let kconfig = Kconfig::read(&tree.dir)?;
    verify::verify(which.name(), &tree.kernel, requests, &result, &kconfig)
}

/// A place for the output of a build, gone when it is dropped.
fn work_directory() -> Result<TempDir> {
    let dir = cache::subdir("kernels/ours")?;
    Ok(tempfile::Builder::new().prefix(room::UNFINISHED).tempdir_in(dir)?)
}

#[cfg(test)]
mod tests {
    use super::Which;

    #[test]
    fn our_own_options_can_be_read() {
        for which in Which::ALL {
            let requests = which.requests().unwrap();
            assert!(requests.iter().count() > 200, "{which}");
            let has = |line: &str| requests.iter().any(|request| request.to_string() == line);
            assert!(has("CONFIG_KEXEC_FILE=y") && has("# CONFIG_MODULES is not set"), "{which}");
        }
    }

    /// What makes the OS kernel RAM-only is in its options, not in what they happen to leave out.
    #[test]
    fn the_os_kernel_forbids_every_way_to_a_disk() {
        let requests = Which::Os.requests().unwrap();
        for symbol in [
            "ATA",
            "SCSI",
            "BLK_DEV_NVME",
            "VIRTIO_BLK",
            "BLK_DEV_FD",
            "USB_SUPPORT",
            "MMC",
            "MTD",
            "BLK_DEV_NBD",
            "BLK_DEV_RBD",
            "ATA_OVER_ETH",
            "NETWORK_FILESYSTEMS",
            "NET_9P",
            "LIBNVDIMM",
            "X86_PMEM_LEGACY",
            "SWAP",
            "HIBERNATION",
            "ZRAM",
            "COREDUMP",
            "PSTORE",
            "DEVMEM",
            "UIO",
            "VFIO",
            "MODULES",
            "TARGET_CORE",
            "FUSE_FS",
        ] {
            let off = requests.iter().any(|it| it.symbol == symbol && it.value.is_none());
            assert!(off, "os.config must say: # CONFIG_{symbol} is not set");
        }
    }
}
