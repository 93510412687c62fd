//! The locked builder root: a root file system of Debian packages by a lock file, in which our binaries
//! are compiled, and into which nothing of the machine around it reaches but what is named.
//!
//! `ospkg/builder.toml` is a recipe without an OS, `ospkg/builder.lock` its lock. The packages are
//! unpacked once, under a cache, and entered by namespaces of the kernel (user, mount, process, network):
//! no root is needed, there is no network inside, and everything but the places for results is
//! read-only.

mod enter;
mod root;
mod rust;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use rebuild::build::Input;
use rebuild::store::Store;

use crate::Error;
use crate::Recipe;
use crate::Result;
use crate::debs::Debs;
use crate::lock::Lock;
use crate::manifest::Manifest;
use crate::recipe::Layer;

pub use enter::Mount;
pub use rust::Rust;

/// What the builder is called where recipes have names.
pub const NAME: &str = "builder";
/// Kind of its packages among the inputs of a package.
pub const KIND: &str = "builder-deb";

/// Where the Rust toolchain is inside.
const TOOLCHAIN: &str = "/toolchain";
/// Where programs are found inside.
const PATH: &str = "/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A root file system to build in.
#[derive(Clone, Debug)]
pub struct Builder {
    /// Its files.
    root: PathBuf,
    /// An empty directory on which it is put together.
    stage: PathBuf,
    /// Words of `unshare` that this machine allows.
    namespaces: Vec<&'static str>,
    lock: Lock,
    lock_sha256: String,
    rust: Option<Rust>,
    debs: Debs,
}

impl Builder {
    /// Opens the builder root of a directory of recipes: what is not there yet is fetched and unpacked
    /// below `cache`, and what is there is compared with what was unpacked. `at` hears what is done.
    ///
    /// # Errors
    /// If the lock file is missing or older than the list, a package cannot be had, or this machine
    /// does not let us enter a root of our own.
    pub fn open(recipes: &Path, debs: &Debs, cache: &Path, at: &dyn Fn(&str)) -> Result<Self> {
        let recipe = recipe(recipes)?;
        let (lock, text) = Lock::at(&lock_file(recipes), &recipe)?;
        let lock_sha256 = rebuild::sha256(text.as_bytes());
        let namespaces = enter::namespaces()?;
        let (root, stage) = root::prepare(&recipe, &lock, (&lock_sha256, debs, cache), at)?;
        let debs = debs.clone();
        Ok(Self { root, stage, namespaces, lock, lock_sha256, rust: None, debs })
    }

    /// With the Rust toolchain that a source tree asks for.
    ///
    /// # Errors
    /// If it is not there, or not one of rustup's.
    pub fn with_rust(mut self, source_tree: &Path) -> Result<Self> {
        self.rust = Some(Rust::of(source_tree)?);
        Ok(self)
    }

    /// What `build.json` says of it.
    #[must_use]
    pub fn record(&self) -> rebuild::build::Builder {
        let rust_sha256 = self.rust.as_ref().map(|it| it.sha256().to_owned()).unwrap_or_default();
        rebuild::build::Builder { lock_sha256: self.lock_sha256.clone(), rust_sha256 }
    }

    /// Its packages as inputs; they are put into the store, if there is one.
    ///
    /// # Errors
    /// If one cannot be had, or not be written.
    pub fn inputs(&self, keep: Option<&Store>) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        for package in &self.lock.package {
            if let Some(keep) = keep {
                keep.put(&self.debs.get(package, NAME)?, Some(&package.sha256))?;
            }
            inputs.push(Input {
                name: package.file_name().to_owned(),
                sha256: package.sha256.clone(),
                size: package.size,
                kind: KIND.to_owned(),
            });
        }
        Ok(inputs)
    }

    /// The directory of its files on this machine.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A command inside, in the directory `cwd`, with these places of this machine mounted. Nothing of
    /// the caller's environment reaches it.
    #[must_use]
    pub fn command(&self, mounts: &[Mount], cwd: &str, program: &str) -> Command {
        let words = self.words(mounts, cwd);
        let mut command = Command::new(words.first().map_or("unshare", String::as_str));
        command.args(words.iter().skip(1)).arg(program).env_clear();
        for (name, value) in Self::environment() {
            command.env(name, value);
        }
        command
    }

    /// Words that, put before a command, run it inside.
    #[must_use]
    pub fn words(&self, mounts: &[Mount], cwd: &str) -> Vec<String> {
        let rust = self.rust.as_ref().map(|it| Mount::read_only(it.sysroot(), TOOLCHAIN));
        let mounts: Vec<Mount> = rust.into_iter().chain(mounts.iter().cloned()).collect();
        enter::words(&self.namespaces, (&self.root, &self.stage), &mounts, cwd)
    }

    /// The environment of every command inside.
    #[must_use]
    pub const fn environment() -> [(&'static str, &'static str); 4] {
        [("PATH", PATH), ("HOME", "/tmp"), ("LC_ALL", "C"), ("TZ", "UTC")]
    }
}

/// What the builder consists of, as a recipe: of its list alone, nothing is laid over it.
///
/// # Errors
/// If the list is missing or cannot be understood.
pub fn recipe(recipes: &Path) -> Result<Recipe> {
    let file = recipes.join(format!("{NAME}.toml"));
    let text = std::fs::read_to_string(&file).map_err(|error| Error::io("read", &file, &error))?;
    let manifest = Manifest::parse(&text).map_err(|error| error.on(file.display()))?;
    let layer = Layer { name: NAME.to_owned(), dir: recipes.join(NAME), manifest };
    Ok(Recipe { name: NAME.to_owned(), layers: vec![layer] })
}

/// Where its lock file is.
#[must_use]
pub fn lock_file(recipes: &Path) -> PathBuf {
    recipes.join(format!("{NAME}.lock"))
}
