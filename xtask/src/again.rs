//! Building a package, and building it again in surroundings that are as different as this user can make
//! them: another directory, another one for compiled code, another home, umask, time zone and language.
//!
//! The second build is `ospkg rebuild`, so that this is what everybody else does, too. Another user,
//! and packages that are made for it, are tested with smaller recipes (`crates/recipe/tests`).

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::build;
use crate::cache;
use crate::kernel_build;
use crate::kernel_build::Which;
use crate::locked::Locked;
use crate::ospkg;

/// Whether there is something to build again: a tree with uncommitted changes is no revision that
/// somebody else could have.
#[must_use]
pub fn is_possible() -> bool {
    rebuild::source::of_checkout(build::root()).is_ok_and(|source| !source.dirty)
}

/// Builds the package of a recipe twice, in the locked root if that is asked for.
///
/// # Errors
///
/// A build failed, or the second one has other bytes: where is printed.
pub fn package(name: &str, locked: bool) -> Result<()> {
    let place = tempfile::Builder::new().prefix("another-place-").tempdir()?;
    let first = place.path().join("first");
    let mut options = recipe::Options { release: Some(1), ..ospkg::options(name, &first)? };
    let root = locked.then(|| Locked::open(&options.debs)).transpose()?;
    if locked {
        // The locked root would make one of its own, which takes 20 minutes; `kernel reproduce` is the
        // test of kernels.
        options.kernel = kernel_build::current(Which::Os)?.map(|kernel| kernel.image());
    }
    let built = ospkg::build_in(&options, root.as_ref())?;
    let home = place.path().join("home");
    fs::create_dir(&home)?;
    let own = |name: &str, below: &str| -> Option<PathBuf> {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(below));
        env::var_os(name).map(PathBuf::from).or_else(home)
    };
    let mut again = Command::new("sh");
    again
        // A shell sets the mask: what Rust offers for it needs unsafe code.
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(env::current_exe()?)
        .args(["ospkg", "rebuild"])
        .arg(&built.names.descriptor)
        .envs(own("CARGO_HOME", ".cargo").map(|it| ("CARGO_HOME", it)))
        .envs(own("RUSTUP_HOME", ".rustup").map(|it| ("RUSTUP_HOME", it)))
        .env("XDG_CACHE_HOME", cache::dir()?.parent().context("the cache is nowhere")?)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("HOME", &home)
        .env("TZ", "Pacific/Auckland")
        .env("LANG", "de_DE.UTF-8")
        .env("LC_ALL", "C.UTF-8")
        .env("SOURCE_DATE_EPOCH", "86400")
        .current_dir(&home);
    if !again.status().context("cannot run the second build")?.success() {
        bail!("the second build of {name} is not the first, or failed: see above");
    }
    Ok(())
}
